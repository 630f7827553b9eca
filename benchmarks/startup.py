"""How long a command and an import take before anything is done.

    python benchmarks/startup.py [--runs 9] [--out RECORD.json]

Each run is a process of its own, with a warm file cache: the first one of each kind does not count. Wall time and,
since other work on a machine changes it less, processor time; medians, and the least, which is what an idle machine
takes. The interpreter alone stands beside them.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

from measuring import Spent, script_parser, write_record

COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python alone": (["-c", "pass"], None),
    "facemin --help": (["-m", "facemin", "--help"], 0.3),
    "facemin protect --help": (["-m", "facemin", "protect", "--help"], None),
    "import facemin; facemin.Client": (["-c", "import facemin; facemin.Client"], 0.5),
}
"""What is run, and what it may take, seconds."""


def once(arguments: list[str]) -> Spent:
    """Wall and processor seconds of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure, by turns, and print a line of JSON each."""
    given = script_parser(__doc__, runs=9).parse_args()
    found: dict[str, list[Spent]] = {name: [] for name in COMMANDS}
    for turn in range(given.runs + 1):
        for name, (arguments, _) in COMMANDS.items():
            taken = once(arguments)
            if turn:
                found[name].append(taken)
    rows = []
    for name, times in found.items():
        walls, processors = zip(*times, strict=True)
        row = {"command": name, "may_take": COMMANDS[name][1]}
        for clock, values in (("wall", walls), ("processor", processors)):
            row |= {f"{clock}_median": round(statistics.median(values), 3), f"{clock}_least": round(min(values), 3)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_record(given.out, "facemin startup 1", rows)


if __name__ == "__main__":
    main()

"""AHM and its baselines on LFW: train them, attack them, report.

    python experiments/ahm/run.py train                 # every configuration of the run, one after another
    python experiments/ahm/run.py attack                # the attacks on each that is trained
    python experiments/ahm/run.py masks                 # what the mask alone hides, by stride
    python experiments/ahm/run.py report                # figures and table from the records

Wants ../shared (LFW and a recogniser that judges). Networks and faces stay in runs/ahm; records without faces go to
results/ahm. Each stage passes over what is there already. On one core of two an hour, most of it the attacks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacks import attack_configuration, attack_masks
from report import write_report

from facemin.evaluation.provenance import code_state, machine, versions
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
RUNS = REPOSITORY / "runs" / "ahm"
RESULTS = REPOSITORY / "results" / "ahm"
CONFIGURATIONS = (
    *("no-mask", "mask-only", "fixed-2", "fixed-6", "random", "ahm", "ahm-balanced"),
    *("fixed-2-long", "fixed-6-long", "ahm-long"),
)


def main() -> None:
    """Run the stage asked for."""
    parser = script_parser(__doc__)
    parser.add_argument("stage", choices=("train", "attack", "masks", "report"))
    parser.add_argument("names", nargs="*", help=f"configurations; {', '.join(CONFIGURATIONS)} when none is given")
    arguments = parser.parse_args()
    names = tuple(arguments.names) or CONFIGURATIONS
    if arguments.stage == "train":
        for name in names:
            train(name)
    elif arguments.stage == "attack":
        trained = [name for name in names if (RUNS / name / "record.json").is_file()]
        for name in trained:
            once("attacks", name, lambda name=name: attack_configuration(HERE, RUNS, name, arguments.shared))
    elif arguments.stage == "masks":
        once("masks", "masks", lambda: attack_masks(HERE, RUNS, arguments.shared))
    else:
        write_report(RESULTS, RUNS, REPOSITORY / "docs")


def train(name: str) -> None:
    """Train a configuration, or go on with it, and take its record and log."""
    out = RUNS / name
    if not (out / "record.json").is_file():
        command = [sys.executable, "-m", "facemin", "train", "ahm", str(HERE / f"{name}.toml"), "--device", "cpu"]
        subprocess.run([*command, "--out", str(out), "--resume"], check=True)

    def read() -> dict[str, Any]:
        record: dict[str, Any] = json.loads((out / "record.json").read_text(encoding="utf-8"))
        for field in ("root", "landmarks", "cache"):
            record["configuration"]["data"].pop(field)
        lines = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return record | {"log": [json.loads(line) for line in lines]}

    once("training", name, read)


def once(kind: str, name: str, work: Callable[[], dict[str, Any]]) -> None:
    """Append what work gives to the records of that kind, unless they have it."""
    path = RESULTS / f"{kind}.jsonl"
    known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if any(json.loads(line)["name"] == name for line in known):
        return
    record = {"name": name, **work()}
    commit, dirty = code_state()
    record |= {"commit": commit, "dirty": dirty, "packages": versions(), "where": machine()}
    append_json(path, record)


if __name__ == "__main__":
    main()

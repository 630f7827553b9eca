"""Every row of the threat model, for PMT at the paper's cut and for the default: the table in docs/attacks.md.

    python experiments/attacks/rows.py --shared ../shared --out /tmp/rows

An audit (docs/audit.md) of 104 people of LFW's folds 1 to 5, two photos each, for two keys: "the first five layers" of
a MobileFaceNet with the paper's configuration, and the default key with the default method. Attackers train on LFW
people who are in none of those folds. Appends a record per key to results/attacks/rows.jsonl, then writes the table,
which is a function of those records alone. The pages, which show faces, go to `--out`. `--table` only writes the table.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from page import read_lines, write_table

from facemin import export_key, load_recogniser
from facemin.audit import Budget, Request, known_rows, prepare, render
from facemin.audit import audit as attack
from facemin.audit.sample_size import WORDS
from facemin.datasets import genuine_pairs
from facemin.experiments.common import REPOSITORY, lfw_half, lfw_root, script_parser, table_head
from facemin.keys.default import plain_key
from facemin.protection import PROTECTORS, Protector
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facemin.keys.key import Key

RECORDS = REPOSITORY / "results" / "attacks" / "rows.jsonl"
ROWS = ("T0", "T1", "T2", "T3", "T4", "T5")


class Setting(NamedTuple):
    """A key and the method that protects for it."""

    words: str
    key: Key
    method: Protector


def paper(shared: Path) -> Setting:
    """Five convolutions, Algorithm 2 as section 6.2 configures it; K, the step and the pooling are ours."""
    recogniser = load_recogniser(shared / "models" / "mobilefacenet-casia-arcface.onnx")
    layers = [f"/PRelu{end}_output_0" for end in ("", "_1", "_2", "_3")]
    key = export_key(recogniser, "/Conv_4_output_0", provider="measurement", residual=0.3, layers=layers)
    method = replace(PROTECTORS["pmt-enhanced"], steps=40, residual=0, pool=14)
    return Setting("PMT at the paper's cut", key, method)


def ours(shared: Path) -> Setting:
    """What `facemin protect` does."""
    del shared
    return Setting("facemin's default", plain_key(), PROTECTORS["robust"])


SETTINGS = {"paper": paper, "default": ours}


def main() -> None:
    """Audit, record, write the table."""
    parser = script_parser(__doc__)
    parser.add_argument("--out", type=Path, default=None, help="folder outside the repository for the pages")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="others keep their latest record")
    parser.add_argument("--minutes", type=float, default=60, help="for each setting")
    parser.add_argument("--people", type=int, default=104)
    parser.add_argument("--table", action="store_true", help="write the table from the records, measure nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.out is None:
            parser.error("--out is needed")
        for name in arguments.settings:
            run(name, arguments)
    write_table("rows", "rows.py", table(read(RECORDS)))


def run(name: str, arguments: argparse.Namespace) -> None:
    """Audit one setting and record what was found."""
    setting = SETTINGS[name](arguments.shared)
    out = arguments.out / name
    with tempfile.TemporaryDirectory() as folder:
        people, others = links(arguments.shared, Path(folder), arguments.people)
        budget = Budget(seconds=60 * arguments.minutes)
        request = Request(
            inputs=[people],
            out=out,
            keys=[setting.key],
            models=arguments.shared / "models",
            train=others,
            most=arguments.people,
            seed=0,
            method=setting.method,
        )
        done = attack(prepare(request, budget, tell=tell), known_rows(arguments.rows), budget, tell=tell)
    write_atomically(out / "audit.html", render(done))
    record = {"name": name, "words": setting.words, **done.values()}
    append_json(RECORDS, record)


def links(shared: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """Folders of links: two photos of each audited person; all photos of people who are not in folds 1 to 5."""
    tested_pairs = lfw_half(shared, "test")
    root = lfw_root(shared).resolve()
    audited, others = folder / "audited", folder / "others"
    for pair in genuine_pairs(tested_pairs, count):
        link((root / pair.path_a, root / pair.path_b), audited / pair.name_a)
    tested = {name for pair in tested_pairs for name in (pair.name_a, pair.name_b)}
    for person in sorted(root.iterdir()):
        if person.is_dir() and person.name not in tested:
            link(sorted(person.iterdir()), others / person.name)
    return audited, others


def link(photos: Iterable[Path], folder: Path) -> None:
    """Links to photos, by their names."""
    folder.mkdir(parents=True)
    for photo in photos:
        (folder / photo.name).symlink_to(photo)


def tell(text: str) -> None:
    """Say what is being done."""
    print(text, flush=True)


def read(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The latest record in which each row was tested, by setting and row; "" stands for the provider itself."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for record in read_lines(path):
        rows = found.setdefault(record["name"], {})
        rows[""] = {**record["authorised"], "words": record["words"]}
        for row in record["rows"]:
            if row["outcome"] != "not tested" or row["row"] not in rows:
                rows[row["row"]] = row
    return found


def table(settings: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The records as Markdown: for each row, what each adversary got."""
    kept = [settings[name] for name in SETTINGS if name in settings]
    lines = [
        *table_head("row", *(rows[""]["words"] for rows in kept)),
        f"| the provider itself | {' | '.join(rows['']['verdict'] for rows in kept)} |",
    ]
    for name in ROWS:
        found = [rows[name] for rows in kept]
        cells = [f"**{WORDS[one['outcome']]}** ({one['seconds']:.0f} s). {one['verdict']}" for one in found]
        lines.append(f"| {name}, {found[0]['title'][0].lower()}{found[0]['title'][1:]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

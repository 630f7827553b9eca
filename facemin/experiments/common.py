"""Parts that experiment scripts share: command line, LFW by its official halves, records, tables in documents."""

from __future__ import annotations

import argparse
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

import facemin
from facemin.autograd.pixels import to_tensor
from facemin.datasets import landmarks, lfw_pairs
from facemin.evaluation.photo_reader import PhotoReader
from facemin.evaluation.provenance import conditions
from facemin.face import align_unrounded, nearest_to_centre
from facemin.image import decode
from facemin.report.page import Entry
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from facemin.datasets import Pair
    from facemin.face import Detector
    from facemin.report.page import Table

REPOSITORY = Path(facemin.__file__).resolve().parents[1]
RESULTS = REPOSITORY / "results"

PAIRS_IN_HALF = 3000
"""Official pairs in LFW's folds 1 to 5, and in folds 6 to 10; people of different folds are disjoint."""

Half = Literal["test", "calibration"]

_PLACES = frozenset({"shared", "out", "cache", "pictures", "record"})
"""Arguments that are paths of a machine, which no record holds."""


def script_parser(
    description: str | None, *, shared: bool = True, cache: str = "", out: Path | None = None, **whole: int
) -> argparse.ArgumentParser:
    """A command line with the research folder, and, where asked for, a cache, an output and whole numbers by name.

    Args:
        description: the script's docstring, shown as it is.
        shared: whether it reads the research folder.
        cache: help of a required --cache; none where it is empty.
        out: default of --out, where records go; no such option when None.
        whole: defaults of options that take whole numbers.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if shared:
        made.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared", help="folder with data/lfw")
    if out is not None:
        made.add_argument("--out", type=Path, default=out)
    if cache:
        made.add_argument("--cache", type=Path, required=True, help=cache)
    for name, value in whole.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    return made


def lfw_root(shared: Path) -> Path:
    """LFW's photos, one folder a person."""
    return shared / "data" / "lfw"


def lfw_points(shared: Path) -> dict[str, Tensor]:
    """Published landmarks by path relative to LFW's root."""
    return landmarks(shared / "data" / "lfw_landmarks.npz")


def lfw_half(shared: Path, half: Half) -> list[Pair]:
    """Official pairs of folds 1 to 5 ("test") or 6 to 10 ("calibration")."""
    listed = lfw_pairs(shared / "data" / "lfw_pairs.txt")
    return listed[:PAIRS_IN_HALF] if half == "test" else listed[PAIRS_IN_HALF:]


def landmark_faces(shared: Path, paths: Sequence[str]) -> Tensor:
    """Faces aligned by the published landmarks, (N, 3, 112, 112) in [0, 1], not rounded."""
    reader = PhotoReader(root=lfw_root(shared), paths=paths, points=lfw_points(shared))
    return torch.stack([reader(at).face for at in range(len(paths))])


def central_faces(paths: Iterable[Path], detector: Detector) -> Tensor:
    """The aligned face nearest to the middle of each photo, (N, 3, 112, 112): LFW's named person stands there."""
    faces = []
    for path in paths:
        pixels = decode(path).pixels
        nearest = nearest_to_centre(detector(pixels), *pixels.shape[:2])
        faces.append(to_tensor(align_unrounded(pixels, nearest.points[None])[0]))
    return torch.stack(faces)


def append_record(path: Path, values: Mapping[str, Any]) -> None:
    """Append a line of JSON: the time, the values, and the conditions they were measured under."""
    append_json(path, {"time": datetime.now(UTC).isoformat(timespec="seconds"), **values, **conditions()})


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file by the values and the conditions they were measured under."""
    write_atomically(path, (json.dumps({**values, **conditions()}, indent=1) + "\n").encode())


def last_record(path: Path) -> dict[str, Any]:
    """The latest record of a file of JSON Lines."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    return found


def replace_section(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a document.

    Raises:
        ValueError: the document lacks one of them; it is left as it is.
    """
    before, first, rest = page.read_text(encoding="utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise ValueError(f"{page.name}: expected {begin} and {end}, found {'no' if not first else 'only the'} first")
    write_atomically(page, f"{before}{begin}\n{text.rstrip()}\n{end}{after}".encode())


def table_head(*columns: str) -> list[str]:
    """The first two lines of a Markdown table."""
    return [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]


def markdown_table(made: Table) -> list[str]:
    """Lines of a table in Markdown, without its caption; small print stands in brackets."""
    entries = [[Entry(one) if isinstance(one, str) else one for one in row] for row in made.rows]
    return [
        *table_head(*made.head),
        *(f"| {' | '.join(one.text + (f' ({one.below})' if one.below else '') for one in row)} |" for row in entries),
    ]


def provenance(given: argparse.Namespace, shared: Path | None = None) -> dict[str, Any]:
    """What a record needs to be repeated: arguments, commit, versions, hardware, and the hash of LFW's pairs.

    Args:
        given: a script's arguments; paths of the machine are left out.
        shared: the research folder, where its pairs were used.
    """
    found: dict[str, Any] = {
        "arguments": {name: str(value) for name, value in vars(given).items() if name not in _PLACES},
        **conditions(),
    }
    if shared is not None:
        pairs = (shared / "data" / "lfw_pairs.txt").read_bytes()
        found["pairs_sha256"] = hashlib.sha256(pairs).hexdigest()
    return found

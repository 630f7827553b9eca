"""Parts that experiment scripts share: command line, LFW by its official halves, records' provenance."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

import facemin
from facemin.autograd.pixels import to_tensor
from facemin.datasets import landmarks, lfw_pairs
from facemin.evaluation.pairs import PhotoReader
from facemin.evaluation.provenance import conditions
from facemin.face import align_unrounded, nearest_to_centre
from facemin.image import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from facemin.datasets import Pair
    from facemin.face import Detector

REPOSITORY = Path(facemin.__file__).resolve().parents[1]
RESULTS = REPOSITORY / "results"

PAIRS_IN_HALF = 3000
"""Official pairs in LFW's folds 1 to 5, and in folds 6 to 10; people of different folds are disjoint."""

Half = Literal["test", "calibration"]

_PLACES = frozenset({"shared", "out", "cache", "pictures", "record"})
"""Arguments that are paths of a machine, which no record holds."""


def script_parser(description: str | None, *, cache: str = "", **whole: int) -> argparse.ArgumentParser:
    """A command line with the research folder, and, where asked for, a cache and whole numbers by name.

    Args:
        description: the script's docstring, shown as it is.
        cache: help of a required --cache; none where it is empty.
        whole: defaults of options that take whole numbers.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared", help="folder with data/lfw")
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

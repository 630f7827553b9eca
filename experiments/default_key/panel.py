"""What both measurements of the default key share: LFW faces, the recognisers, and their thresholds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facemin.attack import PROVIDER_OPERATIONS
from facemin.autograd.pixels import to_tensor
from facemin.datasets import genuine_pairs, lfw_pairs
from facemin.evaluation.judge import Judge, Plain
from facemin.evaluation.provenance import conditions
from facemin.face import Detector, align_unrounded, nearest_to_centre
from facemin.image import decode
from facemin.models import Recogniser, load_recogniser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

FAR = 1e-3
REPOSITORY = Path(__file__).resolve().parents[2]
PAIRS_IN_HALF = 3000
"""Lines of LFW's official pairs in five of its ten folds; people of different folds are disjoint."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Genuine pairs of different people: aligned faces (N, 3, 112, 112) and whose they are."""

    probes: Tensor
    enrolments: Tensor
    people: list[str]
    probe_paths: list[Path]


def lfw_faces(shared: Path, *, half: str, count: int) -> Faces:
    """The first genuine pair of each of `count` people in folds 1 to 5 ("test") or 6 to 10 ("calibration")."""
    listed = lfw_pairs(shared / "data" / "lfw_pairs.txt")
    part = listed[:PAIRS_IN_HALF] if half == "test" else listed[PAIRS_IN_HALF:]
    pairs = genuine_pairs(part, count)
    root = shared / "data" / "lfw"
    detector = Detector()
    probes = central_faces((root / pair.path_a for pair in pairs), detector)
    enrolments = central_faces((root / pair.path_b for pair in pairs), detector)
    return Faces(
        probes=probes,
        enrolments=enrolments,
        people=[pair.name_a for pair in pairs],
        probe_paths=[root / pair.path_a for pair in pairs],
    )


def central_faces(paths: Iterable[Path], detector: Detector) -> Tensor:
    """The aligned face nearest to the middle of each photo, (N, 3, 112, 112): LFW's named person stands there."""
    faces = []
    for path in paths:
        pixels = decode(path).pixels
        nearest = nearest_to_centre(detector(pixels), *pixels.shape[:2])
        faces.append(to_tensor(align_unrounded(pixels, nearest.points[None])[0]))
    return torch.stack(faces)


def load_panel(shared: Path) -> dict[str, Recogniser]:
    """The authorised recogniser first, then those in shared/models."""
    others = sorted((shared / "models").glob("mobile*.onnx"))
    return {"dlib-resnet29": load_recogniser("dlib-resnet29")} | {p.stem: load_recogniser(p) for p in others}


def calibrated(name: str, recogniser: Recogniser, faces: Faces) -> Judge:
    """A judge at its threshold for FAR 1e-3 over all cross-identity pairs of the plain images used."""
    images, people = torch.cat([faces.probes, faces.enrolments]), torch.arange(len(faces.people)).repeat(2)
    return Judge.calibrate(
        recogniser,
        name=name,
        probes=faces.probes,
        others=faces.enrolments,
        plain=Plain(images, people),
        far=FAR,
    )


def tar(judge: Judge, scores: Tensor) -> dict[str, float]:
    """Accepted share with its count and 95 % Wilson interval, as the records of this folder have it."""
    found = judge.accepted(scores)
    return {
        "tar": found.value,
        "accepted": round(found.value * found.n),
        "n": found.n,
        "low": found.low,
        "high": found.high,
    }


def judge_all(judges: Iterable[Judge], images: Tensor) -> dict[str, dict[str, dict[str, object]]]:
    """TAR and scores of images by recogniser and provider's operation, which any adversary may do as well."""
    return {
        judge.name: {
            name: {**tar(judge, scores := judge.scores(purify(images)).other), "scores": scores.tolist()}
            for name, purify in PROVIDER_OPERATIONS.items()
        }
        for judge in judges
    }


def provenance(shared: Path, arguments: object) -> dict[str, object]:
    """What a record needs to be repeated: commit, versions, hashes of the data, hardware."""
    pairs = (shared / "data" / "lfw_pairs.txt").read_bytes()
    return {
        "arguments": {k: str(v) for k, v in vars(arguments).items() if k not in ("shared", "out")},
        **conditions(),
        "pairs_sha256": hashlib.sha256(pairs).hexdigest(),
    }

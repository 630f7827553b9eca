"""What both measurements of the default key share: LFW faces, the recognisers, and their thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facemin.attack import PROVIDER_OPERATIONS
from facemin.datasets import genuine_pairs
from facemin.evaluation.judge import Judge, Plain
from facemin.experiments.common import Half, central_faces, lfw_half, lfw_root
from facemin.face import Detector
from facemin.models import Recogniser, load_recogniser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

FAR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Genuine pairs of different people: aligned faces (N, 3, 112, 112) and whose they are."""

    probes: Tensor
    enrolments: Tensor
    people: list[str]


def lfw_faces(shared: Path, *, half: Half, count: int) -> Faces:
    """The first genuine pair of each of `count` people in folds 1 to 5 ("test") or 6 to 10 ("calibration")."""
    pairs = genuine_pairs(lfw_half(shared, half), count)
    root = lfw_root(shared)
    detector = Detector()
    probes = central_faces((root / pair.path_a for pair in pairs), detector)
    enrolments = central_faces((root / pair.path_b for pair in pairs), detector)
    return Faces(
        probes=probes,
        enrolments=enrolments,
        people=[pair.name_a for pair in pairs],
    )


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

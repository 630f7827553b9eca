"""What both measurements of the default key share: LFW faces, the recognisers, and their thresholds."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facemin.attack import PURIFIERS
from facemin.data import genuine_pairs, lfw_pairs
from facemin.face import Detector, align
from facemin.image import decode
from facemin.metrics import cross_identity_threshold, pair_scores, wilson
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
        middle = torch.tensor(pixels.shape[:0:-1]) / 2
        nearest = min(detector(pixels), key=lambda face: float((face.points.mean(0) - middle).norm()))
        faces.append(align(pixels, nearest.points[None])[0])
    return torch.stack(faces)


def load_panel(shared: Path) -> dict[str, Recogniser]:
    """The authorised recogniser first, then those in shared/models."""
    others = sorted((shared / "models").glob("mobile*.onnx"))
    return {"dlib-resnet29": load_recogniser("dlib-resnet29")} | {p.stem: load_recogniser(p) for p in others}


def embed(recogniser: Recogniser, faces: Tensor, batch: int = 32) -> Tensor:
    """Unit rows (N, D)."""
    with torch.inference_mode():
        return torch.cat([recogniser(part) for part in faces.split(batch)])


@dataclass(frozen=True, kw_only=True)
class Judge:
    """One recogniser at its own threshold, judging probes against the plain enrolments."""

    name: str
    recogniser: Recogniser
    enrolments: Tensor
    threshold: float
    impostor_pairs: int
    clean: Tensor
    """Scores of the plain probes, (N,)."""

    @classmethod
    def calibrate(cls, name: str, recogniser: Recogniser, faces: Faces) -> Judge:
        """Threshold at FAR 1e-3 over all cross-identity pairs of the plain images used."""
        probes, enrolments = embed(recogniser, faces.probes), embed(recogniser, faces.enrolments)
        labels = torch.arange(len(faces.people)).repeat(2)
        found = cross_identity_threshold(torch.cat([probes, enrolments]), labels, far=FAR)
        return cls(
            name=name,
            recogniser=recogniser,
            enrolments=enrolments,
            threshold=found.threshold,
            impostor_pairs=found.n_impostor,
            clean=pair_scores(probes, enrolments),
        )

    def scores(self, probes: Tensor) -> Tensor:
        """Cosines of probes (N, 3, 112, 112) with their enrolments, (N,)."""
        return pair_scores(embed(self.recogniser, probes), self.enrolments)

    def tar(self, scores: Tensor) -> dict[str, float]:
        """Accepted share with its count and 95 % Wilson interval."""
        accepted = int((scores >= self.threshold).sum())
        interval = wilson(accepted, len(scores))
        return {
            "tar": accepted / len(scores),
            "accepted": accepted,
            "n": len(scores),
            "low": interval.low,
            "high": interval.high,
        }


def judge_all(judges: Iterable[Judge], images: Tensor) -> dict[str, dict[str, dict[str, object]]]:
    """TAR and scores of images by recogniser and purifier."""
    return {
        judge.name: {
            name: {**judge.tar(scores := judge.scores(purify(images))), "scores": scores.tolist()}
            for name, purify in PURIFIERS.items()
        }
        for judge in judges
    }


def provenance(shared: Path, arguments: object) -> dict[str, object]:
    """What a record needs to be repeated: commit, versions, hashes of the data, hardware."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.strip()

    pairs = (shared / "data" / "lfw_pairs.txt").read_bytes()
    return {
        "arguments": {k: str(v) for k, v in vars(arguments).items() if k not in ("shared", "out")},
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--", "facemin", "experiments")),
        "versions": {name: version(name) for name in ("facemin", "torch", "numpy", "onnx", "onnxruntime", "pillow")},
        "pairs_sha256": hashlib.sha256(pairs).hexdigest(),
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }


def append(path: Path, record: dict[str, object]) -> None:
    """Add a record to a JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")

"""What measurements of attacks share: LFW people apart from one another, what a reconstruction is worth, records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from facemin.autograd.pixels import to_grid, to_unit
from facemin.datasets import LFW, genuine_pairs
from facemin.evaluation.judge import embed_all
from facemin.experiments.common import landmark_faces, lfw_half, lfw_points, lfw_root
from facemin.metrics import (
    cross_identity_threshold,
    grey,
    linkage,
    mean_face,
    other_person_rows,
    pair_scores,
    psnr,
    ssim,
    wilson,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.metrics import ImpostorThreshold
    from facemin.models import Recogniser

VALIDATION = 64
KAPPA = 0.2
"""The cosine that PMT's SRRA has to exceed."""
FAR, DRAWS = 1e-3, 9999


@dataclass(frozen=True, kw_only=True)
class People:
    """Aligned faces, uint8 (N, 3, 112, 112); nobody is in two of the three parts.

    Attributes:
        test: one face of each person tested.
        others: a second face of each.
        train: of people to train attacks on.
        train_people: who is on each, (N,).
        validation: likewise, to choose epochs by.
    """

    test: Tensor
    others: Tensor
    train: Tensor
    train_people: Tensor
    validation: Tensor


class Photos(NamedTuple):
    """Whose faces `lfw_people` reads: paths relative to LFW's folder, NAME/NAME_0001.jpg, in its order."""

    test: list[str]
    others: list[str]
    train: list[str]
    train_people: list[int]
    validation: list[str]


def lfw_photos(shared: Path, *, test: int, train: int, seed: int = 0, photos: int = 4) -> Photos:
    """Test people of folds 1 to 5, and at most `photos` a person of all others.

    Raises:
        ValueError: there are not so many to train on.
    """
    marks, root = lfw_points(shared), lfw_root(shared)
    listed = lfw_half(shared, "test")
    pairs = genuine_pairs(listed, test)
    apart = {name for pair in listed for name in (pair.name_a, pair.name_b)}
    found: dict[str, list[str]] = {}
    for photo in LFW(root):
        if photo.identity not in apart and photo.path in marks:
            found.setdefault(photo.identity, []).append(photo.path)
    names = sorted(found)
    np.random.default_rng(seed).shuffle(names)
    validated, trained = names[:VALIDATION], names[VALIDATION:]
    rows = [(path, number) for number, name in enumerate(trained) for path in found[name][:photos]][:train]
    if len(rows) < train:
        raise ValueError(f"pairs: expected at most {len(rows)} with {photos} photos a person, got {train}")
    return Photos(
        test=[pair.path_a for pair in pairs],
        others=[pair.path_b for pair in pairs],
        train=[path for path, _ in rows],
        train_people=[number for _, number in rows],
        validation=[found[name][0] for name in validated],
    )


def lfw_people(shared: Path, *, test: int, train: int, seed: int = 0, photos: int = 4) -> People:
    """Faces of `lfw_photos`, by LFW's landmarks."""
    listed = lfw_photos(shared, test=test, train=train, seed=seed, photos=photos)

    def faces(paths: Sequence[str]) -> Tensor:
        return to_grid(landmark_faces(shared, paths))

    return People(
        test=faces(listed.test),
        others=faces(listed.others),
        train=faces(listed.train),
        train_people=torch.tensor(listed.train_people),
        validation=faces(listed.validation),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Likeness:
    """What reconstructions are held against: the faces they were made from, and a recogniser.

    Attributes:
        faces: (N, 3, 112, 112) in [0, 1].
        others: a second face of each person.
        recogniser: the authorised one.
        at: its threshold over all cross-identity pairs of these faces.
    """

    faces: Tensor
    others: Tensor
    recogniser: Recogniser
    at: ImpostorThreshold
    embedded: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, people: People, recogniser: Recogniser) -> Likeness:
        """Embed the faces and measure the threshold."""
        faces, others = to_unit(people.test), to_unit(people.others)
        rows = embed_all(recogniser, faces), embed_all(recogniser, others)
        who = torch.arange(len(faces)).repeat(2)
        at = cross_identity_threshold(torch.cat(rows), who, far=FAR)
        return cls(faces=faces, others=others, recogniser=recogniser, at=at, embedded=rows)

    def __call__(self, images: Tensor) -> dict[str, object]:
        """Measures of images (N, 3, 112, 112) in [0, 1], after their rounding to 8 bits: means, and each sample's."""
        images = to_unit(to_grid(images))
        rows = embed_all(self.recogniser, images)
        own, other = pair_scores(rows, self.embedded[0]), pair_scores(rows, self.embedded[1])
        each = {
            "ssim": ssim(images, self.faces),
            "ssim_gaussian": ssim(images, self.faces, window="gaussian"),
            "psnr": psnr(images, self.faces).clamp_max(100),
            "cos": own,
            "cos_other_photo": other,
        }
        accepted = int((other >= self.at.threshold).sum())
        low, high = wilson(accepted, len(other))
        return {
            **{name: float(values.double().mean()) for name, values in each.items()},
            "srra": float((own > KAPPA).double().mean()),
            "tar_other_photo": {"tar": accepted / len(other), "n": len(other), "low": low, "high": high},
            "samples": {name: [round(float(value), 5) for value in values] for name, values in each.items()},
        }

    def floors(self, train: Tensor) -> dict[str, dict[str, object]]:
        """The same of images that know nothing of a face: the mean of other people, another person, grey."""
        count = len(self.faces)
        floors = {
            "mean face": mean_face(to_unit(train)).expand(count, -1, -1, -1),
            "other person": self.faces[other_person_rows(torch.arange(count))],
            "grey": grey(self.faces).expand(count, -1, -1, -1),
        }
        return {name: self(images) for name, images in floors.items()}


def judged(scores: NDArray[np.float64]) -> dict[str, Any]:
    """Area and ranks of scores (N, N), each person's probe a row and the gallery's people in the same order."""
    got = linkage(scores, draws=DRAWS)
    return {
        "n": got.n,
        "auc": round(got.area.auc, 4),
        "interval": [round(value, 4) for value in got.area.interval],
        "p": round(got.area.p, 4),
        "ranks": {str(each.k): [round(each.share, 4), round(each.chance, 4)] for each in got.ranks},
    }


def add_paper_key(parser: argparse.ArgumentParser) -> None:
    """Options that name the key of PMT's tables: its recogniser, cut and further layers."""
    parser.add_argument("--recogniser", default="mobilefacenet-casia-arcface-b", help="stands for MobileFace")
    parser.add_argument("--cut", default="/Conv_4_output_0", help="after the fifth convolution")
    layers = ["/PRelu_output_0", "/PRelu_1_output_0", "/PRelu_2_output_0", "/PRelu_3_output_0"]
    parser.add_argument("--layers", nargs="*", default=layers, help="matched as well")


def said(name: str, found: dict[str, object]) -> str:
    """A line for people."""
    return (
        f"{name}: SSIM {found['ssim']:.3f}, PSNR {found['psnr']:.2f}, COS {found['cos']:.3f}, SRRA {found['srra']:.2f}"
    )


def load_named(shared: Path, name: str) -> Path | str:
    """A recogniser's file in the folder of models, or the package's own by name."""
    path = shared / "models" / f"{name}.onnx"
    return path if path.is_file() else name

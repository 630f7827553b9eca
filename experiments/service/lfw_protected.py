"""LFW people as an app would send them: plain aligned faces and the default key's protected images of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.autograd.pixels import to_grid, to_unit
from facemin.experiments.common import Half, landmark_faces, lfw_half
from facemin.keys.default import plain_key
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Aligned faces of some people, plain and protected.

    Attributes:
        people: number of the person on each image, (N,) int64; the first `genuine` people have two images each.
        plain: uint8 (N, 3, 112, 112).
        protected: uint8 (N, 3, 112, 112), the default key's, each from noise of its own.
        steps: optimisation steps spent on each, (N,).
    """

    people: torch.Tensor
    plain: torch.Tensor
    protected: torch.Tensor
    steps: torch.Tensor


def sample(shared: Path, *, half: Half, genuine: int, single: int, cache: Path) -> Sample:
    """Images of people of folds 1 to 5 ("test") or 6 to 10 ("calibration"), kept in `cache` once made.

    Args:
        shared: the research folder.
        half: which people.
        genuine: people with a genuine pair, two images each.
        single: further people, one image each.
        cache: an .npz file outside the repository; faces of a research data set are not committed.
    """
    if cache.is_file():
        with np.load(cache) as stored:
            return Sample(**{name: torch.from_numpy(stored[name]) for name in stored.files})
    paths, people = _choose(shared, half, genuine, single)
    faces = landmark_faces(shared, paths)
    done = []
    for part in faces.split(64):
        done += PROTECTORS[DEFAULT_PROTECTOR](to_unit(to_grid(part)), [plain_key()], seed=7)
        print(f"protected {len(done)} of {len(faces)}", flush=True)
    made = Sample(
        people=torch.tensor(people),
        plain=to_grid(faces),
        protected=torch.stack([image.pixels for image in done]),
        steps=torch.tensor([image.steps for image in done]),
    )
    np.savez(cache, **{name: value.numpy() for name, value in vars(made).items()})
    return made


def _choose(shared: Path, half: Half, genuine: int, single: int) -> tuple[list[str], list[int]]:
    part = lfw_half(shared, half)
    pairs = {pair.name_a: (pair.path_a, pair.path_b) for pair in reversed(part) if pair.same}
    first = sorted(pairs)
    random.Random(0).shuffle(first)  # noqa: S311 - a choice of samples, no secret
    others = {pair.name_a: pair.path_a for pair in part} | {pair.name_b: pair.path_b for pair in part if not pair.same}
    chosen = first[:genuine]
    rest = sorted(set(others) - set(chosen))
    random.Random(1).shuffle(rest)  # noqa: S311 - as above
    if len(chosen) < genuine or len(rest) < single:
        raise ValueError(f"{half}: expected at least {genuine} and {single} people, got {len(first)} and {len(rest)}")
    paths = [path for name in chosen for path in pairs[name]] + [others[name] for name in rest[:single]]
    people = [number for number in range(genuine) for _ in range(2)] + list(range(genuine, genuine + single))
    return paths, people

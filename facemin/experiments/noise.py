"""Noise of the world on images and on features: each row's own, the same whatever the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from facemin.autograd.pixels import to_grid, to_unit
from facemin.evaluation.judge import BATCH
from facemin.metrics import pair_scores

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.evaluation.judge import Judge
    from facemin.keys.key import Key

PROTECTED, PLAIN = 0, 1
"""Which of a pair's two faces a draw is for: their noises are independent, as in PMT's equation 9."""


class Noisy(NamedTuple):
    """Both faces under one bound of noise, (N, 3, 112, 112) on the 8-bit grid."""

    protected: Tensor
    plain: Tensor


def noisy_images(protected: Tensor, plain: Tensor, *, bound: float, kind: str, seed: int) -> Noisy:
    """Add noise to protected and to plain faces (N, 3, 112, 112) in [0, 1], clip and round.

    One draw is scaled to every bound, so that a curve over bounds is of one and the same noise.
    """
    both = []
    for images, side in ((protected, PROTECTED), (plain, PLAIN)):
        noise = torch.stack([_unit(image, kind, seed, row, side) for row, image in enumerate(images)])
        both.append(to_unit(to_grid((images + bound * noise).clamp(0, 1))))
    return Noisy(*both)


def feature_cosines(
    protected: Tensor, plain: Tensor, *, key: Key, judge: Judge, bound: float, kind: str, seed: int
) -> Tensor:
    """What the server model makes of noisy features: cosines of protected and plain faces, (N,) float64.

    Args:
        protected: images, (N, 3, 112, 112) in [0, 1].
        plain: the same faces, likewise.
        key: whose features are uploaded.
        judge: its recogniser.
        bound: of the noise, in units of each feature's root mean square.
        kind: "gaussian" or "uniform".
        seed: of it.
    """
    recogniser, cut = judge.recogniser, key.manifest.cut
    device = next(recogniser.module.buffers(), torch.empty(0)).device
    shallow = recogniser.front(cut).to(device)
    server = recogniser.head(cut).to(device)
    rows = []
    with torch.inference_mode():
        for images, side in ((protected, PROTECTED), (plain, PLAIN)):
            parts = []
            for start in range(0, len(images), BATCH):
                features = shallow(images[start : start + BATCH].to(device)).cpu()
                scale = features.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (features.dim() - 1))
                drawn = [_unit(row, kind, seed, start + at, side) for at, row in enumerate(features)]
                parts.append(server((features + bound * scale * torch.stack(drawn)).to(device)).cpu())
            rows.append(torch.cat(parts))
    return pair_scores(*rows)


def _unit(like: Tensor, kind: str, seed: int, row: int, side: int) -> Tensor:
    """Noise of bound 1 in the shape of one image or feature."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, row, side])))
    shape = tuple(like.shape)
    if kind == "gaussian":
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    return torch.from_numpy(generator.uniform(-1, 1, shape).astype(np.float32))

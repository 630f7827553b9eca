"""The frequency mask: which channels of a face are kept, in which secret order, and how they are standardised.

Source: Wang et al. 2022 (PPFR-FD): DC dropped, 36 channels a colour kept, shuffled, normalised. Its code is not public;
the channels by default are the lowest frequencies in JPEG's order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from facemin.ahm.masking.frequency import (
    BLOCK,
    CHANNELS,
    DC,
    FACE,
    FREQUENCIES,
    block_dct,
    check_faces,
    to_frequencies,
    to_ycbcr,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Blocks = Literal["upsampled", "plain"]
"""Blocks of the face upsampled eightfold, or blocks of 8 x 8 of its own pixels."""

Choice = Literal["zigzag", "energy"]
"""The lowest frequencies in JPEG's order, or those with the highest measured energy."""

KEPT = 36
"""Channels a colour."""

SECRET_BITS = 128
FORMAT = "facemin-mask-1"


class Statistics(NamedTuple):
    """Of each of the 192 channels, over faces and blocks; (192,) float64 each."""

    mean: Tensor
    deviation: Tensor
    energy: Tensor
    """Mean of the squares."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """A mask, the secret of whoever trains a recogniser on masked faces.

    Args:
        channels: kept, of 0..191, in the order in which they come.
        mean: of each, (K,) float32, which is subtracted.
        deviation: of each, (K,) float32, above 0, which is divided by.
        blocks: of what.
        every: for upsampled blocks: every block, or every second, fourth, ... of each row and column.

    Raises:
        ValueError: channels that do not exist or come twice, statistics that do not fit, or a wrong stride.
    """

    channels: tuple[int, ...]
    mean: Tensor
    deviation: Tensor
    blocks: Blocks = "upsampled"
    every: int = 1

    def __post_init__(self) -> None:
        count = len(self.channels)
        if not count or len(set(self.channels)) < count or not all(0 <= each < CHANNELS for each in self.channels):
            raise ValueError(f"channels: expected different ones of 0..{CHANNELS - 1}, got {self.channels}")
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if tuple(values.shape) != (count,) or values.dtype != torch.float32 or not bool(values.isfinite().all()):
                raise ValueError(
                    f"{name}: expected finite float32 ({count},), got {values.dtype} {tuple(values.shape)}"
                )
        if not bool((self.deviation > 0).all()):
            raise ValueError(f"deviation: expected numbers above 0, got {float(self.deviation.min())}")
        if self.blocks not in ("upsampled", "plain"):
            raise ValueError(f"blocks: expected upsampled or plain, got {self.blocks!r}")
        if self.every < 1 or FACE % self.every or (self.blocks == "plain" and self.every != 1):
            raise ValueError(f"every: expected a divisor of {FACE}, and 1 for plain blocks, got {self.every}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one masked face: channels, rows and columns of blocks."""
        side = FACE // (self.every if self.blocks == "upsampled" else BLOCK)
        return len(self.channels), side, side

    def __call__(self, faces: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Mask faces.

        Args:
            faces: (B, 3, 112, 112), RGB in [0, 1].
            out: where to write; see `to_frequencies`.

        Returns:
            (B, *shape), each channel with mean 0 and deviation 1 over the data that the statistics are of.

        Raises:
            ValueError: faces of another shape or type.
        """
        found = raw_channels(faces, self.channels, blocks=self.blocks, every=self.every, out=out)
        factor, shift = (each.to(found)[:, None, None] for each in (1 / self.deviation, -self.mean / self.deviation))
        return torch.addcmul(shift, found, factor, out=out)

    def unstandardise(self, masked: Tensor) -> Tensor:
        """Coefficients (B, *shape) as they were before the mean was subtracted."""
        mean, deviation = (each.to(masked)[:, None, None] for each in (self.mean, self.deviation))
        return masked * deviation + mean

    def encode(self) -> bytes:
        """The mask's file: safetensors with both statistics, and the rest in its metadata."""
        metadata = {
            "format": FORMAT,
            "channels": json.dumps(self.channels),
            "blocks": self.blocks,
            "every": str(self.every),
        }
        return save({"mean": self.mean.contiguous(), "deviation": self.deviation.contiguous()}, metadata)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that the mask is, in hexadecimal; the file's own bytes may come in several orders."""
        digest = hashlib.sha256(repr((self.channels, self.blocks, self.every)).encode())
        for values in (self.mean, self.deviation):
            digest.update(values.cpu().numpy().tobytes())
        return digest.hexdigest()


def decode_mask(data: bytes, *, name: str = "mask") -> Mask:
    """Read a mask's file.

    Args:
        data: its bytes.
        name: what to call it in an error.

    Raises:
        ValueError: it is no such file, or one that was changed into nonsense.
    """
    try:
        tensors = load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r:.40}")
        channels = tuple(int(channel) for channel in json.loads(metadata["channels"]))
        return Mask(channels=channels, blocks=metadata["blocks"], every=int(metadata["every"]), **tensors)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: expected a file of format {FORMAT}, got: {str(error)[:200]}") from None


def raw_channels(
    faces: Tensor, channels: Sequence[int], *, blocks: Blocks, every: int = 1, out: Tensor | None = None
) -> Tensor:
    """Channels of faces (B, 3, 112, 112), not standardised: (B, K, h, h)."""
    if blocks == "upsampled":
        return to_frequencies(faces, channels, every=every, out=out)
    check_faces(faces)
    return block_dct(to_ycbcr(faces))[:, list(channels)]


def measure_statistics(batches: Iterable[Tensor], *, blocks: Blocks = "upsampled", every: int = 1) -> Statistics:
    """Statistics of all 192 channels over batches of faces (B, 3, 112, 112), RGB in [0, 1].

    Raises:
        ValueError: no faces, or of another shape.
    """
    count, total, squares = 0, torch.zeros(CHANNELS, dtype=torch.float64), torch.zeros(CHANNELS, dtype=torch.float64)
    everything = range(CHANNELS)
    for faces in batches:
        found = raw_channels(faces, everything, blocks=blocks, every=every).double()
        count += found[:, 0].numel()
        total += found.sum((0, 2, 3)).cpu()
        squares += found.square().sum((0, 2, 3)).cpu()
    if not count:
        raise ValueError("faces: expected at least one to measure, got none")
    mean, energy = total / count, squares / count
    return Statistics(mean, (energy - mean.square()).clamp_min(1e-12).sqrt(), energy)


def choose_channels(
    choice: Choice | Tensor, statistics: Statistics, *, kept: int = KEPT, dc: bool = False
) -> tuple[int, ...]:
    """The channels to keep of each colour, in ascending order.

    Args:
        choice: the rule; or learned scores (192,), of which the highest of each colour are kept.
        statistics: for "energy".
        kept: channels a colour.
        dc: whether DC may be among them.

    Raises:
        ValueError: an unknown rule, scores of another shape, or more channels than there are.
    """
    if not 1 <= kept <= FREQUENCIES - (not dc):
        raise ValueError(f"kept: expected 1 to {FREQUENCIES - (not dc)} channels a colour, got {kept}")
    if isinstance(choice, Tensor):
        scores = choice.double()
    elif choice in ("zigzag", "energy"):
        scores = statistics.energy if choice == "energy" else -torch.tensor(zigzag(), dtype=torch.float64).repeat(3)
    else:
        raise ValueError(f"choice: expected zigzag, energy or scores, got {choice!r}")
    if tuple(scores.shape) != (CHANNELS,):
        raise ValueError(f"scores: expected ({CHANNELS},), got {tuple(scores.shape)}")
    scores = scores.clone()
    if not dc:
        scores[list(DC)] = -torch.inf
    best = scores.view(3, FREQUENCIES).topk(kept, dim=1).indices + torch.tensor(DC)[:, None]
    return tuple(sorted(best.flatten().tolist()))


def make_mask(
    channels: Sequence[int],
    statistics: Statistics,
    *,
    secret: int | None,
    blocks: Blocks = "upsampled",
    every: int = 1,
) -> Mask:
    """A mask of these channels, in an order that the secret decides.

    Args:
        channels: kept.
        statistics: of the data that the recogniser trains on.
        secret: in [0, 2^128), drawn anew for each recogniser; None keeps the order as it is, which hides nothing.
        blocks: what the statistics are of.
        every: likewise.

    Raises:
        ValueError: a secret out of range, or channels as for `Mask`.
    """
    order = list(channels)
    if secret is not None:
        if not 0 <= secret < 2**SECRET_BITS:
            raise ValueError("secret: expected a number in [0, 2^128), got another")
        # all of its bits count, of which torch's generator would keep 32
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(secret)))
        order = [order[place] for place in generator.permutation(len(order)).tolist()]
    return Mask(
        channels=tuple(order),
        mean=statistics.mean[order].float(),
        deviation=statistics.deviation[order].clamp_min(1e-6).float(),
        blocks=blocks,
        every=every,
    )


def zigzag() -> list[int]:
    """Rank of frequency 8 u + v in JPEG's zigzag order: 0 for DC, 63 for the highest.

    Source: ITU-T T.81 (JPEG), figure 5.
    """
    assert isqrt(FREQUENCIES) == BLOCK

    def order(place: int) -> tuple[int, int]:
        u, v = divmod(place, BLOCK)
        return u + v, u if (u + v) % 2 else v

    ranked = sorted(range(FREQUENCIES), key=order)
    return [ranked.index(place) for place in range(FREQUENCIES)]

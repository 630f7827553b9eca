"""Data of an AHM run: training faces, public faces, verification pairs and the mask."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.ahm.draws import generator_of
from facemin.ahm.masking.frequency import CHANNELS
from facemin.ahm.masking.mask import (
    SECRET_BITS,
    choose_channels,
    decode_mask,
    make_mask,
    measure_statistics,
    raw_channels,
)
from facemin.ahm.masking.selection import Selection
from facemin.autograd.pixels import to_unit
from facemin.runtime.files import write_atomically
from facemin.train.data.sources import open_source
from facemin.train.data.split import split_people
from facemin.train.validation import held_out_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from facemin.ahm.config import AHMConfig
    from facemin.ahm.masking.mask import Mask
    from facemin.evaluation.pairs import VerificationSet


_SMALL = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """A run's faces.

    Args:
        pool: trained on, uint8 (N, 3, 112, 112).
        labels: of each its class, (N,) int64.
        names: of the classes.
        public: of other people, uint8 (M, 3, 112, 112).
        pairs: of people held out; None where nobody is.
        held_out: their number.
        fingerprint: SHA-256 of which faces and people these are, in hexadecimal.
    """

    pool: Tensor
    labels: Tensor
    names: tuple[str, ...]
    public: Tensor
    pairs: VerificationSet | None
    held_out: int
    fingerprint: str


def read_people(config: AHMConfig, *, cache: Path, on_aligned: Callable[[int, int], None] | None = None) -> People:
    """Read all faces of a run into memory.

    Raises:
        ValueError: faces that are missing or damaged, or more public people than there are.
        OSError: a file that cannot be read or written.
    """
    source = open_source(config.data, cache=cache, on_aligned=on_aligned)
    split = split_people(source, config.data)
    pairs = None
    if split.held_out_people:
        count, seed = config.evaluate.pairs, config.data.split_seed
        pairs = held_out_pairs(source, split, count=count, seed=seed)
    trained = len(split.people) - config.query.public
    if trained < 2:
        raise ValueError(f"query.public: expected at most {len(split.people) - 2} people, got {config.query.public}")
    is_public = split.labels >= trained
    faces = torch.stack([source.read(int(image)) for image in split.images])
    names = "\0".join(split.people[:trained]).encode("utf-8", "surrogateescape")
    return People(
        pool=faces[~is_public],
        labels=split.labels[~is_public],
        names=split.people[:trained],
        public=faces[is_public],
        pairs=pairs,
        held_out=len(split.held_out_people),
        fingerprint=hashlib.sha256(source.fingerprint.encode() + names).hexdigest(),
    )


def find_mask(config: AHMConfig, pool: Tensor, labels: Tensor, path: Path, *, resumed: bool) -> Mask:
    """The run's mask: the one in its folder where it goes on, else a new one of the faces' statistics.

    Args:
        config: the run.
        pool: faces trained on, uint8 (N, 3, 112, 112).
        labels: of them, (N,).
        path: of the mask's file.
        resumed: whether there is one.

    Raises:
        ValueError: a file that is no mask.
        OSError: it cannot be read or written.
    """
    if resumed:
        return decode_mask(path.read_bytes(), name=str(path))
    settings = config.mask
    chosen = generator_of(config.seed, "statistics", 0).permutation(len(pool))[: settings.measured]
    parts = torch.split(torch.from_numpy(chosen), 32)
    statistics = measure_statistics(
        (to_unit(pool[part]) for part in parts), blocks=settings.blocks, every=settings.every
    )
    if settings.choice == "learned":
        # what is small enough to learn from: a linear classifier needs no detail
        raw = [
            F.adaptive_avg_pool2d(
                raw_channels(to_unit(pool[part]), range(CHANNELS), blocks=settings.blocks, every=settings.every), _SMALL
            )
            for part in parts
        ]
        scores = Selection(seed=config.seed)(torch.cat(raw), labels[torch.from_numpy(chosen)], statistics.energy)
        channels = choose_channels(scores, statistics, kept=settings.kept, dc=settings.dc)
    else:
        channels = choose_channels(settings.choice, statistics, kept=settings.kept, dc=settings.dc)
    secret = secrets.randbits(SECRET_BITS) if settings.secret is None else settings.secret
    mask = make_mask(
        channels,
        statistics,
        secret=secret if settings.shuffle else None,
        blocks=settings.blocks,
        every=settings.every,
    )
    write_atomically(path, mask.encode())
    return mask

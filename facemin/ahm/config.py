"""Configuration of an AHM run: mask, mixing, recogniser and strategy network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from facemin.ahm.masking.frequency import FACE
from facemin.ahm.masking.mask import KEPT, SECRET_BITS, Blocks, Choice
from facemin.ahm.mixing import COUNTS, MOST, Partners
from facemin.ahm.recogniser import WIDTHS
from facemin.runtime.compute import Precision
from facemin.train.config import (
    RunConfig,
    Section,
    read_toml,
)

if TYPE_CHECKING:
    from pathlib import Path


class Masking(Section):
    """Which mask is made, of the training faces' statistics."""

    blocks: Blocks = "upsampled"
    every: int = Field(default=1, ge=1, le=FACE)
    """Every block, or every second, fourth, ... of each row and column: where the network would stride anyway."""
    choice: Choice | Literal["learned"] = "zigzag"
    """Learned: see `facemin.ahm.masking.selection`."""
    kept: int = Field(default=KEPT, ge=1, le=64)
    """Channels a colour."""
    dc: bool = False
    """Keep DC too."""
    shuffle: bool = True
    """False keeps the order as it is; with `dc`, this is the baseline without a mask."""
    secret: int | None = Field(default=None, ge=0, lt=2**SECRET_BITS)
    """Decides the order; drawn from the system when None. For experiments: a configuration is no place for one."""
    measured: int = Field(default=512, ge=1)
    """Training faces that the statistics are taken of."""


class Mixing(Section):
    """How many faces are mixed into one, and whose."""

    kind: Literal["none", "fixed", "random", "ramp", "policy"] = "policy"
    """Ramp: one more face with each fifth of the steps, from 2 to 6, which asks nobody."""
    count: int | None = Field(default=None, ge=COUNTS[0], le=MOST)
    """For fixed."""
    partners: Partners = "any"

    @model_validator(mode="after")
    def _count_for_fixed(self) -> Mixing:
        if (self.count is not None) != (self.kind == "fixed"):
            raise ValueError(f"expected a count for fixed and for no other, got {self.kind}, {self.count}")
        return self


class Strategy(Section):
    """How the strategy network learns."""

    rate: float = Field(default=3e-3, gt=0)
    """Adam's."""
    every: int = Field(default=4, ge=1)
    """Steps of the recogniser, the strategy standing still, to one of the strategy, the recogniser standing still."""
    entropy_bonus: float = Field(default=0.01, ge=0)
    """What a nat of entropy is worth, in units of the reward."""
    reward: Literal["loss", "excess"] = "loss"
    """The loss as it is, or what it exceeds the entropy of the mixed labels by, which no recogniser can go below."""
    standardised: bool = False
    """Take each reward in deviations from what its own number of faces has given so far: then no number is better by
    itself, and only which image gets it counts."""
    accuracy_cost: float = Field(default=1.0, ge=0)
    """What an image that is recognised masked, but whose mixture is not recognised as whoever weighs most in it, takes
    off its reward, in nats of loss."""
    frozen: float = Field(default=0.0, ge=0, lt=1)
    """Share of all steps, the first ones, in which the strategy does not learn and draws all numbers alike."""
    floor: float | None = Field(default=None, gt=0, lt=1)
    """Share of the training faces, masked only, that shall be recognised; a multiplier on the number of faces rises
    while it is not, and falls while it is (dual ascent). None for no such floor."""
    floor_rate: float = Field(default=0.5, gt=0)
    """How fast the multiplier moves: nats a strategy step, times what is missing."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of the rewards' moving average."""


class Network(Section):
    """See `facemin.ahm.recogniser.masked_resnet`."""

    embedding_size: int = Field(default=128, ge=1)
    widths: tuple[int, ...] = WIDTHS
    dropout: float = Field(default=0.2, ge=0, lt=1)


class Query(Section):
    """What a query looks like at test time; masked only is always measured."""

    public: int = Field(default=0, ge=0)
    """Training people set apart as public: queries are mixed with faces of theirs, and nothing is trained on them."""
    count: int = Field(default=2, ge=COUNTS[0], le=MOST)
    """Faces in a mixed query, its own the heaviest."""


class AHMConfig(RunConfig):
    """A run of AHM or of one of its baselines."""

    precision: Precision = "auto"
    mask: Masking = Masking()
    mixing: Mixing = Mixing()
    strategy: Strategy = Strategy()
    network: Network = Network()
    query: Query = Query()

    @model_validator(mode="after")
    def _is_of_a_folder(self) -> Self:
        if self.data.kind != "folder":
            raise ValueError("data.kind: expected a folder, whose faces are held in memory, got another")
        return self


def read_ahm_config(path: Path) -> AHMConfig:
    """Read an AHM run's TOML file; its relative paths become relative to its folder.

    Raises:
        ValueError: see `read_toml`.
    """
    return read_toml(path, AHMConfig, {"data": ("root", "landmarks", "cache")})

"""Configuration of a training run: TOML, read into frozen models whose errors name file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from facemin.runtime.faults import all_faults
from facemin.runtime.toml_file import read_table
from facemin.train.data.sampler import Batches
from facemin.train.families import FAMILIES
from facemin.train.heads import (
    HEADS,
    ArcFaceSettings,
    CosFaceSettings,
    SoftmaxSettings,
    SphereFaceSettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Configuration = TypeVar("Configuration", bound=BaseModel)

HEAD_SETTINGS: dict[str, type[ArcFaceSettings | CosFaceSettings | SoftmaxSettings | SphereFaceSettings]] = {
    "softmax": SoftmaxSettings,
    "sphereface": SphereFaceSettings,
    "cosface": CosFaceSettings,
    "arcface": ArcFaceSettings,
}
"""The settings of each of `facemin.train.heads.HEADS`."""


class Section(BaseModel):
    """Part of a configuration: strict about names, and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    """Which faces, and who is kept apart."""

    kind: Literal["folder", "insightface"]
    """A folder per person, or InsightFace's train.rec, train.idx and property."""
    root: Path
    """The folder; in the file relative to the file's own folder."""
    landmarks: Path | None = None
    """Of a folder: five points per photo, see `facemin.datasets.landmarks`; None to detect."""
    aligned: bool = False
    """Of a folder: its images are aligned faces of 112 x 112 already."""
    cache: Path | None = None
    """Of a folder: where the aligned faces are kept; `faces` in the run's folder when None."""
    min_images: int = Field(default=1, ge=1)
    """People with fewer are left out."""
    held_out: Annotated[int, Field(ge=0)] | Annotated[tuple[str, ...], Field(min_length=1)] = 0
    """People never trained on: how many, drawn by `split_seed`, or who; RecordIO's have numbers for names."""
    split_seed: int = Field(default=0, ge=0, lt=2**63)
    flip: bool = True
    """Mirror each face with a probability of one half."""
    workers: int = Field(default=2, ge=0, le=512)
    """Processes that read faces, a device; 0 reads them in the training process."""

    @model_validator(mode="after")
    def _fits_kind(self) -> Data:
        given = [name for name in ("landmarks", "cache") if getattr(self, name) is not None]
        if self.kind == "insightface" and (given or self.aligned):
            raise ValueError(f"expected no landmarks, cache or aligned for insightface, got {given or ['aligned']}")
        if self.aligned and given:
            raise ValueError(f"expected nothing to align with where aligned = true, got {given}")
        return self


class Model(Section):
    """Which network; what is left out is as the family has it."""

    family: str
    embedding_size: int | None = Field(default=None, ge=1, le=1 << 16)
    width: float | None = None
    dropout: float | None = None

    @model_validator(mode="after")
    def _known(self) -> Model:
        if self.family not in FAMILIES:
            raise ValueError(f"expected a family among {', '.join(FAMILIES)}, got {self.family!r:.80}")
        return self

    def settings(self) -> dict[str, Any]:
        """Keywords for the family's constructor."""
        return self.model_dump(exclude={"family"}, exclude_none=True)


class Head(BaseModel):
    """Which loss: its kind, and settings of it."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    kind: str

    @model_validator(mode="after")
    def _known(self) -> Head:
        if self.kind not in HEADS:
            raise ValueError(f"expected a kind among {', '.join(HEADS)}, got {self.kind!r:.80}")
        try:
            self.settings()
        except TypeError as error:
            reason = str(error).partition(" ")[2]
            raise ValueError(f"expected settings of {self.kind}, got {self.model_extra} ({reason})") from None
        return self

    def settings(self) -> ArcFaceSettings | CosFaceSettings | SoftmaxSettings | SphereFaceSettings:
        """What the head is made with."""
        return HEAD_SETTINGS[self.kind](**(self.model_extra or {}))


class Optimiser(Section):
    """Stochastic gradient descent."""

    rate: float = Field(gt=0)
    """Learning rate after the warm-up, at the whole batch."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    decay_all: bool = True
    """False: none on biases, normalisations and PReLU, whose tensors have one dimension."""
    clip: float | None = Field(default=None, gt=0)
    """Longest gradient, as the norm over all weights."""


class StepSchedule(Section):
    """The rate times `factor` at each milestone."""

    kind: Literal["step"]
    milestones: tuple[float, ...] = Field(min_length=1)
    """Epochs, rising."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    warmup: float = Field(default=0.0, ge=0)
    """Epochs of linear rise from 0."""

    @model_validator(mode="after")
    def _rising(self) -> StepSchedule:
        if list(self.milestones) != sorted(set(self.milestones)) or self.milestones[0] <= 0:
            raise ValueError(f"expected rising milestones above 0, got {list(self.milestones)}")
        return self


class CosineSchedule(Section):
    """The rate along half a cosine, from the warm-up's end to the last step.

    Source: Loshchilov and Hutter 2017 (SGDR), equation 5, without restarts.
    """

    kind: Literal["cosine"]
    final: float = Field(default=0.0, ge=0, lt=1)
    """What is left of the rate at the end, as a factor."""
    warmup: float = Field(default=0.0, ge=0)
    """Epochs of linear rise from 0."""


class Evaluate(Section):
    """Pairs of the people held out."""

    every: int = Field(default=1000, ge=1)
    """Steps; besides before the first and after the last."""
    pairs: int = Field(default=3000, ge=10)
    """Genuine pairs at most, as evenly over people as they allow; and as many impostor pairs."""
    batch: int = Field(default=64, ge=1)


class RunConfig(Section):
    """What every run has."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    """Faces a step: of all devices and all parts of an accumulated gradient together."""
    log_every: int = Field(default=10, ge=1)
    """Steps."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Steps; besides after the last."""
    data: Data
    head: Head
    optimiser: Optimiser
    schedule: StepSchedule | CosineSchedule = Field(discriminator="kind")
    evaluate: Evaluate = Evaluate()

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        if self.schedule.warmup >= self.epochs:
            raise ValueError(f"schedule: expected a warm-up shorter than {self.epochs} epochs, got more")
        return self

    def course(self) -> dict[str, Any]:
        """What the weights depend on, beside the data: a run is resumed under the same only."""
        unimportant = {"root", "landmarks", "cache", "workers"}
        return self.model_dump(
            mode="json", exclude={"data": unimportant, "log_every": True, "checkpoint_every": True, "evaluate": True}
        )

    def batches(self, images: int, **device: int) -> Batches:
        """The run's batches of so many faces; `device` says which part of them a device computes."""
        return Batches(
            images=images, batch=self.batch, epochs=self.epochs, seed=self.seed, flip=self.data.flip, **device
        )


class TrainingConfig(RunConfig):
    """A training run."""

    accumulate: int = Field(default=1, ge=1)
    """Parts in which a device computes its share of a batch, one after the other."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    model: Model


def read_config(path: Path) -> TrainingConfig:
    """Read a training run's TOML file; its relative paths become relative to its folder.

    Raises:
        ValueError: no such file, not TOML, or fields that are missing, unknown or out of range, each named.
    """
    return read_toml(path, TrainingConfig, {"data": ("root", "landmarks", "cache")})


UNION_VARIANTS = frozenset({"step", "cosine", "constrained-int"})


def read_toml(path: Path, kind: type[Configuration], paths: Mapping[str, tuple[str, ...]]) -> Configuration:
    """Read a configuration's TOML file.

    Args:
        path: the file.
        kind: what it is read into.
        paths: of each section, the fields that are paths; relative ones become relative to the file's folder.

    Raises:
        ValueError: no such file, not TOML, or fields that are missing, unknown or out of range, each named.
    """
    values = read_table(path, what="a training configuration")
    for section, names in paths.items():
        fields = values.get(section)
        if not isinstance(fields, dict):
            continue
        for name in names:
            if isinstance(fields.get(name), str):
                fields[name] = str(path.parent / fields[name])
    try:
        # through JSON, because only there strict types still take a list for a tuple and text for a path
        return kind.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise ValueError(f"{path}: {all_faults(error, hidden=UNION_VARIANTS)}") from None

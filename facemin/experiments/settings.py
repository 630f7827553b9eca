"""The tables of an experiment's file, and the cells that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from facemin.experiments.methods import describe_method, make_compute

if TYPE_CHECKING:
    from facemin.protection import Protector

LFW = "lfw"
"""The set that lies in the research folder."""


class Section(BaseModel):
    """A table of an experiment's file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    """Which faces, and how many pairs of them."""

    set: str = LFW
    """"lfw", or the path of a `.bin` or of a folder with one folder per person, relative to the file's own folder."""
    pairs: Path | None = None
    """Of a folder: its list of pairs; they are drawn without one."""
    landmarks: Path | None = None
    """Of a folder: five points per photo; faces are detected without them."""
    align: Literal["detector", "landmarks"] = "detector"
    """Of LFW in the research folder: by facemin's own detector, as users' photos are, or by the landmarks there."""
    genuine: int = Field(ge=1)
    """Pairs of one person, from the first half of the list; the first image of a pair is protected."""
    impostor: int = Field(ge=0)
    """Pairs of two people, likewise; equation 10 counts them too."""
    calibration: int = Field(ge=10)
    """Pairs of the second half, whose plain images give each recogniser its threshold."""


class Quick(Section):
    """What `--quick` takes in place of the whole: enough to see that everything runs, too little to say anything."""

    genuine: int = Field(default=3, ge=1)
    impostor: int = Field(default=3, ge=0)
    calibration: int = Field(default=20, ge=10)
    steps: int = Field(default=5, ge=0)
    """Most steps of any method."""


class Judges(Section):
    """The recognisers that judge, authorised or not."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Of `facemin model list`, or the stem of an ONNX file in the folder of models."""
    far: float = Field(default=1e-3, gt=0, lt=1)
    """False accept rate at which each one's threshold is measured."""
    kappa: float = Field(default=0.2, ge=-1, le=1)
    """The paper's threshold, the same for all, at which its strict accuracy is given as well."""
    opponent: str | None = None
    """The judge that stands for the paper's one unauthorised model; the mean over all others when None."""

    @model_validator(mode="after")
    def _known(self) -> Judges:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names: expected each once, got {list(self.names)}")
        if self.opponent is not None and self.opponent not in self.names:
            raise ValueError(f"opponent: expected one of the names, got {self.opponent!r}")
        return self


class Noise(Section):
    """Noise of the world, x ~ N(X, delta^2) on both faces, before they are compared (PMT, equation 9)."""

    bounds: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]
    """Each delta, in units of [0, 1]; on features in units of a feature's root mean square."""
    kind: Literal["gaussian", "uniform"] = "gaussian"
    """Of standard deviation delta, or even in [-delta, delta]."""
    on: Literal["image", "feature"] = "image"
    """What it is added to: images, or the features at the first key's cut, which the server model then reads."""
    kappa: Annotated[tuple[Annotated[float, Field(ge=-1, le=1)], ...], Field(min_length=1)] = (0.5,)
    """Thresholds at which the utility is given."""


class KeySettings(Section):
    """An authorised recogniser, and where it is cut."""

    recogniser: str
    cut: str
    layers: tuple[str, ...] = ()
    """Earlier cuts that are matched as well."""
    residual: float | None = Field(default=None, gt=0, le=2)
    """Where to stop; the method's own when None."""


class Paper(Section):
    """The paper's own figures; they stand beside ours."""

    set: str
    """Which data they are of."""
    n: int | None = Field(default=None, ge=1)
    """Pairs behind each figure, where they are known or inferred."""
    remark: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | float, ...], ...] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> Paper:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"rows: expected {len(self.columns)} entries in each, got {len(row)} in {row[0]!r}")
        return self


class Beside(Section):
    """The paper's figures for one cell."""

    authorised: float | None = None
    unauthorised: float | None = None
    up: float | None = None


class Cell(NamedTuple):
    """One measurement: a method for one or more keys."""

    name: str
    series: str
    """What it shares with those that differ by a sweep alone."""
    point: dict[str, Any]
    """Where it lies in the sweep."""
    passed: dict[str, Any]
    """As the file has it."""
    method: Protector | None
    keys: tuple[KeySettings, ...]
    paper: Beside

    def resolved(self, device: str) -> dict[str, Any]:
        """With every default written out, as it runs on a device."""
        compute = make_compute(self.passed["method"], device=device)
        return {
            "method": describe_method(self.method, compute),
            "keys": [key.model_dump(mode="json") for key in self.keys],
        }

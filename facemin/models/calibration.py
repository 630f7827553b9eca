"""Measured operating points of a recogniser: thresholds and stopping residuals, with where they come from.

A threshold is an artefact of a measurement, so it lives in a JSON file with its data, split, FAR and the hash of
the model it was measured on, and is refused for another model.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.models.recogniser import RecogniserGraph


Kind: TypeAlias = Literal["plain", "pseudonym"]
"""What is compared: plain faces, or features under one pseudonym, views averaged as the model's space declares."""


class Threshold(BaseModel):
    """The lowest cosine that is accepted at a false accept rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    far: float = Field(gt=0, lt=1)
    """Asked for, as a fraction."""
    threshold: float
    """Cosine of two unit embeddings."""
    far_measured: float
    impostor_pairs: int
    genuine_pairs: int
    tar: float
    """Of plain probes against plain enrolments at this threshold, on the genuine pairs."""


class StoppingResidual(BaseModel):
    """How closely a protected image has to match at a cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cut: str
    residual: float = Field(gt=0, le=2)
    """Relative feature distance ||E_c(x~) - E_c(x)|| / ||E_c(x)||."""
    tar: float
    """Of protected probes against plain enrolments, at the first threshold of the calibration."""
    pairs: int


class Measurement(BaseModel):
    """What was measured, on what, and how to repeat it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """`Recogniser.fingerprint` of the model measured: it counts for no other."""
    data: str
    """Which images, which pairs, how they were aligned."""
    command: str
    """Repeats the measurement."""


class Calibration(Measurement):
    """What was measured of one recogniser."""

    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    residuals: tuple[StoppingResidual, ...]

    def threshold(self, far: float) -> Threshold:
        """The threshold measured for that FAR.

        Raises:
            ValueError: when it was not measured; the message lists what was.
        """
        for threshold in self.thresholds:
            if threshold.far == far:
                return threshold
        measured = ", ".join(str(threshold.far) for threshold in self.thresholds)
        raise ValueError(f"{self.model}: expected a FAR that was calibrated ({measured}), got {far}")

    def residual(self, cut: str) -> float:
        """The stopping residual calibrated for that cut.

        Raises:
            ValueError: when there is none; the message lists the cuts that have one.
        """
        for entry in self.residuals:
            if entry.cut == cut:
                return entry.residual
        cuts = ", ".join(entry.cut for entry in self.residuals)
        raise ValueError(f"{self.model}: expected a cut with a calibrated residual ({cuts}), got {cut!r}")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file.

    Raises:
        ValueError: when it is not one (pydantic's error names the field).
        FileNotFoundError: when it does not exist.
    """
    return Calibration.model_validate_json(path.read_bytes())


def shipped_calibration(recogniser: RecogniserGraph, kind: Kind = "plain") -> Calibration | None:
    """The calibration that comes with facemin for this very model, or None.

    Under one pseudonym the FAR of a threshold is that of somebody who stole the secret, so that both faces are rotated
    alike; for somebody without it see `pseudonym.stranger_far`.

    Args:
        recogniser: the model.
        kind: of the templates compared.

    Raises:
        ValueError: when there is one of that name that was measured on other weights.
    """
    folder = resources.files("facemin") / "calibrations"
    file = (folder if kind == "plain" else folder / kind) / f"{recogniser.name}.json"
    if not file.is_file():
        return None
    calibration = Calibration.model_validate_json(file.read_bytes())
    if calibration.fingerprint != recogniser.fingerprint:
        raise ValueError(
            f"{recogniser.name}: expected the model that was calibrated ({calibration.fingerprint[:16]}), "
            f"got another one of that name ({recogniser.fingerprint[:16]})"
        )
    return calibration

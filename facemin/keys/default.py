"""The default provider: dlib's ResNet-29, whose key anybody can make."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from facemin.keys.key import Key, export_key
from facemin.models import DEFAULT_MODEL, MODELS, Recogniser
from facemin.models.calibration import shipped_calibration


def calibrated_key(model: str = DEFAULT_MODEL, cut: str | None = None) -> Key:
    """An unsigned key of a recogniser that comes with facemin, at its calibrated residual.

    Args:
        model: one of `MODELS`.
        cut: one of its cuts that has a calibrated residual; its default cut when None.

    Raises:
        ValueError: an unknown model, or a cut without a calibrated residual.
    """
    if model not in MODELS:
        raise ValueError(f"model: expected one of {', '.join(MODELS)}, got {model!r}")
    recogniser = MODELS[model].open()
    cut = cut or MODELS[model].default_cut
    return export_key(
        recogniser,
        cut,
        provider="anybody: a public model, for demonstration",
        residual=stopping_residual(recogniser, cut),
        # a fixed time, so that the default key has the same bytes, and the same fingerprint, on every machine
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


@cache
def default_key() -> Key:
    """The key that is used when none is given; it keeps nothing from somebody who has dlib's model."""
    return calibrated_key()


def stopping_residual(recogniser: Recogniser, cut: str) -> float:
    """The residual calibrated for a recogniser that comes with facemin.

    Raises:
        ValueError: when nothing was calibrated for it.
    """
    calibration = shipped_calibration(recogniser)
    if calibration is None:
        raise ValueError(f"{recogniser.name}: expected a residual, since none was calibrated for this model; got none")
    return calibration.residual(cut)

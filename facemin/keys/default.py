"""The default keys: dlib's ResNet-29, in a space for pseudonyms, and cut earlier for plain protection."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from facemin.keys.key import Key, export_key
from facemin.models import DEFAULT_MODEL, MODELS, SPACE_MODEL, RecogniserGraph
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
    recogniser = MODELS[model].graph()
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
    """The key of the space that pseudonyms are made in when none is given: dlib's network, `SPACE_MODEL`.

    Its graph, and so its space, is the same on every machine and in every version: `DEFAULT_SPACE` names it.

    Raises:
        ValueError: the graph came out otherwise, so that enrolments made under it elsewhere would not be met.
    """
    key = calibrated_key(SPACE_MODEL)
    if key.space is None or key.space.id.hex() != DEFAULT_SPACE:
        found = "none" if key.space is None else key.space.id.hex()
        raise ValueError(
            f"{SPACE_MODEL}: expected the space {DEFAULT_SPACE}, got {found}: its graph was made otherwise"
        )
    return key


@cache
def plain_key() -> Key:
    """The key of plain protection when none is given; it keeps nothing from somebody who has dlib's model."""
    return calibrated_key()


DEFAULT_SPACE = "554a7ccca1ab3614208451ced9e2219a32a1f26313c964ce6c11d462ef2fcbde"
"""Identity of the default key's space; another one would make every enrolment under it useless."""


def stopping_residual(recogniser: RecogniserGraph, cut: str) -> float:
    """The residual calibrated for a recogniser that comes with facemin.

    Raises:
        ValueError: when nothing was calibrated for it.
    """
    calibration = shipped_calibration(recogniser)
    if calibration is None:
        raise ValueError(f"{recogniser.name}: expected a residual, since none was calibrated for this model; got none")
    return calibration.residual(cut)

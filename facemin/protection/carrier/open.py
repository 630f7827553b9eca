"""Carriers as callers ask for them: by a word or by settings, and what cannot be had with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from facemin.protection.carrier.protector import FaceCarrier
from facemin.protection.carrier.target import WHY, CarrierRefused
from facemin.protection.one_pass.protector import torch_is_there

if TYPE_CHECKING:
    from facemin.protection.carrier.base import Look

CarrierKind: TypeAlias = Literal["face", "drawing"]
LOOKS: dict[str, Look] = {"face": "photo", "drawing": "drawing"}
"""What a carrier looks like, by what it is asked for."""


def is_carrier(method: object) -> bool:
    """Whether a method makes carriers."""
    return bool(getattr(method, "carries", False))


def open_carrier(carrier: str | None, method: Any = None) -> FaceCarrier:
    """Settings of a carrier.

    Args:
        carrier: "face" or "drawing"; None where the method says it.
        method: a `FaceCarrier`; None or "auto" for its defaults.

    Raises:
        CarrierRefused: another method, or no torch, which finds the change.
        ValueError: another word.
    """
    if carrier is not None and carrier not in LOOKS:
        raise ValueError(f"carrier: expected one of {', '.join(LOOKS)}, got {carrier!r}")
    if method not in (None, "auto") and not is_carrier(method):
        raise CarrierRefused(f"carrier: expected no method beside it, or a FaceCarrier, got {method!r:.80}")
    if not torch_is_there():
        raise CarrierRefused(
            "carrier: expected torch, which finds its change, found none: pip install 'facemin[torch]'"
        )
    made: FaceCarrier = method if is_carrier(method) else FaceCarrier(look=LOOKS[carrier or "face"])
    if carrier is not None and made.look != LOOKS[carrier]:
        raise CarrierRefused(f"carrier: expected {carrier}, as asked, got settings of look {made.look!r}")
    return made


def check_carried_upload(*, secret: object, upload: str) -> None:
    """Refuse a carrier without a secret, or beside features.

    Raises:
        CarrierRefused: with the reason.
    """
    if secret is None:
        raise CarrierRefused(f"carrier: expected a secret, got none: {WHY}")
    if upload != "image":
        raise CarrierRefused(f"carrier: expected upload 'image', got {upload!r}, which needs no photo")

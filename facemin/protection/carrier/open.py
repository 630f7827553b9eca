"""Carriers as callers ask for them: by a word or by settings, and for services whose network is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from facemin.keys.default import default_key
from facemin.protection.carrier.protector import FaceCarrier
from facemin.protection.carrier.target import WHY, CarrierRefused
from facemin.protection.one_pass.protector import torch_is_there

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.keys.key import Key
    from facemin.protection.carrier.base import Look

CarrierKind: TypeAlias = Literal["face", "drawing"]
LOOKS: dict[str, Look] = {"face": "photo", "drawing": "drawing"}
"""What a carrier looks like, by what it is asked for."""
UNKNOWN = (
    "to a network that it was not made for, a carrier is its base: other people's carriers may be taken for it, and "
    "whoever has the picture is let in"
)

NETWORKS: dict[str, Callable[[], Key]] = {"dlib-resnet29": default_key}
"""Networks that services run as they come, by name: the library `face_recognition`, and whatever else uses dlib's."""


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


def key_of_network(name: str) -> Key:
    """The key of a network that many services run.

    Raises:
        CarrierRefused: another name.
    """
    if name not in NETWORKS:
        raise CarrierRefused(
            f"network: expected one of {', '.join(NETWORKS)}, or the service's key, got {name!r}: {UNKNOWN}"
        )
    return NETWORKS[name]()


def keys_for_carriers(keys: tuple[Key, ...], network: str | None) -> tuple[Key, ...]:
    """The keys of the services that a carrier is for.

    Args:
        keys: that the services gave out.
        network: the service's, by its name, where it gives out no key.

    Raises:
        CarrierRefused: neither a key nor a network, or both.
    """
    if keys and network is not None:
        raise CarrierRefused("network: expected none beside keys, which name their networks")
    if not keys and network is None:
        raise CarrierRefused(
            "carrier: expected a service whose network is known, by its key (--key, keys=) or its name (--network "
            f"{'|'.join(NETWORKS)}, network=), got neither: {UNKNOWN}"
        )
    return keys or (key_of_network(str(network)),)

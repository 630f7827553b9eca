"""Services that a carrier may be sent to: those whose network is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.keys.default import default_key
from facemin.protection.carrier.target import CarrierRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.keys.key import Key

UNKNOWN = (
    "to a network that it was not made for, a carrier is its base: other people's carriers may be taken for it, and "
    "whoever has the picture is let in"
)

NETWORKS: dict[str, Callable[[], Key]] = {"dlib-resnet29": default_key}
"""Networks that services run as they come, by name: the library `face_recognition`, and whatever else uses dlib's."""


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

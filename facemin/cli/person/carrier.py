"""Flags of `protect` that ask for a carrier: a photo of a synthetic face."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from facemin.keys.key import Key
    from facemin.protection.carrier.protector import FaceCarrier


@Parameter(name="*", group=Group("For a service that insists on a photo (docs/carriers.md)"))
@dataclass(frozen=True, kw_only=True)
class CarrierFlags:
    """What `facemin.protection.carrier` is asked for."""

    carrier: Annotated[
        Literal["none", "face", "drawing"],
        Parameter(
            help="A photo (or drawing) of a face of nobody whose embedding is your pseudonym; the same face for the "
            "same secret, purpose and recipient. Needs torch, and the service's --key or --network."
        ),
    ] = "none"
    network: Annotated[
        str | None, Parameter(help="The network of a service without a key of its own: dlib-resnet29.")
    ] = None
    size: Annotated[int, Parameter(help="Side of the photo, 256 to 1024 pixels.")] = 512
    jpeg: Annotated[bool, Parameter(negative="", help="b.protected.jpg instead of PNG.")] = False

    def __bool__(self) -> bool:
        return self.carrier != "none"

    def check(self, others: dict[str, bool]) -> None:
        """Refuse flags of a carrier without one, and options that a carrier has no use for.

        Raises:
            ValueError: naming the first.
        """
        if self:
            for name, given in others.items():
                if given:
                    raise ValueError(f"{name}: expected without --carrier, got it with")
        elif self != replace(WITHOUT, carrier=self.carrier):
            raise ValueError("--network, --size, --jpeg: expected with --carrier, got one without")

    def keys(self, keys: list[Key]) -> list[Key]:
        """The keys of the services that it is for; those given where none is asked for.

        Raises:
            CarrierRefused: a service whose network is not known.
        """
        from facemin.protection.carrier.open import keys_for_carriers

        return [*keys_for_carriers(tuple(keys), self.network)] if self else keys

    def settings(self) -> FaceCarrier:
        """As the library takes them."""
        from facemin.protection.carrier.open import LOOKS, open_carrier
        from facemin.protection.carrier.protector import FaceCarrier

        made = FaceCarrier(look=LOOKS[self.carrier], side=self.size, format="JPEG" if self.jpeg else "PNG")
        return open_carrier(self.carrier, made)


WITHOUT = CarrierFlags()

"""Carriers: synthetic faces whose embeddings are pseudonyms, for services that insist on a photo."""

from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.protection.carrier.base import Base, draw_base
    from facemin.protection.carrier.protector import FaceCarrier
    from facemin.protection.carrier.target import CarrierRefused, PseudonymTarget

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.protection.carrier.base": ("Base", "draw_base"),
        "facemin.protection.carrier.protector": ("FaceCarrier",),
        "facemin.protection.carrier.target": ("CarrierRefused", "PseudonymTarget"),
    },
)

__all__ = ["Base", "CarrierRefused", "FaceCarrier", "PseudonymTarget", "draw_base"]

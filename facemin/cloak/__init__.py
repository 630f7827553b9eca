"""Cloaks: photos that look like themselves and that strangers' recognisers mistake, and the masks that make them."""

from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.cloak.folder import CloakedPhoto, CloakJob, cloak_into, plan_cloaking
    from facemin.cloak.lay import lay
    from facemin.cloak.mask_file import InvalidMask, Mask
    from facemin.cloak.opom import OPOM
    from facemin.cloak.p3_mask import P3Mask

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.cloak.folder": ("CloakJob", "CloakedPhoto", "cloak_into", "plan_cloaking"),
        "facemin.cloak.lay": ("lay",),
        "facemin.cloak.mask_file": ("InvalidMask", "Mask"),
        "facemin.cloak.opom": ("OPOM",),
        "facemin.cloak.p3_mask": ("P3Mask",),
    },
)

__all__ = [
    "OPOM",
    "CloakJob",
    "CloakedPhoto",
    "InvalidMask",
    "Mask",
    "P3Mask",
    "cloak_into",
    "lay",
    "plan_cloaking",
]

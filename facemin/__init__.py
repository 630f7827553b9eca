"""facemin: facial data minimisation.

A face photo becomes the least that one chosen recogniser needs. The public names below are imported when they are
first used, so that `import facemin` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.client.client import Client
    from facemin.keys.key import Key, export_key
    from facemin.models import load_recogniser
    from facemin.protection import PMT, NothingProtected, ProtectedPhoto, protect, protect_photos
    from facemin.runtime.errors import (
        FaceminError,
        InvalidKey,
        InvalidModel,
        InvalidPhoto,
        KeyChanged,
        KeyExpired,
        NoFace,
        NoSpace,
        UntrustedKey,
    )

    __version__: str

__all__ = [
    "PMT",
    "Client",
    "FaceminError",
    "InvalidKey",
    "InvalidModel",
    "InvalidPhoto",
    "Key",
    "KeyChanged",
    "KeyExpired",
    "NoFace",
    "NoSpace",
    "NothingProtected",
    "ProtectedPhoto",
    "UntrustedKey",
    "export_key",
    "load_recogniser",
    "protect",
    "protect_photos",
]

_getattr, _dir = lazy_exports(
    __name__,
    {
        "facemin.client.client": ("Client",),
        "facemin.keys.key": ("Key", "export_key"),
        "facemin.models": ("load_recogniser",),
        "facemin.protection": ("PMT", "NothingProtected", "ProtectedPhoto", "protect", "protect_photos"),
        "facemin.runtime.errors": (
            "FaceminError",
            "InvalidKey",
            "InvalidModel",
            "InvalidPhoto",
            "KeyChanged",
            "KeyExpired",
            "NoFace",
            "NoSpace",
            "UntrustedKey",
        ),
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("facemin")
    return _getattr(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_dir(), "__version__"})

"""facemin: facial data minimisation.

A face photo becomes the least that one chosen recogniser needs. The public names below are imported when they are
first used, so that `import facemin` costs nothing. `facemin.protect`, the function, stands in front of the package of
the same name; `from facemin.protection import PMT` works as ever.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

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
    "NothingProtected",
    "ProtectedPhoto",
    "export_key",
    "load_recogniser",
    "protect",
    "protect_photos",
]

_HOMES = {
    "Client": "facemin.client.client",
    "FaceminError": "facemin.runtime.errors",
    "InvalidKey": "facemin.runtime.errors",
    "InvalidModel": "facemin.runtime.errors",
    "InvalidPhoto": "facemin.runtime.errors",
    "Key": "facemin.keys.key",
    "KeyChanged": "facemin.runtime.errors",
    "KeyExpired": "facemin.runtime.errors",
    "NoFace": "facemin.runtime.errors",
    "NothingProtected": "facemin.protect",
    "PMT": "facemin.protect",
    "ProtectedPhoto": "facemin.protect",
    "export_key": "facemin.keys.key",
    "load_recogniser": "facemin.models",
    "protect": "facemin.protect",
    "protect_photos": "facemin.protect",
}
"""Where each public name lives."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("facemin")
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'facemin' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


class _Package(ModuleType):
    """Keeps `facemin.protect` the function: importing a module binds its name here, whoever imports it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "protect" and isinstance(value, ModuleType):
            value = value.protect
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

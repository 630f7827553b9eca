"""facemin: facial data minimisation.

A face photo becomes the least that one chosen recogniser needs. The public names below are imported when they are
first used, so that a room that needs little loads little.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.client.client import Client
    from facemin.keys.key import Key, export_key
    from facemin.models import load_recogniser
    from facemin.protection import PMT, ProtectedPhoto, protect, protect_photos

__version__ = version("facemin")

__all__ = [
    "PMT",
    "Client",
    "Key",
    "ProtectedPhoto",
    "export_key",
    "load_recogniser",
    "protect",
    "protect_photos",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.client.client": ("Client",),
        "facemin.keys.key": ("Key", "export_key"),
        "facemin.models": ("load_recogniser",),
        "facemin.protection": ("PMT", "ProtectedPhoto", "protect", "protect_photos"),
    },
)

"""facemin: facial data minimisation.

A face photo becomes the least that one chosen recogniser needs. The package's parts are importable by name
(`facemin.protect`, the function, stands in front of the package of the same name; `from facemin.protection import
PMT` works as ever).
"""

from importlib.metadata import version

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

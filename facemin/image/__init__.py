"""Images: bytes decoded and encoded, EXIF, colour, and the photos in a folder."""

from facemin.image.codec import MAX_PIXELS, Photo, Pixels, Source, decode, open_jpeg
from facemin.image.encoding import Encoding, encode
from facemin.image.formats import FORMATS
from facemin.image.walk import SUFFIXES, Skipped, Walk, describe, walk

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Encoding",
    "Photo",
    "Pixels",
    "Skipped",
    "Source",
    "Walk",
    "decode",
    "describe",
    "encode",
    "open_jpeg",
    "walk",
]

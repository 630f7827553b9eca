"""Images: bytes decoded and encoded, EXIF, colour."""

from facemin.image.codec import (
    FORMATS,
    MAX_PIXELS,
    SUFFIXES,
    Encoding,
    Photo,
    Source,
    decode,
    encode,
    to_grid,
    to_unit,
)

__all__ = ["FORMATS", "MAX_PIXELS", "SUFFIXES", "Encoding", "Photo", "Source", "decode", "encode", "to_grid", "to_unit"]

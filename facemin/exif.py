"""What of a photo's EXIF is used, and what is kept: orientation; time, place, camera and author."""

from typing import NamedTuple

from PIL import ExifTags, Image


class Turn(NamedTuple):
    """How the stored rows lie in the upright image: with axes swapped, then rows and columns reversed."""

    swapped: bool
    rows_reversed: bool
    columns_reversed: bool


ORIENTATIONS = {
    1: Turn(False, False, False),
    2: Turn(False, False, True),
    3: Turn(False, True, True),
    4: Turn(False, True, False),
    5: Turn(True, False, False),
    6: Turn(True, True, False),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}
"""Turns by EXIF orientation. Source: TIFF 6.0, tag 274 (Orientation), which EXIF takes over."""

# What says who, when and with what. Everything else is left out, above all what can hold a second picture of
# the face (thumbnail, maker note, Photoshop resources) and what describes the file the pixels came from.
_TAG = ExifTags.Base
_KEPT_TAGS = (
    *(_TAG.ImageDescription, _TAG.Make, _TAG.Model, _TAG.Software, _TAG.DateTime),
    *(_TAG.Artist, _TAG.Copyright, _TAG.XResolution, _TAG.YResolution, _TAG.ResolutionUnit),
)
_DROPPED_SUBTAGS = frozenset(
    (_TAG.MakerNote, _TAG.ExifImageWidth, _TAG.ExifImageHeight, _TAG.ExifInteroperabilityOffset)
)


def read_exif(image: Image.Image) -> tuple[Turn, bytes | None]:
    """How to turn an image that Pillow opened, and the EXIF to keep, as `facemin.image.encode` takes it.

    A missing or wrong orientation is upright; a broken EXIF is no EXIF. What is kept leaves the orientation out.
    """
    try:
        found = image.getexif()
        turn = ORIENTATIONS.get(found.get(_TAG.Orientation, 1), ORIENTATIONS[1])
    except Exception:  # noqa: BLE001 - Pillow's parser answers broken tags with almost any exception
        return ORIENTATIONS[1], None
    try:
        kept = Image.Exif()
        kept.update({tag: found[tag] for tag in _KEPT_TAGS if tag in found})
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            tags = {tag: value for tag, value in found.get_ifd(part).items() if tag not in _DROPPED_SUBTAGS}
            if tags:
                kept[part] = tags
        return turn, kept.tobytes() if kept else None
    except Exception:  # noqa: BLE001 - as above
        return turn, None

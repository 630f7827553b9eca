"""EXIF fields: orientation used; time, place, camera and author kept or dropped."""

from typing import NamedTuple, SupportsInt

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

# What says who, when, where and with what. Everything else is left out: above all what can hold a second picture of
# the face (thumbnail, maker note, comments, private tags), what names one camera or one photo by its number, and what
# describes the file the pixels came from.
_TAG, _GPS = ExifTags.Base, ExifTags.GPS
_KEPT = {
    None: (
        *(_TAG.ImageDescription, _TAG.Make, _TAG.Model, _TAG.Software, _TAG.DateTime),
        *(_TAG.Artist, _TAG.Copyright, _TAG.XResolution, _TAG.YResolution, _TAG.ResolutionUnit),
    ),
    ExifTags.IFD.Exif: (
        *(_TAG.ExifVersion, _TAG.DateTimeOriginal, _TAG.DateTimeDigitized, _TAG.SubsecTime, _TAG.SubsecTimeOriginal),
        *(_TAG.SubsecTimeDigitized, _TAG.OffsetTime, _TAG.OffsetTimeOriginal, _TAG.OffsetTimeDigitized),
        *(_TAG.ExposureTime, _TAG.FNumber, _TAG.ExposureProgram, _TAG.ISOSpeedRatings, _TAG.ShutterSpeedValue),
        *(_TAG.ApertureValue, _TAG.BrightnessValue, _TAG.ExposureBiasValue, _TAG.MaxApertureValue, _TAG.MeteringMode),
        *(_TAG.LightSource, _TAG.Flash, _TAG.FocalLength, _TAG.FocalLengthIn35mmFilm, _TAG.ExposureMode),
        *(_TAG.WhiteBalance, _TAG.DigitalZoomRatio, _TAG.SceneCaptureType, _TAG.LensSpecification),
        *(_TAG.LensMake, _TAG.LensModel, _TAG.CameraOwnerName),
    ),
    ExifTags.IFD.GPSInfo: (
        *(_GPS.GPSVersionID, _GPS.GPSLatitudeRef, _GPS.GPSLatitude, _GPS.GPSLongitudeRef, _GPS.GPSLongitude),
        *(_GPS.GPSAltitudeRef, _GPS.GPSAltitude, _GPS.GPSTimeStamp, _GPS.GPSDateStamp, _GPS.GPSMapDatum),
        *(_GPS.GPSSpeedRef, _GPS.GPSSpeed, _GPS.GPSImgDirectionRef, _GPS.GPSImgDirection, _GPS.GPSHPositioningError),
    ),
}
"""Tags by the part they stand in; None for the first."""
_LONGEST = 1000
"""Characters of a text, or numbers of a list; nothing above says more, and a picture would."""


def read_exif(image: Image.Image) -> tuple[Turn, bytes | None]:
    """How to turn an image that Pillow opened, and the EXIF to keep, as `facemin.image.encode` takes it.

    A missing or wrong orientation is upright; a broken EXIF is no EXIF. What is kept leaves the orientation out.
    """
    try:
        found = image.getexif()
        turn = ORIENTATIONS.get(_number(found.get(_TAG.Orientation, 1)), ORIENTATIONS[1])
    except Exception:  # noqa: BLE001 - Pillow's parser answers broken tags with almost any exception
        return ORIENTATIONS[1], None
    try:
        kept = Image.Exif()
        for part, tags in _KEPT.items():
            there = dict(found) if part is None else found.get_ifd(part)
            values = {int(tag): there[tag] for tag in tags if tag in there and _is_short(there[tag])}
            if part is None:
                kept.update(values)
            elif values:
                kept[part] = values
        return turn, kept.tobytes() if kept else None
    except Exception:  # noqa: BLE001 - as above
        return turn, None


def _number(value: object) -> int:
    """An orientation of any type: SHORT as the standard has it, or BYTE, LONG, ASCII and others, as writers have it."""
    if isinstance(value, bytes | tuple):
        # Several are one orientation, repeated or padded to the four bytes of a tag's value.
        return next((_number(one) for one in value if one), 0)
    return int(value) if isinstance(value, SupportsInt | str) else 0


def _is_short(value: object) -> bool:
    return not isinstance(value, str | bytes | tuple) or len(value) <= _LONGEST

"""EXIF: which way is up, what is kept, and what is not."""

import struct
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import ExifTags, Image

from facemin.image import decode, encode
from tests.pictures import chunk, hwc, png, saved, smooth

pytestmark = pytest.mark.usefixtures("no_warnings")


class TestOrientation:
    STORED = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    UPRIGHT: ClassVar = {
        1: [[1, 2, 3], [4, 5, 6]],
        2: [[3, 2, 1], [6, 5, 4]],
        3: [[6, 5, 4], [3, 2, 1]],
        4: [[4, 5, 6], [1, 2, 3]],
        5: [[1, 4], [2, 5], [3, 6]],
        6: [[4, 1], [5, 2], [6, 3]],
        7: [[6, 3], [5, 2], [4, 1]],
        8: [[3, 6], [2, 5], [1, 4]],
    }

    @pytest.mark.parametrize("orientation", UPRIGHT)
    @pytest.mark.parametrize(
        ("encoding", "options"),
        [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
    )
    def test_all_eight_orientations(self, orientation: int, encoding: str, options: dict[str, Any]) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        exif[ExifTags.Base.Make] = "camera"
        # Pillow cannot write these two into a compressed TIFF.
        nested = {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"} if not options.get("compression") else {}
        place = {ExifTags.GPS.GPSLatitudeRef: "N"} if nested else {}
        if nested:
            exif[ExifTags.IFD.Exif], exif[ExifTags.IFD.GPSInfo] = nested, place
        picture = Image.fromarray(np.repeat(self.STORED[..., None], 3, axis=2))
        photo = decode(saved(picture, encoding, exif=exif.tobytes(), **options))
        np.testing.assert_array_equal(hwc(photo)[..., 0], self.UPRIGHT[orientation])
        assert photo.exif is not None
        kept = Image.Exif()
        kept.load(photo.exif)
        assert dict(kept)[ExifTags.Base.Make] == "camera"
        assert ExifTags.Base.Orientation not in kept
        assert kept.get_ifd(ExifTags.IFD.Exif) == nested
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == place
        again = decode(encode(photo.pixels, exif=photo.exif))
        assert np.array_equal(again.pixels, photo.pixels)

    def test_a_strip_boundary_does_not_show(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 8
        data = saved(Image.fromarray(pixels), "PNG", exif=exif, compress_level=1)
        np.testing.assert_array_equal(hwc(decode(data)), np.rot90(pixels))

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_a_wrong_value_is_upright(self, value: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        picture = Image.fromarray(self.STORED)
        np.testing.assert_array_equal(hwc(decode(saved(picture, "PNG", exif=exif)))[..., 0], self.STORED)

    def test_exif_behind_the_pixels_counts(self) -> None:
        tiff = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 3, 0)
        data = png(3, 2, 8, 0, [bytes(row) for row in self.STORED])
        end = data.index(b"IEND") - 4
        photo = decode(data[:end] + chunk(b"eXIf", tiff) + data[end:])
        np.testing.assert_array_equal(hwc(photo)[..., 0], self.UPRIGHT[3])
        assert photo.exif is None

    @pytest.mark.parametrize("broken", [b"", b"x", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
    def test_a_broken_exif_is_no_exif(self, broken: bytes) -> None:
        photo = decode(saved(Image.fromarray(self.STORED), "JPEG", exif=b"Exif\0\0" + broken))
        assert photo.exif is None
        assert photo.pixels.shape == (2, 3, 3)

    def test_no_second_picture_is_kept(self) -> None:
        thumbnail = saved(Image.fromarray(smooth(40, 40)), "JPEG")
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "camera"
        exif[ExifTags.Base.ImageResources] = thumbnail
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: thumbnail}
        data = saved(Image.fromarray(smooth(80, 80)), "JPEG", exif=exif)
        assert data.count(thumbnail) == 2
        kept = decode(data).exif
        assert kept is not None
        assert b"camera" in kept
        assert b"\xff\xd8\xff" not in kept

    def test_only_what_is_listed_is_kept(self) -> None:
        thumbnail = saved(Image.fromarray(smooth(40, 40)), "JPEG")
        exif = Image.Exif()
        exif[ExifTags.Base.ImageDescription] = "x" * 1001
        exif[ExifTags.IFD.Exif] = {
            ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05",
            ExifTags.Base.UserComment: thumbnail,
            ExifTags.Base.ImageUniqueID: "0123456789abcdef",
            ExifTags.Base.BodySerialNumber: "serial 4711",
            0xFD00: thumbnail,
        }
        exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSProcessingMethod: thumbnail}
        data = saved(Image.fromarray(smooth(80, 80)), "JPEG", exif=exif)
        assert data.count(thumbnail) == 3
        kept = decode(data).exif
        assert kept is not None
        assert b"2020:01:02" in kept
        assert not any(part in kept for part in (b"\xff\xd8\xff", b"0123456789abcdef", b"4711", b"xxx"))
        again = Image.Exif()
        again.load(kept)
        assert again.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}

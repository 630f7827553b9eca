import io
import struct
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from facemin.image import FORMATS, SUFFIXES, Photo, decode, encode, to_grid, to_unit

Pixels = NDArray[np.uint8]
RGB_PIXELS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))


def _hwc(photo: Photo) -> Pixels:
    assert photo.pixels.dtype == torch.uint8
    assert photo.pixels.shape[0] == 3
    return photo.pixels.permute(1, 2, 0).numpy()


def _file(picture: Image.Image, encoding: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, encoding, **options)
    return buffer.getvalue()


def _smooth(height: int, width: int, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _attempt(data: bytes | bytearray, **options: Any) -> Photo | str:
    """The photo, or what the ValueError says; anything else that is raised fails the test."""
    try:
        return decode(data, **options)
    except ValueError as error:
        return str(error)


def _whole_or_refused(data: bytes, whole: Tensor) -> bool:
    """Whether a truncated file decoded, which it may only if no pixel is missing."""
    found = _attempt(data)
    if isinstance(found, str):
        assert "expected a whole" in found
        return False
    assert torch.equal(found.pixels, whole)
    return True


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, depth: int, colour: int, rows: list[bytes], *extra: bytes) -> bytes:
    """A PNG written by hand: Pillow cannot write 16-bit colour."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + _chunk(b"IEND", b"")


def _icc(space: bytes, tags: dict[bytes, bytes], description: str = "made by hand") -> bytes:
    """A matrix or grey ICC v2 profile, ICC.1:2001-04, section 6."""
    text = description.encode()
    desc = b"desc" + struct.pack(">II", 0, len(text) + 1) + text + b"\0" + bytes(78)
    tags = {b"desc": desc, b"wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, b"", 0x02100000, b"mntr", space, b"XYZ ", bytes(12), b"acsp")
    white = struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(68, b"\0") + white.ljust(60, b"\0") + table + body


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


LINEAR = b"curv" + struct.pack(">II", 0, 0)
SRGB_PRIMARIES = {  # adapted to D50
    b"rXYZ": _xyz(0.4360, 0.2225, 0.0139),
    b"gXYZ": _xyz(0.3851, 0.7169, 0.0971),
    b"bXYZ": _xyz(0.1431, 0.0606, 0.7141),
}
LINEAR_RGB = {**SRGB_PRIMARIES, b"rTRC": LINEAR, b"gTRC": LINEAR, b"bTRC": LINEAR}


def _srgb_of_linear(values: Pixels) -> NDArray[np.float64]:
    """IEC 61966-2-1's transfer function, on 0..255."""
    unit = values / 255.0
    return 255 * np.where(unit <= 0.0031308, 12.92 * unit, 1.055 * unit ** (1 / 2.4) - 0.055)


def _valid_files() -> Iterator[bytes]:
    """One small file of each format and layout, with metadata where it takes some."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"}
    picture = Image.fromarray(_smooth(12, 9))
    options: dict[str, Any] = {"icc_profile": _icc(b"RGB ", LINEAR_RGB), "exif": exif.tobytes()}
    for encoding in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        yield _file(picture, encoding, **options)
    yield _file(picture, "GIF")
    yield _file(picture, "BMP")
    yield _file(picture, "TIFF", compression="tiff_lzw")
    yield _file(picture, "MPO", save_all=True, append_images=[picture])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A warning that reached the user would be recorded here, even one that decode turns to a ValueError."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    assert [str(warning.message) for warning in seen] == []


class TestRoundTrip:
    @given(pixels=RGB_PIXELS, encoding=st.sampled_from(["PNG", "WEBP"]))
    def test_lossless_formats_give_back_what_went_in(self, pixels: Pixels, encoding: Any) -> None:
        sent = torch.from_numpy(pixels).permute(2, 0, 1)
        photo = decode(encode(sent, format=encoding))
        assert torch.equal(photo.pixels, sent)
        assert (photo.format, photo.exif) == (encoding, None)
        assert encode(to_unit(sent), format=encoding) == encode(sent, format=encoding)

    @given(
        mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
        encoding=st.sampled_from(["PNG", "TIFF"]),
        data=st.data(),
    )
    def test_every_mode_decodes_to_its_colours(self, mode: str, encoding: str, data: st.DataObject) -> None:
        rgba = data.draw(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(4))))
        if mode in ("1", "L", "LA"):
            rgba[..., 1] = rgba[..., 2] = rgba[..., 0]
        if mode == "1":
            rgba[..., :3] = np.where(rgba[..., :3] > 127, 255, 0)
        if mode == "P":
            rgba[..., :3] = rgba[..., :3] // 128 * 255
        picture = Image.fromarray(rgba)
        alpha = rgba[..., 3:].astype(float) / 255 if mode in ("LA", "RGBA") else 1.0
        if mode not in ("LA", "RGBA"):
            picture = picture.convert("RGB")
        picture = picture.convert(mode, palette=Image.Palette.ADAPTIVE)
        expected = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha))
        np.testing.assert_array_equal(_hwc(decode(_file(picture, encoding))), expected)

    def test_jpeg_is_444_and_close(self) -> None:
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[:, ::2, 0] = pixels[:, 1::2, 2] = 255
        data = encode(torch.from_numpy(pixels).permute(2, 0, 1), format="JPEG", quality=100)
        assert np.abs(_hwc(decode(data)).astype(int) - pixels).max() <= 3
        frame = data.index(b"\xff\xc0")
        assert [data[frame + 11 + 3 * i] for i in range(3)] == [0x11, 0x11, 0x11]

    @pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
    def test_same_bytes_each_time_from_any_layout(self, encoding: Any) -> None:
        planar = torch.from_numpy(_smooth(30, 50)).permute(2, 0, 1).contiguous()
        interleaved = planar.contiguous().permute(1, 2, 0).contiguous().permute(2, 0, 1)
        assert encode(planar, format=encoding) == encode(interleaved, format=encoding)
        assert len(encode(planar, format="JPEG", quality=20)) < len(encode(planar, format="JPEG"))

    @pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
    def test_exif_is_carried(self, encoding: Any) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Artist] = "somebody"
        photo = decode(encode(torch.zeros(3, 4, 5), format=encoding, exif=exif.tobytes()))
        assert photo.exif == exif.tobytes()

    def test_heif(self) -> None:
        heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
        pixels = _smooth(64, 96)
        buffer = io.BytesIO()
        heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=-1, chroma=444, matrix_coefficients=0)
        photo = decode(buffer.getvalue())
        assert photo.format == "HEIF"
        np.testing.assert_array_equal(_hwc(photo), pixels)
        for size in range(0, len(buffer.getvalue()) - 1, 97):
            with pytest.raises(ValueError, match="expected a whole"):
                decode(buffer.getvalue()[:size])
        with pytest.raises(ValueError, match="96 x 64 = 6144 pixels"):
            decode(buffer.getvalue(), max_pixels=6143)

    def test_heif_is_turned_once(self) -> None:
        heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        pixels = _smooth(64, 96)
        buffer = io.BytesIO()
        heif.from_pillow(Image.fromarray(pixels)).save(
            buffer, quality=-1, chroma=444, matrix_coefficients=0, exif=exif.tobytes()
        )
        np.testing.assert_array_equal(_hwc(decode(buffer.getvalue())), np.rot90(pixels, -1))

    def test_heif_without_its_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(ValueError, match=r"a\.heic.*pip install 'facemin\[heic\]'"):
            decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", name="a.heic")

    def test_avif(self) -> None:
        pixels = _smooth(64, 96)
        photo = decode(_file(Image.fromarray(pixels), "AVIF", quality=100, subsampling="4:4:4"))
        assert photo.format == "AVIF"
        assert np.abs(_hwc(photo).astype(int) - pixels).max() <= 4

    def test_lfw_decodes_as_pillow_does(self, shared: Path) -> None:
        paths = sorted((shared / "data" / "lfw").rglob("*.jpg"))[:20]
        assert len(paths) == 20
        for path in paths:
            np.testing.assert_array_equal(_hwc(decode(path)), np.asarray(Image.open(path).convert("RGB")))


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
    def test_all_eight(self, orientation: int, encoding: str, options: dict[str, Any]) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        exif[ExifTags.Base.Make] = "camera"
        # Pillow cannot write these two into a compressed TIFF.
        nested = {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"} if not options.get("compression") else {}
        place = {ExifTags.GPS.GPSLatitudeRef: "N"} if nested else {}
        if nested:
            exif[ExifTags.IFD.Exif], exif[ExifTags.IFD.GPSInfo] = nested, place
        picture = Image.fromarray(np.repeat(self.STORED[..., None], 3, axis=2))
        photo = decode(_file(picture, encoding, exif=exif.tobytes(), **options))
        np.testing.assert_array_equal(_hwc(photo)[..., 0], self.UPRIGHT[orientation])
        assert photo.exif is not None
        kept = Image.Exif()
        kept.load(photo.exif)
        assert dict(kept)[ExifTags.Base.Make] == "camera"
        assert ExifTags.Base.Orientation not in kept
        assert kept.get_ifd(ExifTags.IFD.Exif) == nested
        assert kept.get_ifd(ExifTags.IFD.GPSInfo) == place
        again = decode(encode(photo.pixels, exif=photo.exif))
        assert torch.equal(again.pixels, photo.pixels)

    def test_a_strip_boundary_does_not_show(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 8
        data = _file(Image.fromarray(pixels), "PNG", exif=exif, compress_level=1)
        np.testing.assert_array_equal(_hwc(decode(data)), np.rot90(pixels))

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_a_wrong_value_is_upright(self, value: int) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        picture = Image.fromarray(self.STORED)
        np.testing.assert_array_equal(_hwc(decode(_file(picture, "PNG", exif=exif)))[..., 0], self.STORED)

    def test_exif_behind_the_pixels_counts(self) -> None:
        tiff = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, 3, 0)
        data = _png(3, 2, 8, 0, [bytes(row) for row in self.STORED])
        end = data.index(b"IEND") - 4
        photo = decode(data[:end] + _chunk(b"eXIf", tiff) + data[end:])
        np.testing.assert_array_equal(_hwc(photo)[..., 0], self.UPRIGHT[3])
        assert photo.exif is None

    @pytest.mark.parametrize("broken", [b"", b"x", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
    def test_a_broken_exif_is_no_exif(self, broken: bytes) -> None:
        photo = decode(_file(Image.fromarray(self.STORED), "JPEG", exif=b"Exif\0\0" + broken))
        assert photo.exif is None
        assert photo.pixels.shape == (3, 2, 3)

    def test_no_second_picture_is_kept(self) -> None:
        thumbnail = _file(Image.fromarray(_smooth(40, 40)), "JPEG")
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "camera"
        exif[ExifTags.Base.ImageResources] = thumbnail
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: thumbnail}
        data = _file(Image.fromarray(_smooth(80, 80)), "JPEG", exif=exif)
        assert data.count(thumbnail) == 2
        kept = decode(data).exif
        assert kept is not None
        assert b"camera" in kept
        assert b"\xff\xd8\xff" not in kept


class TestSamples:
    @given(samples=hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    def test_16_bit_grey_is_rounded_to_8(self, samples: NDArray[np.uint16]) -> None:
        height, width = samples.shape
        data = _png(width, height, 16, 0, [row.astype(">u2").tobytes() for row in samples])
        expected = np.rint(samples / 257.0)
        np.testing.assert_array_equal(_hwc(decode(data)), np.repeat(expected[..., None], 3, axis=2))

    @given(samples=hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
    def test_16_bit_colour_is_scaled(self, samples: NDArray[np.uint16]) -> None:
        height, width, _ = samples.shape
        data = _png(width, height, 16, 2, [row.astype(">u2").tobytes() for row in samples])
        pixels = _hwc(decode(data))
        assert (np.abs(pixels - samples / 257.0) < 1).all()
        assert (pixels[samples == 65535] == 255).all()

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_tiff(self, order: str) -> None:
        samples = np.array([[0, 257, 32768, 65535]], f"{order}u2")
        mode = "I;16" if order == "<" else "I;16B"
        picture = Image.frombytes(mode, (4, 1), samples.tobytes())
        np.testing.assert_array_equal(_hwc(decode(_file(picture, "TIFF")))[0, :, 1], [0, 1, 128, 255])

    def test_12_bit_tiff(self) -> None:
        entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1)]
        entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 3)]
        directory = struct.pack("<H", len(entries)) + b"".join(
            struct.pack("<HHIHH" if kind == 3 else "<HHII", tag, kind, n, *((value, 0) if kind == 3 else (value,)))
            for tag, kind, n, value in entries
        )
        data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00" + b"\0" + directory + bytes(4)
        np.testing.assert_array_equal(_hwc(decode(data))[0, :, 0], [255, 128])

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_samples_without_a_white_are_refused(self, mode: str) -> None:
        with pytest.raises(ValueError, match="white is unknown"):
            decode(_file(Image.new(mode, (2, 2)), "TIFF"))

    def test_palette_with_transparency(self) -> None:
        palette = _chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
        alphas = _chunk(b"tRNS", bytes([0, 128]))
        pixels = _hwc(decode(_png(3, 1, 8, 3, [bytes([0, 1, 2])], palette, alphas)))
        # 128/255 of green on white: 255 * 127/255 = 127 in the other channels.
        np.testing.assert_array_equal(pixels, [[[255, 255, 255], [127, 255, 127], [0, 0, 255]]])

    def test_one_transparent_colour(self) -> None:
        grey = _png(2, 1, 8, 0, [bytes([7, 8])], _chunk(b"tRNS", struct.pack(">H", 7)))
        np.testing.assert_array_equal(_hwc(decode(grey))[0, :, 0], [255, 8])
        key = _chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
        colour = _png(2, 1, 8, 2, [bytes([1, 2, 3, 1, 2, 4])], key)
        np.testing.assert_array_equal(_hwc(decode(colour)), [[[255, 255, 255], [1, 2, 4]]])

    def test_gif_gives_its_first_frame(self) -> None:
        frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
        photo = decode(_file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
        np.testing.assert_array_equal(_hwc(photo), np.broadcast_to([255, 0, 0], (3, 4, 3)))

    def test_transparent_gif(self) -> None:
        picture = Image.new("P", (2, 1))
        picture.putpalette([10, 20, 30, 40, 50, 60])
        picture.putpixel((1, 0), 1)
        pixels = _hwc(decode(_file(picture, "GIF", transparency=1)))
        np.testing.assert_array_equal(pixels, [[[10, 20, 30], [255, 255, 255]]])

    def test_cmyk(self) -> None:
        picture = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
        picture.paste((0, 0, 0, 255), (0, 0, 16, 8))
        expected = np.zeros((16, 16, 3), np.uint8)
        expected[8:] = (0, 255, 255)
        np.testing.assert_array_equal(_hwc(decode(_file(picture, "TIFF"))), expected)
        assert np.abs(_hwc(decode(_file(picture, "JPEG", quality=100))).astype(int) - expected).max() <= 2

    def test_bmp(self) -> None:
        pixels = _smooth(5, 7)
        np.testing.assert_array_equal(_hwc(decode(_file(Image.fromarray(pixels), "BMP"))), pixels)

    def test_a_multi_picture_jpeg_is_a_jpeg(self) -> None:
        first, second = (Image.fromarray(_smooth(16, 16, seed)) for seed in (1, 2))
        photo = decode(_file(first, "MPO", save_all=True, append_images=[second]))
        assert photo.format == "JPEG"
        np.testing.assert_array_equal(_hwc(photo), _hwc(decode(_file(first, "JPEG"))))


class TestColourProfile:
    def test_linear_light_becomes_srgb(self) -> None:
        pixels = _smooth(8, 8)
        found = _hwc(decode(_file(Image.fromarray(pixels), "PNG", icc_profile=_icc(b"RGB ", LINEAR_RGB))))
        assert np.abs(found - _srgb_of_linear(pixels)).max() < 2.0

    def test_swapped_primaries(self) -> None:
        swapped = {**LINEAR_RGB, b"rXYZ": SRGB_PRIMARIES[b"bXYZ"], b"bXYZ": SRGB_PRIMARIES[b"rXYZ"]}
        picture = Image.new("RGBA", (1, 1), (255, 0, 0, 255))
        found = _hwc(decode(_file(picture, "PNG", icc_profile=_icc(b"RGB ", swapped))))
        assert np.abs(found[0, 0].astype(int) - [0, 0, 255]).max() <= 1

    def test_transparency_is_applied_after_the_profile(self) -> None:
        picture = Image.new("RGBA", (1, 1), (55, 55, 55, 128))
        found = _hwc(decode(_file(picture, "PNG", icc_profile=_icc(b"RGB ", LINEAR_RGB))))
        over = _srgb_of_linear(np.array(55, np.uint8)) * 128 / 255 + 127
        assert np.abs(found - over).max() < 1.5

    @pytest.mark.parametrize("mode", ["L", "LA"])
    def test_grey(self, mode: str) -> None:
        profile = _icc(b"GRAY", {b"kTRC": LINEAR})
        picture = Image.new(mode, (1, 1), 100 if mode == "L" else (100, 255))
        found = _hwc(decode(_file(picture, "PNG", icc_profile=profile)))
        assert np.abs(found - _srgb_of_linear(np.array(100, np.uint8))).max() < 1.5

    @pytest.mark.parametrize(
        "profile",
        [
            b"no profile at all",
            _icc(b"RGB ", LINEAR_RGB)[:200],
            _icc(b"GRAY", {b"kTRC": LINEAR}),
            _icc(b"RGB ", LINEAR_RGB, "sRGB IEC61966-2.1"),
        ],
        ids=["garbage", "truncated", "of another colour space", "sRGB by name"],
    )
    def test_a_broken_or_srgb_profile_changes_nothing(self, profile: bytes) -> None:
        pixels = _smooth(8, 8)
        found = _hwc(decode(_file(Image.fromarray(pixels), "PNG", icc_profile=profile)))
        np.testing.assert_array_equal(found, pixels)


class TestSources:
    def test_path_string_bytes_and_streams_agree(self, tmp_path: Path) -> None:
        data = encode(torch.rand(3, 6, 7))
        path = tmp_path / "photo.without.suffix"
        path.write_bytes(data)
        reference = decode(data).pixels
        stream = io.BytesIO(data)
        stream.seek(5)

        class Pipe(io.RawIOBase):
            """As a socket is: nothing but read()."""

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                return inner.readinto(buffer)

        inner = io.BytesIO(data)
        sources: list[Any] = [path, str(path), bytearray(data), memoryview(data), stream]
        for source in [*sources, io.BufferedReader(Pipe())]:
            assert torch.equal(decode(source).pixels, reference)
        assert not stream.closed
        with path.open("rb") as file:
            assert torch.equal(decode(file).pixels, reference)
            assert not file.closed

    def test_a_missing_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            decode(tmp_path / "nowhere.jpg")
        with pytest.raises((IsADirectoryError, PermissionError, ValueError)):
            decode(tmp_path)

    def test_other_things_are_a_type_error(self) -> None:
        for source in (None, 3, io.StringIO("text")):
            with pytest.raises(TypeError):
                decode(source)  # type: ignore[arg-type]

    def test_errors_name_the_input(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.jpg"
        path.touch()
        with pytest.raises(ValueError, match=r"empty\.jpg: expected a whole JPEG, .*HEIF.*, got 0 bytes"):
            decode(path)
        with pytest.raises(ValueError, match=r"upload 3: expected .* got bytes that begin b'nothing'"):
            decode(b"nothing", name="upload 3")
        with pytest.raises(ValueError, match="image of 7 bytes: "):
            decode(b"nothing")
        with path.open("rb") as file, pytest.raises(ValueError, match=r"empty\.jpg: "):
            decode(file)

    def test_suffixes(self) -> None:
        assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif"} <= SUFFIXES
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)

    def test_threads_decode_together(self) -> None:
        data = [_file(Image.fromarray(_smooth(90, 90, i)), "JPEG") for i in range(4)]
        alone = [decode(item).pixels for item in data]
        found: list[Tensor] = [torch.empty(0)] * 40

        def work(first: int) -> None:
            for i in range(first, 40, 4):
                found[i] = decode(data[i % 4]).pixels

        threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        before = list(warnings.filters)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(torch.equal(pixels, alone[i % 4]) for i, pixels in enumerate(found))
        assert list(warnings.filters) == before


class TestRefusals:
    @pytest.mark.parametrize("side", [100_000, 10_000, 8_001])
    def test_a_bomb_is_refused_on_its_header(self, side: int) -> None:
        bomb = _png(side, side, 8, 2, [bytes(1000)])
        tracemalloc.start()
        start = time.perf_counter()
        with pytest.raises(ValueError, match=r"at most 64000000 pixels, got .*pixels"):
            decode(bomb)
        assert time.perf_counter() - start < 5
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()

    def test_a_bomb_in_webp_clothes(self) -> None:
        # A canvas of 16384 x 16384 in an extended header.
        canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0"
        frame = encode(torch.zeros(3, 4, 4), format="WEBP")[12:]
        data = b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame
        start = time.perf_counter()
        with pytest.raises(ValueError, match="expected a whole"):
            decode(data)
        assert time.perf_counter() - start < 5

    def test_max_pixels_is_exact(self) -> None:
        data = encode(torch.zeros(3, 6, 7))
        assert decode(data, max_pixels=42).pixels.shape == (3, 6, 7)
        with pytest.raises(ValueError, match="at most 41 pixels, got 7 x 6 = 42 pixels"):
            decode(data, max_pixels=41)
        with pytest.raises(ValueError, match="max_pixels: expected at least 1, got 0"):
            decode(data, max_pixels=0)

    @pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
    def test_zero_size(self, size: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="expected a whole"):
            decode(_png(*size, 8, 2, []))

    @pytest.mark.parametrize("encoding", ["EPS", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "DDS", "PDF"])
    def test_other_decoders_are_out_of_reach(self, encoding: str) -> None:
        assert encoding not in FORMATS
        with pytest.raises(ValueError, match="got bytes that begin"):
            decode(_file(Image.fromarray(_smooth(32, 32)), encoding))

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_truncated_jpeg(self, progressive: bool) -> None:
        data = _file(Image.fromarray(_smooth(64, 80)), "JPEG", progressive=progressive, quality=90)
        whole = decode(data).pixels
        for size in range(len(data)):
            assert not _whole_or_refused(data[:size], whole) or size >= len(data) - 16

    @pytest.mark.parametrize("encoding", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
    def test_a_truncated_file_of_another_format(self, encoding: str) -> None:
        data = _file(Image.fromarray(_smooth(40, 40)), encoding)
        whole = decode(data).pixels
        for size in range(0, len(data), max(1, len(data) // 60)):
            assert not _whole_or_refused(data[:size], whole) or size > len(data) // 2

    VALID = tuple(_valid_files())
    MAGIC: tuple[bytes, ...] = (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"II*\0\x08\0\0\0",
    )
    MAGIC += (b"MM\0*\0\0\0\x08", b"BM", b"GIF89a", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"")

    @given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=300))
    @settings(max_examples=400)
    def test_random_bytes_raise_nothing_else(self, magic: bytes, rest: bytes) -> None:
        found = _attempt(magic + rest, max_pixels=10_000)
        assert isinstance(found, Photo) or "expected a whole" in found

    @given(data=st.data())
    @settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_damaged_files_raise_nothing_else(self, capfd: pytest.CaptureFixture[str], data: st.DataObject) -> None:
        damaged = bytearray(data.draw(st.sampled_from(self.VALID)))
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        found = _attempt(damaged, max_pixels=10_000)
        assert isinstance(found, Photo) or "expected a whole" in found
        out, err = capfd.readouterr()
        # libtiff, alone among the decoders, prints its errors from C, out of Python's reach.
        assert out == ""
        assert err == "" or bytes(damaged[:2]) in (b"II", b"MM")

    def test_pillow_stays_silent(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        broken = b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 1, 0x010F, 2, 500, 4000)
        decode(_file(Image.fromarray(_smooth(8, 8)), "JPEG", exif=broken))
        invalid_apng = _chunk(b"acTL", bytes(8))
        decode(_png(1, 1, 8, 0, [b"\0"], invalid_apng))
        with pytest.raises(ValueError, match="got 9500 x 9500"):
            decode(_png(9500, 9500, 8, 0, []))
        assert capfd.readouterr() == ("", "")


class TestMemory:
    def test_no_copy_beside_the_result(self) -> None:
        data = _file(Image.fromarray(_smooth(1500, 2000)), "JPEG")
        tracemalloc.start()
        photo = decode(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Pillow's own image is not traced; the result and the strips on their way are.
        assert peak < 1.4 * photo.pixels.numel()

    def test_the_tensor_is_a_view_on_interleaved_memory(self) -> None:
        pixels = decode(encode(torch.zeros(3, 5, 4))).pixels
        assert pixels.stride() == (1, 12, 3)


class TestEncodeRefuses:
    @pytest.mark.parametrize("shape", [(3, 4), (1, 4, 4), (4, 4, 3), (1, 3, 4, 4), (3, 0, 4), (3, 4, 0)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"image: expected RGB \(3, H, W\)"):
            encode(torch.zeros(shape))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1e-6, 1.0001])
    def test_values(self, value: float) -> None:
        image = torch.full((3, 4, 4), 0.5)
        image[1, 2, 3] = value
        with pytest.raises(ValueError, match=r"image: expected values in \[0, 1\]"):
            encode(image)

    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.int8])
    def test_types(self, dtype: torch.dtype) -> None:
        with pytest.raises(ValueError, match=r"image: expected uint8 or float"):
            encode(torch.zeros(3, 4, 4, dtype=dtype))

    def test_settings(self) -> None:
        image = torch.zeros(3, 4, 4)
        with pytest.raises(ValueError, match="format: expected one of PNG, JPEG, WEBP, got 'GIF'"):
            encode(image, format="GIF")  # type: ignore[arg-type]
        for quality in (0, 101):
            with pytest.raises(ValueError, match=f"quality: expected 1 to 100, got {quality}"):
                encode(image, format="JPEG", quality=quality)
        for exif in (b"II*\0", b"Exif\0\0" + bytes(70_000)):
            with pytest.raises(ValueError, match=f"exif: expected .* got {len(exif)}"):
                encode(image, exif=exif)

    @pytest.mark.parametrize(("encoding", "side"), [("JPEG", 65_501), ("WEBP", 16_384)])
    def test_sides(self, encoding: Any, side: int) -> None:
        with pytest.raises(ValueError, match=f"at most {side - 1} pixels for {encoding}"):
            encode(torch.zeros(3, 1, side, dtype=torch.uint8), format=encoding)
        assert encode(torch.zeros(3, 1, side - 1, dtype=torch.uint8), format=encoding)


class TestGrid:
    def test_exact_inverse_on_the_grid(self) -> None:
        grid = torch.arange(256, dtype=torch.uint8)
        unit = to_unit(grid)
        assert unit.dtype == torch.float32
        assert (float(unit[0]), float(unit[255])) == (0.0, 1.0)
        assert torch.equal(to_grid(unit), grid)
        assert torch.equal(unit, torch.from_numpy((np.arange(256) / 255).astype(np.float32)))
        assert torch.equal(to_grid(unit.half()), grid)
        assert torch.equal(to_grid(unit.double()), grid)

    @given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=6), elements=st.floats(0, 1, width=32)))
    def test_rounds_to_the_nearest_and_is_idempotent(self, values: NDArray[np.float32]) -> None:
        image = torch.from_numpy(values)
        found = to_grid(image)
        assert found.shape == image.shape
        assert (np.abs(found.numpy() - values.astype(np.float64) * 255) <= 0.5 + 1e-4).all()
        assert torch.equal(to_grid(to_unit(found)), found)
        assert torch.equal(image, torch.from_numpy(values))

    def test_halves_go_to_even(self) -> None:
        # 0.5 is the only float whose product with 255 is exactly a half: 127.5, whose even neighbour is 128.
        assert to_grid(torch.tensor([0.5])).item() == 128
        halves = torch.tensor([(k + 0.5) / 255 for k in range(255)], dtype=torch.float64)
        exact = (halves * 255 % 1) == 0.5
        assert exact.sum() > 100
        assert (to_grid(halves)[exact] % 2 == 0).all()

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match=r"pixels: expected uint8, got torch\.float32"):
            to_unit(torch.zeros(3))
        with pytest.raises(ValueError, match="got nan"):
            to_grid(torch.tensor([float("nan")]))
        assert to_grid(torch.empty(0)).shape == (0,)

    def test_a_tensor_with_gradients_is_only_read(self) -> None:
        image = torch.full((3, 2, 2), 0.25, requires_grad=True)
        assert decode(encode(image)).pixels.eq(64).all()
        assert image.grad is None

"""Bytes to arrays and back: round trips, sources, refusals, memory."""

import io
import struct
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image

from facemin.image import FORMATS, Photo, Pixels, decode, encode, open_jpeg
from facemin.image.codec import _QUIET
from facemin.runtime.errors import InvalidPhoto
from tests.pictures import LINEAR_RGB, chunk, hwc, icc, png, saved, smooth

RGB_PIXELS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))

pytestmark = pytest.mark.usefixtures("no_warnings")


def _attempt(data: bytes | bytearray, **options: Any) -> Photo | str:
    """The photo, or what the ValueError says; anything else that is raised fails the test."""
    try:
        return decode(data, **options)
    except ValueError as error:
        return str(error)


def _whole_or_refused(data: bytes, whole: Pixels) -> bool:
    """Whether a truncated file decoded, which it may only if no pixel is missing."""
    found = _attempt(data)
    if isinstance(found, str):
        assert "expected a whole" in found
        return False
    assert np.array_equal(found.pixels, whole)
    return True


def _valid_files() -> Iterator[bytes]:
    """One small file of each format and layout, with metadata where it takes some."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2020:01:02 03:04:05"}
    picture = Image.fromarray(smooth(12, 9))
    options: dict[str, Any] = {"icc_profile": icc(b"RGB ", LINEAR_RGB), "exif": exif.tobytes()}
    for encoding in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        yield saved(picture, encoding, **options)
    yield saved(picture, "GIF")
    yield saved(picture, "BMP")
    yield saved(picture, "TIFF", compression="tiff_lzw")
    yield saved(picture, "MPO", save_all=True, append_images=[picture])


class TestRoundTrip:
    @given(pixels=RGB_PIXELS, encoding=st.sampled_from(["PNG", "WEBP"]))
    def test_lossless_formats_give_back_what_went_in(self, pixels: Pixels, encoding: Any) -> None:
        photo = decode(encode(pixels, format=encoding))
        assert np.array_equal(photo.pixels, pixels)
        assert (photo.format, photo.exif) == (encoding, None)

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
        np.testing.assert_array_equal(hwc(decode(saved(picture, encoding))), expected)

    def test_jpeg_is_444_and_close(self) -> None:
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[:, ::2, 0] = pixels[:, 1::2, 2] = 255
        data = encode(pixels, format="JPEG", quality=100)
        assert np.abs(hwc(decode(data)).astype(int) - pixels).max() <= 3
        frame = data.index(b"\xff\xc0")
        assert [data[frame + 11 + 3 * i] for i in range(3)] == [0x11, 0x11, 0x11]

    @pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
    def test_same_bytes_each_time_from_any_layout(self, encoding: Any) -> None:
        interleaved = smooth(30, 50)
        planar = np.ascontiguousarray(interleaved.transpose(2, 0, 1)).transpose(1, 2, 0)
        assert not planar.flags.c_contiguous
        assert encode(planar, format=encoding) == encode(interleaved, format=encoding)
        assert len(encode(planar, format="JPEG", quality=20)) < len(encode(planar, format="JPEG"))

    @pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
    def test_exif_is_carried(self, encoding: Any) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Artist] = "somebody"
        photo = decode(encode(np.zeros((4, 5, 3), np.uint8), format=encoding, exif=exif.tobytes()))
        assert photo.exif == exif.tobytes()

    def test_heif(self) -> None:
        heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
        pixels = smooth(64, 96)
        buffer = io.BytesIO()
        heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=-1, chroma=444, matrix_coefficients=0)
        photo = decode(buffer.getvalue())
        assert photo.format == "HEIF"
        np.testing.assert_array_equal(hwc(photo), pixels)
        for size in range(0, len(buffer.getvalue()) - 1, 97):
            with pytest.raises(ValueError, match="expected a whole"):
                decode(buffer.getvalue()[:size])
        with pytest.raises(ValueError, match="96 x 64 = 6144 pixels"):
            decode(buffer.getvalue(), max_pixels=6143)

    def test_heif_is_turned_once(self) -> None:
        heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        pixels = smooth(64, 96)
        buffer = io.BytesIO()
        heif.from_pillow(Image.fromarray(pixels)).save(
            buffer, quality=-1, chroma=444, matrix_coefficients=0, exif=exif.tobytes()
        )
        np.testing.assert_array_equal(hwc(decode(buffer.getvalue())), np.rot90(pixels, -1))

    def test_heif_without_its_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        with pytest.raises(ValueError, match=r"a\.heic.*pip install 'facemin\[heic\]'"):
            decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", name="a.heic")

    def test_avif(self) -> None:
        pixels = smooth(64, 96)
        photo = decode(saved(Image.fromarray(pixels), "AVIF", quality=100, subsampling="4:4:4"))
        assert photo.format == "AVIF"
        assert np.abs(hwc(photo).astype(int) - pixels).max() <= 4

    def test_lfw_decodes_as_pillow_does(self, shared: Path) -> None:
        paths = sorted((shared / "data" / "lfw").rglob("*.jpg"))[:20]
        assert len(paths) == 20
        for path in paths:
            np.testing.assert_array_equal(hwc(decode(path)), np.asarray(Image.open(path).convert("RGB")))

    def test_gif_gives_its_first_frame(self) -> None:
        frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
        photo = decode(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
        np.testing.assert_array_equal(hwc(photo), np.broadcast_to([255, 0, 0], (3, 4, 3)))

    def test_bmp(self) -> None:
        pixels = smooth(5, 7)
        np.testing.assert_array_equal(hwc(decode(saved(Image.fromarray(pixels), "BMP"))), pixels)

    def test_a_multi_picture_jpeg_is_a_jpeg(self) -> None:
        first, second = (Image.fromarray(smooth(16, 16, seed)) for seed in (1, 2))
        photo = decode(saved(first, "MPO", save_all=True, append_images=[second]))
        assert photo.format == "JPEG"
        np.testing.assert_array_equal(hwc(photo), hwc(decode(saved(first, "JPEG"))))


class TestSources:
    def test_path_string_bytes_and_streams_agree(self, tmp_path: Path) -> None:
        data = encode(smooth(6, 7))
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
            assert np.array_equal(decode(source).pixels, reference)
        assert not stream.closed
        with path.open("rb") as file:
            assert np.array_equal(decode(file).pixels, reference)
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

    def test_threads_decode_together(self) -> None:
        data = [saved(Image.fromarray(smooth(90, 90, i)), "JPEG") for i in range(4)]
        alone = [decode(item).pixels for item in data]
        found: list[Pixels] = [np.empty(0, np.uint8)] * 40

        def work(first: int) -> None:
            for i in range(first, 40, 4):
                found[i] = decode(data[i % 4]).pixels

        threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
        before = list(warnings.filters)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(pixels, alone[i % 4]) for i, pixels in enumerate(found))
        assert list(warnings.filters) == before


def turned_jpeg(*, orientation: int = 6) -> bytes:
    """A JPEG with EXIF that turns it and says when it was taken, and a colour profile."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = "2020:01:02 03:04:05"
    return saved(Image.fromarray(smooth(60, 40)), "JPEG", exif=exif.tobytes(), icc_profile=icc(b"RGB ", LINEAR_RGB))


class TestOpenedJpegs:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_photo_is_that_of_decode(self, orientation: int, tmp_path: Path) -> None:
        data = turned_jpeg(orientation=orientation)
        path = tmp_path / "turned.jpg"
        path.write_bytes(data)
        opened = open_jpeg(path)
        # its file was read, and its pixels are decoded without it
        path.unlink()
        assert opened is not None
        found, expected = opened.load(), decode(data)
        assert np.array_equal(found.pixels, expected.pixels)
        assert (found.exif, found.format, found.notes) == (expected.exif, expected.format, expected.notes)

    def test_a_file_without_its_end_marker_is_told_of(self) -> None:
        opened = open_jpeg(turned_jpeg()[:-2])
        assert opened is not None
        assert opened.load().notes == decode(turned_jpeg()[:-2]).notes != ()

    def test_another_thread_changes_nothing_of_the_process(self) -> None:
        opened = open_jpeg(turned_jpeg())
        assert opened is not None
        # whatever changes the filters of warnings or Pillow's limit takes this lock
        with ThreadPoolExecutor(1) as pool, _QUIET:
            assert pool.submit(opened.load).result(timeout=30).pixels.shape == (40, 60, 3)

    def test_only_jpegs(self) -> None:
        assert open_jpeg(saved(Image.fromarray(smooth(60, 40)), "PNG")) is None
        assert open_jpeg(b"") is None
        opened = open_jpeg(turned_jpeg())
        assert opened is not None
        assert opened.pixels == 2400

    def test_what_is_wrong_is_said_as_decode_says_it(self) -> None:
        whole = turned_jpeg()
        for data, most in ((whole, 2399), (whole[:300], 2400), (whole[:-200], 2400)):
            with pytest.raises(ValueError, match="expected a whole") as expected:
                decode(data, max_pixels=most)
            with pytest.raises(ValueError, match="expected a whole") as found:
                open_jpeg(data, max_pixels=most)
            assert str(found.value) == str(expected.value)

    def test_damaged_pixels_are_refused_when_they_are_decoded(self) -> None:
        data = bytearray(turned_jpeg())
        # a table that the scan's header names and that no file defines
        place = data.rindex(b"\xff\xda") + 6
        data[place] = 0x33
        with pytest.raises(InvalidPhoto) as expected:
            decode(bytes(data))
        opened = open_jpeg(bytes(data))
        assert opened is not None
        with pytest.raises(InvalidPhoto) as found:
            opened.load()
        assert str(found.value) == str(expected.value)


class TestRefusals:
    @pytest.mark.parametrize("side", [100_000, 10_000, 8_001])
    def test_a_bomb_is_refused_on_its_header(self, side: int) -> None:
        bomb = png(side, side, 8, 2, [bytes(1000)])
        tracemalloc.start()
        start = time.process_time()
        with pytest.raises(ValueError, match=r"at most 64000000 pixels, got .*pixels"):
            decode(bomb)
        assert time.process_time() - start < 5
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()

    def test_a_tile_larger_than_any_image(self) -> None:
        side = 4096
        tile = zlib.compress(bytes(side * side), 9)
        entries = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
        entries += [(322, 4, side), (323, 4, side), (324, 4, 8 + 2 + 12 * 10 + 4), (325, 4, len(tile))]
        table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        data = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + table + bytes(4) + tile
        with pytest.raises(ValueError, match="tiles of 4096 x 4096 pixels"):
            decode(data, max_pixels=112 * 112)
        assert decode(data).pixels.shape == (16, 16, 3)

    def test_a_jpeg_of_endless_scans(self) -> None:
        data = saved(Image.fromarray(smooth(64, 64)), "JPEG", progressive=True)
        last = data.rindex(b"\xff\xda")
        assert decode(data[:-2] + data[last:-2] * 20 + data[-2:]).pixels.shape == (64, 64, 3)
        with pytest.raises(ValueError, match="more than 200 scans"):
            decode(data[:-2] + data[last:-2] * 300 + data[-2:])

    def test_other_formats_than_those_asked_for(self) -> None:
        data = encode(np.zeros((4, 4, 3), np.uint8), format="WEBP")
        assert decode(data, formats=("PNG", "WEBP")).format == "WEBP"
        with pytest.raises(ValueError, match=r"expected a whole PNG or JPEG image of at most .* got a WEBP image"):
            decode(data, formats=("PNG", "JPEG"))

    def test_a_bomb_in_webp_clothes(self) -> None:
        # A canvas of 16384 x 16384 in an extended header.
        canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0\xff\x3f\0"
        frame = encode(np.zeros((4, 4, 3), np.uint8), format="WEBP")[12:]
        data = b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame
        start = time.process_time()
        with pytest.raises(ValueError, match="expected a whole"):
            decode(data)
        assert time.process_time() - start < 5

    def test_max_pixels_is_exact(self) -> None:
        data = encode(np.zeros((6, 7, 3), np.uint8))
        assert decode(data, max_pixels=42).pixels.shape == (6, 7, 3)
        with pytest.raises(ValueError, match="at most 41 pixels, got 7 x 6 = 42 pixels"):
            decode(data, max_pixels=41)
        with pytest.raises(ValueError, match="max_pixels: expected at least 1, got 0"):
            decode(data, max_pixels=0)

    @pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
    def test_a_declared_size_of_zero_is_refused(self, size: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="expected a whole"):
            decode(png(*size, 8, 2, []))

    @pytest.mark.parametrize("encoding", ["EPS", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "DDS", "PDF"])
    def test_other_decoders_are_out_of_reach(self, encoding: str) -> None:
        assert encoding not in FORMATS
        with pytest.raises(ValueError, match="got bytes that begin"):
            decode(saved(Image.fromarray(smooth(32, 32)), encoding))

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_truncated_jpeg(self, progressive: bool) -> None:
        data = saved(Image.fromarray(smooth(64, 80)), "JPEG", progressive=progressive, quality=90)
        whole = decode(data).pixels
        for size in range(len(data)):
            assert not _whole_or_refused(data[:size], whole) or size >= len(data) - 16

    @pytest.mark.parametrize("encoding", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
    def test_a_truncated_file_of_another_format(self, encoding: str) -> None:
        data = saved(Image.fromarray(smooth(40, 40)), encoding)
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
        decode(saved(Image.fromarray(smooth(8, 8)), "JPEG", exif=broken))
        invalid_apng = chunk(b"acTL", bytes(8))
        decode(png(1, 1, 8, 0, [b"\0"], invalid_apng))
        with pytest.raises(ValueError, match="got 9500 x 9500"):
            decode(png(9500, 9500, 8, 0, []))
        assert capfd.readouterr() == ("", "")


class TestMemory:
    def test_no_copy_beside_the_result(self) -> None:
        data = saved(Image.fromarray(smooth(1500, 2000)), "JPEG")
        tracemalloc.start()
        photo = decode(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Pillow's own image is not traced; the result and the strips on their way are.
        assert peak < 1.4 * photo.pixels.size

    def test_the_array_is_contiguous(self) -> None:
        assert decode(encode(np.zeros((5, 4, 3), np.uint8))).pixels.flags.c_contiguous


class TestEncodeRefuses:
    @pytest.mark.parametrize("shape", [(3, 4), (4, 4, 1), (3, 4, 4), (1, 4, 4, 3)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"image: expected uint8 RGB \(H, W, 3\), got uint8 \("):
            encode(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3)])
    def test_empty_input_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="image: expected at least one pixel"):
            encode(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, np.int8, np.uint16])
    def test_types(self, dtype: Any) -> None:
        with pytest.raises(ValueError, match=r"image: expected uint8 RGB"):
            encode(np.zeros((4, 4, 3), dtype))

    def test_other_types_of_input_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"image: expected uint8 RGB \(H, W, 3\), got list"):
            encode([[[0, 0, 0]]])  # type: ignore[arg-type]

    def test_settings(self) -> None:
        image = np.zeros((4, 4, 3), np.uint8)
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
            encode(np.zeros((1, side, 3), np.uint8), format=encoding)
        assert encode(np.zeros((1, side - 1, 3), np.uint8), format=encoding)

"""Files as phones, editors and attackers write them."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from facemin.image import decode
from facemin.image.coded_size import coded_sizes
from tests.pictures import LINEAR_RGB, SRGB_PRIMARIES, chunk, hwc, icc, png, saved, smooth

pytestmark = pytest.mark.usefixtures("no_warnings")


def jpeg(seed: int = 0, **options: Any) -> bytes:
    return saved(Image.fromarray(smooth(64, 80, seed)), "JPEG", **options)


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


class TestTrailers:
    def test_a_motion_photo_of_30_megabytes(self) -> None:
        data = jpeg()
        video = np.random.default_rng(1).integers(0, 256, 30 << 20, dtype=np.uint8).tobytes()
        assert video.count(b"\xff\xda") > 300
        photo = decode(data + video)
        np.testing.assert_array_equal(hwc(photo), hwc(decode(data)))
        assert photo.notes == ()

    def test_a_multi_picture_file_with_a_video_behind(self) -> None:
        pictures = [Image.fromarray(smooth(64, 80, seed)) for seed in range(3)]
        data = saved(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
        photo = decode(data + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 4000)
        assert photo.format == "JPEG"
        np.testing.assert_array_equal(hwc(photo), hwc(decode(saved(pictures[0], "JPEG"))))

    def test_scans_of_a_preview_in_a_segment_do_not_count(self) -> None:
        data = jpeg()
        preview = b"\xff\xe2" + struct.pack(">H", 2 + 60_000) + b"\xff\xda" * 30_000
        np.testing.assert_array_equal(hwc(decode(data[:2] + preview + data[2:])), hwc(decode(data)))

    def test_endless_segments(self) -> None:
        data = jpeg()
        with pytest.raises(ValueError, match="more than 20000 segments"):
            decode(data[:2] + b"\xff\xfe\0\2" * 20_001 + data[2:])

    def test_endless_chunks(self) -> None:
        data = saved(Image.fromarray(smooth(64, 80)), "PNG")
        few, many = (data[:33] + count * chunk(b"tEXt", b"a\0b") + data[33:] for count in (5_000, 10_000))
        np.testing.assert_array_equal(hwc(decode(few)), hwc(decode(data)))
        with pytest.raises(ValueError, match="more than 10000 chunks"):
            decode(many)

    @pytest.mark.parametrize("encoding", ["PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
    def test_bytes_behind_other_formats(self, encoding: str) -> None:
        data = saved(Image.fromarray(smooth(16, 16)), encoding)
        np.testing.assert_array_equal(hwc(decode(data + b"\0\0\0\0" + b"video" * 1000)), hwc(decode(data)))


class TestMissingEnd:
    @pytest.mark.parametrize(
        "options", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}, {"optimize": 1}]
    )
    @pytest.mark.parametrize("left", [b"", b"\xff"])
    def test_only_the_end_marker_is_missing(self, options: dict[str, Any], left: bytes) -> None:
        data = jpeg(**options)
        photo = decode(data[:-2] + left)
        np.testing.assert_array_equal(hwc(photo), hwc(decode(data)))
        assert photo.notes == ("the JPEG lacked its end marker; every pixel is there",)

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
    def test_more_than_the_end_marker_is_missing(self, options: dict[str, Any]) -> None:
        data = saved(noise(64, 80), "JPEG", quality=92, **options)
        assert decode(data[:-2]).notes
        for cut in (*range(4, 40), *range(40, len(data) - 4, 97)):
            with pytest.raises(ValueError, match="expected a whole"):
                decode(data[:-cut])

    def test_a_progressive_file_that_ends_between_scans(self) -> None:
        data = saved(noise(64, 80), "JPEG", progressive=True)
        places = [i for i in range(len(data)) if data.startswith(b"\xff\xda", i)]
        for place in places[1:]:
            cut = data.rindex(b"\xff\xc4", 0, place) if b"\xff\xc4" in data[place - 120 : place] else place
            with pytest.raises(ValueError, match="expected a whole"):
                decode(data[:cut])

    @pytest.mark.parametrize("filler", [b"\0" * 4096, b"\xff" * 4096])
    def test_a_download_that_was_cut_and_filled(self, filler: bytes) -> None:
        data = saved(noise(64, 80), "JPEG")
        with pytest.raises(ValueError, match="expected a whole"):
            decode(data[: len(data) // 2] + filler)
        photo = decode(data[:-2] + filler)
        np.testing.assert_array_equal(hwc(photo), hwc(decode(data)))
        assert photo.notes

    def test_exif_and_orientation_survive(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "camera"
        data = jpeg(exif=exif)
        whole, cut = decode(data), decode(data[:-2])
        np.testing.assert_array_equal(hwc(cut), hwc(whole))
        assert cut.exif == whole.exif is not None


class TestProfileByItsCurves:
    def test_linear_light_that_calls_itself_srgb(self) -> None:
        for name in ("sRGB IEC61966-2.1", "Linear sRGB", "sRGB-elle-V2-g10.icc"):
            profile = icc(b"RGB ", LINEAR_RGB, name)
            found = hwc(decode(saved(Image.new("RGB", (1, 1), (55, 55, 55)), "PNG", icc_profile=profile)))
            # IEC 61966-2-1: 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)
            assert np.abs(found.astype(float) - 128.0).max() < 1.5

    def test_srgb_under_another_name_changes_nothing(self) -> None:
        unit = np.linspace(0, 1, 1024)
        light = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
        curve = b"curv" + struct.pack(">II", 0, 1024) + np.rint(65535 * light).astype(">u2").tobytes()
        tags = {**SRGB_PRIMARIES, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
        pixels = smooth(16, 16)
        data = saved(Image.fromarray(pixels), "PNG", icc_profile=icc(b"RGB ", tags, "Display of a friend"))
        np.testing.assert_array_equal(hwc(decode(data)), pixels)

    def test_wide_primaries_that_call_themselves_srgb(self) -> None:
        swapped = {**LINEAR_RGB, b"rXYZ": SRGB_PRIMARIES[b"bXYZ"], b"bXYZ": SRGB_PRIMARIES[b"rXYZ"]}
        data = saved(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG", icc_profile=icc(b"RGB ", swapped, "sRGB"))
        assert np.abs(hwc(decode(data))[0, 0].astype(int) - [0, 0, 255]).max() <= 1

    @pytest.mark.parametrize(("points", "words"), [((9, 16), "PQ"), ((9, 18), "HLG")])
    def test_a_png_of_high_dynamic_range_is_refused(self, points: tuple[int, int], words: str) -> None:
        with pytest.raises(ValueError, match=f"high dynamic range \\({words}\\); export it in sRGB"):
            decode(cicp_png(*points))

    def test_a_png_of_other_colours_says_so(self) -> None:
        assert decode(cicp_png(1, 13)).notes == ()
        assert decode(cicp_png(12, 13)).notes == ("its colours (cICP 12, 13) were read as sRGB's",)
        assert "cICP 1, 8" in decode(cicp_png(1, 8)).notes[0]

    @pytest.mark.parametrize("left", [0, 4, 9, 30, 40])
    def test_a_png_cut_within_its_colours_raises_nothing_else(self, left: int) -> None:
        with pytest.raises(ValueError, match="expected a whole"):
            decode(cicp_png(9, 16)[:left])

    def test_a_png_of_linear_light_by_its_gamma(self) -> None:
        for extra, expected in (((100_000,), 128), ((45_455,), 55), ((47_000,), 55)):
            data = png(1, 1, 8, 2, [bytes([55, 55, 55])], chunk(b"gAMA", struct.pack(">I", *extra)))
            assert np.abs(hwc(decode(data)).astype(int) - expected).max() <= 1
        data = png(1, 1, 8, 2, [bytes(3)], chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"sRGB", b"\0"))
        assert hwc(decode(data)).max() == 0


class TestTransparency:
    @pytest.mark.parametrize(
        ("depth", "rows", "level", "expected"),
        [
            (1, [0b01000000], 1, [0, 255]),
            (1, [0b01000000], 0, [255, 255]),
            (2, [0b01100000], 1, [255, 170]),
            (2, [0b01110000], 3, [85, 255]),
            (4, [0x25], 2, [255, 85]),
            (4, [0x2F], 15, [34, 255]),
            (8, [7, 8], 7, [255, 8]),
            (16, [1, 0, 1, 1], 256, [255, 1]),
            (16, [0xFF, 0xFF, 0, 0], 0xFFFF, [255, 0]),
            (16, [0, 0, 0x80, 0], 0, [255, 128]),
        ],
    )
    def test_grey_with_a_transparent_level(self, depth: int, rows: list[int], level: int, expected: list[int]) -> None:
        data = png(2, 1, depth, 0, [bytes(rows)], chunk(b"tRNS", struct.pack(">H", level)))
        np.testing.assert_array_equal(hwc(decode(data)), [[[value] * 3 for value in expected]])

    def test_colour_of_16_bits_with_a_transparent_one(self) -> None:
        row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x2000, 0x3000, 0x4000)
        data = png(2, 1, 16, 2, [row], chunk(b"tRNS", struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)))
        np.testing.assert_array_equal(hwc(decode(data)), [[[255, 255, 255], [32, 48, 64]]])

    def test_a_palette_of_2_bits_with_a_transparent_entry(self) -> None:
        palette = chunk(b"PLTE", bytes([9, 9, 9, 50, 60, 70, 80, 90, 100]))
        data = png(3, 1, 2, 3, [bytes([0b00011000])], palette, chunk(b"tRNS", bytes([255, 0])))
        np.testing.assert_array_equal(hwc(decode(data)), [[[9, 9, 9], [255, 255, 255], [80, 90, 100]]])

    @staticmethod
    def bmp(alphas: tuple[int, int]) -> bytes:
        pixels = b"".join(bytes([10, 20, 30, alpha]) for alpha in alphas)
        masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        header = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
        header += masks + b"BGRs" + bytes(48)
        return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels

    def test_a_bmp_with_an_alpha_channel_of_zeros_is_opaque(self) -> None:
        np.testing.assert_array_equal(hwc(decode(self.bmp((0, 0)))), [[[30, 20, 10]] * 2])

    def test_a_bmp_whose_alpha_was_set(self) -> None:
        np.testing.assert_array_equal(hwc(decode(self.bmp((0, 255)))), [[[255, 255, 255], [30, 20, 10]]])

    def test_a_png_that_is_transparent_throughout_is_paper(self) -> None:
        assert hwc(decode(saved(Image.new("RGBA", (2, 2), (1, 2, 3, 0)), "PNG"))).min() == 255


class TestLyingSizes:
    SIDE = 1024

    def avif(self, **options: Any) -> bytes:
        return saved(Image.fromarray(smooth(self.SIDE, self.SIDE)), "AVIF", speed=10, **options)

    @staticmethod
    def lie(data: bytes) -> bytes:
        place = data.index(b"ispe") + 8
        return data[:place] + struct.pack(">II", 64, 64) + data[place + 8 :]

    def test_an_avif_that_declares_less_than_it_holds(self) -> None:
        data = self.lie(self.avif())
        with pytest.raises(ValueError, match=f"got coded pictures of {self.SIDE} x {self.SIDE} pixels"):
            decode(data, max_pixels=100_000)

    def test_a_sequence_is_no_way_around(self) -> None:
        pictures = [Image.fromarray(smooth(self.SIDE, self.SIDE, seed)) for seed in range(2)]
        data = saved(pictures[0], "AVIF", speed=10, save_all=True, append_images=pictures[1:])
        with pytest.raises(ValueError, match="coded pictures of"):
            decode(self.lie(data), max_pixels=100_000)
        photo = decode(data)
        assert np.abs(hwc(photo).astype(int) - smooth(self.SIDE, self.SIDE, 0)).mean() < 3
        assert photo.notes == ("only the first picture of the file was read; it holds more",)

    def test_a_heic_that_declares_less_than_it_holds(self) -> None:
        heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
        buffer = io.BytesIO()
        heif.from_pillow(Image.fromarray(smooth(self.SIDE, self.SIDE))).save(buffer)
        assert decode(buffer.getvalue(), max_pixels=self.SIDE**2).pixels.shape[:2] == (self.SIDE, self.SIDE)
        with pytest.raises(ValueError, match=f"got coded pictures of {self.SIDE} x {self.SIDE} pixels"):
            decode(self.lie(buffer.getvalue()), max_pixels=100_000)

    def test_the_largest_allowed_is_allowed(self) -> None:
        assert decode(self.avif(), max_pixels=self.SIDE**2).format == "AVIF"
        assert decode(saved(Image.new("RGBA", (65, 33)), "AVIF"), max_pixels=65 * 33).format == "AVIF"

    def test_boxes_that_cannot_be_followed(self) -> None:
        data = saved(Image.new("RGB", (8, 8)), "AVIF")
        assert coded_sizes(data) == [(8, 8)]
        for broken in (data[:60], data.replace(b"iloc", b"iloK"), data + data[32:]):
            with pytest.raises(ValueError, match="boxes"):
                coded_sizes(broken)
        # Two places for the items: a decoder may take the other.
        place = data.index(b"iloc") - 4
        box = data[place : place + int.from_bytes(data[place : place + 4], "big")]
        meta = data.index(b"meta") - 4
        size = int.from_bytes(data[meta : meta + 4], "big") + len(box)
        twice = data[:meta] + struct.pack(">I", size) + data[meta + 4 : place] + box + data[place:]
        with pytest.raises(ValueError, match="two boxes 'iloc'"):
            coded_sizes(twice)


class TestFrames:
    def test_a_frame_that_overrides_the_size_of_its_sequence(self) -> None:
        """AV1, by hand: a sequence of at most 64 x 64 whose frame names 16 bits a side of its own."""
        sequence = bits("000 0 0", "0", "0", "00000", "000000000000", "00000", "1111", "1111", 16 * "0", 16 * "0")
        sequence += bits("0", "000", "0000", "0", "0", "0")
        frame = bits("0", "00", "1", "0")
        for override, expected in (("0", [(1, 1)]), ("1", [(1, 1), (65536, 65536)])):
            data = container(obu(1, sequence) + obu(6, frame + override))
            assert coded_sizes(data) == expected

    def test_further_pictures_are_said(self) -> None:
        frames = [Image.fromarray(smooth(8, 8, seed)) for seed in range(3)]
        for encoding in ("GIF", "TIFF", "WEBP", "PNG"):
            photo = decode(saved(frames[0], encoding, save_all=True, append_images=frames[1:]))
            assert photo.notes == ("only the first picture of the file was read; it holds more",), encoding
            assert decode(saved(frames[0], encoding)).notes == ()


def bits(*parts: str) -> str:
    return "".join(parts).replace(" ", "")


def obu(kind: int, text: str) -> bytes:
    text += "1"
    body = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    return bytes([kind << 3 | 2, len(body)]) + body


def container(item: bytes) -> bytes:
    """The least of an AVIF: one item, in the file's own bytes."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(body)) + kind + body

    def meta(start: int) -> bytes:
        places = bytes(4) + b"\x44\0" + struct.pack(">HHHHII", 1, 1, 0, 1, start, len(item))
        entry = box(b"infe", bytes([2, 0, 0, 0]) + struct.pack(">HH", 1, 0) + b"av01\0")
        boxes = box(b"pitm", bytes(4) + struct.pack(">H", 1)) + box(b"iloc", places)
        return box(b"meta", bytes(4) + boxes + box(b"iinf", bytes(4) + struct.pack(">H", 1) + entry))

    head = box(b"ftyp", b"avif\0\0\0\0avif")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", item)


class TestOrientation:
    TYPES = (
        *(("BYTE", 1, "B"), ("SHORT", 3, "H"), ("LONG", 4, "I"), ("SBYTE", 6, "b"), ("UNDEFINED", 7, "B")),
        *(("SSHORT", 8, "h"), ("SLONG", 9, "i"), ("FLOAT", 11, "f")),
    )

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize(("name", "kind", "code"), TYPES)
    def test_of_any_type(self, order: str, name: str, kind: int, code: str) -> None:
        value = struct.pack(order + code, 6).ljust(4, b"\0")
        tiff = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIHHHI", 42, 8, 1, 274, kind, 1) + value
        pixels = smooth(16, 24)
        for encoding in ("JPEG", "PNG"):
            data = saved(Image.fromarray(pixels), encoding, exif=b"Exif\0\0" + tiff + bytes(4))
            assert decode(data).pixels.shape == (24, 16, 3), encoding

    @pytest.mark.parametrize(("kind", "count", "value"), [(2, 2, b"6\0\0\0"), (1, 4, b"\0\0\0\6"), (1, 2, b"\6\6\0\0")])
    def test_as_text_and_padded(self, kind: int, count: int, value: bytes) -> None:
        tiff = b"II" + struct.pack("<HIHHHI", 42, 8, 1, 274, kind, count) + value + bytes(4)
        data = saved(Image.fromarray(smooth(16, 24)), "JPEG", exif=b"Exif\0\0" + tiff)
        assert decode(data).pixels.shape == (24, 16, 3)

    def test_a_tiff_of_type_byte(self) -> None:
        data = bytearray(saved(Image.fromarray(smooth(16, 24)), "TIFF", tiffinfo={274: 6}))
        place = data.index(struct.pack("<HH", 274, 3))
        data[place : place + 12] = struct.pack("<HHII", 274, 1, 1, 6)
        assert decode(data).pixels.shape == (24, 16, 3)


class TestLimits:
    def test_a_photo_of_108_megapixels(self) -> None:
        data = saved(Image.new("L", (12_000, 9_000), 77), "PNG", compress_level=1)
        with pytest.raises(ValueError, match="12000 x 9000 = 108000000 pixels; max_pixels raises the limit"):
            decode(data)
        assert decode(data, max_pixels=108_000_000).pixels.shape == (9_000, 12_000, 3)

    def test_pillows_own_limit_gives_way_and_comes_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        data = saved(Image.new("RGB", (20, 20)), "PNG")
        with pytest.raises(ValueError, match="decompression bomb"):
            decode(data)
        assert decode(data, max_pixels=200_000_000).pixels.shape == (20, 20, 3)
        assert Image.MAX_IMAGE_PIXELS == 100

    def test_an_apple_double_is_said_to_be_one(self, tmp_path: Path) -> None:
        (tmp_path / "._x.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(60))
        with pytest.raises(ValueError, match=r"\._x\.jpg: expected .* got an AppleDouble file"):
            decode(tmp_path / "._x.jpg")


def cicp_png(primaries: int, transfer: int) -> bytes:
    """A PNG that names its colours by code points."""
    info = PngImagePlugin.PngInfo()
    info.add(b"cICP", bytes([primaries, transfer, 0, 1]))
    return saved(Image.new("RGB", (16, 16), (200, 100, 50)), "PNG", pnginfo=info)


class TestRawFiles:
    """A camera's raw file is a TIFF that begins with a preview."""

    @pytest.mark.parametrize("tag", [(254, 1), (50706, b"\x01\x04\x00\x00")])
    def test_the_preview_is_not_taken_for_the_photo(self, tag: tuple[int, Any]) -> None:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[tag[0]] = tag[1]
        with pytest.raises(ValueError, match="preview, as of a camera's raw file; export it as JPEG or PNG"):
            decode(saved(Image.new("RGB", (16, 12)), "TIFF", tiffinfo=tags))

    def test_a_page_is_no_preview(self) -> None:
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[254] = 2
        assert decode(saved(Image.new("RGB", (16, 12)), "TIFF", tiffinfo=tags)).pixels.shape == (12, 16, 3)

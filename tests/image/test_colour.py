"""Samples of every kind, and colour profiles, to 8-bit sRGB: by hand, and by the standards' formulae."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from facemin.image import Pixels, decode
from tests.pictures import LINEAR, LINEAR_RGB, SRGB_PRIMARIES, chunk, hwc, icc, png, saved, smooth

pytestmark = pytest.mark.usefixtures("no_warnings")


def _srgb_of_linear(values: Pixels) -> NDArray[np.float64]:
    """IEC 61966-2-1's transfer function, on 0..255."""
    unit = values / 255.0
    return 255 * np.where(unit <= 0.0031308, 12.92 * unit, 1.055 * unit ** (1 / 2.4) - 0.055)


class TestSamples:
    @given(samples=hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
    def test_16_bit_grey_is_rounded_to_8(self, samples: NDArray[np.uint16]) -> None:
        height, width = samples.shape
        data = png(width, height, 16, 0, [row.astype(">u2").tobytes() for row in samples])
        expected = np.rint(samples / 257.0)
        np.testing.assert_array_equal(hwc(decode(data)), np.repeat(expected[..., None], 3, axis=2))

    @given(samples=hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
    def test_16_bit_colour_is_scaled(self, samples: NDArray[np.uint16]) -> None:
        height, width, _ = samples.shape
        data = png(width, height, 16, 2, [row.astype(">u2").tobytes() for row in samples])
        pixels = hwc(decode(data))
        assert (np.abs(pixels - samples / 257.0) < 1).all()
        assert (pixels[samples == 65535] == 255).all()

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_16_bit_tiff(self, order: str) -> None:
        samples = np.array([[0, 257, 32768, 65535]], f"{order}u2")
        mode = "I;16" if order == "<" else "I;16B"
        picture = Image.frombytes(mode, (4, 1), samples.tobytes())
        np.testing.assert_array_equal(hwc(decode(saved(picture, "TIFF")))[0, :, 1], [0, 1, 128, 255])

    def test_12_bit_tiff(self) -> None:
        entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1)]
        entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 3)]
        directory = struct.pack("<H", len(entries)) + b"".join(
            struct.pack("<HHIHH" if kind == 3 else "<HHII", tag, kind, n, *((value, 0) if kind == 3 else (value,)))
            for tag, kind, n, value in entries
        )
        data = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00" + b"\0" + directory + bytes(4)
        np.testing.assert_array_equal(hwc(decode(data))[0, :, 0], [255, 128])

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_samples_without_a_white_are_refused(self, mode: str) -> None:
        with pytest.raises(ValueError, match="white is unknown"):
            decode(saved(Image.new(mode, (2, 2)), "TIFF"))

    def test_palette_with_transparency(self) -> None:
        palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
        alphas = chunk(b"tRNS", bytes([0, 128]))
        pixels = hwc(decode(png(3, 1, 8, 3, [bytes([0, 1, 2])], palette, alphas)))
        # 128/255 of green on white: 255 * 127/255 = 127 in the other channels.
        np.testing.assert_array_equal(pixels, [[[255, 255, 255], [127, 255, 127], [0, 0, 255]]])

    def test_one_transparent_colour(self) -> None:
        grey = png(2, 1, 8, 0, [bytes([7, 8])], chunk(b"tRNS", struct.pack(">H", 7)))
        np.testing.assert_array_equal(hwc(decode(grey))[0, :, 0], [255, 8])
        key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
        colour = png(2, 1, 8, 2, [bytes([1, 2, 3, 1, 2, 4])], key)
        np.testing.assert_array_equal(hwc(decode(colour)), [[[255, 255, 255], [1, 2, 4]]])

    def test_transparent_gif(self) -> None:
        picture = Image.new("P", (2, 1))
        picture.putpalette([10, 20, 30, 40, 50, 60])
        picture.putpixel((1, 0), 1)
        pixels = hwc(decode(saved(picture, "GIF", transparency=1)))
        np.testing.assert_array_equal(pixels, [[[10, 20, 30], [255, 255, 255]]])

    def test_cmyk(self) -> None:
        picture = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
        picture.paste((0, 0, 0, 255), (0, 0, 16, 8))
        expected = np.zeros((16, 16, 3), np.uint8)
        expected[8:] = (0, 255, 255)
        np.testing.assert_array_equal(hwc(decode(saved(picture, "TIFF"))), expected)
        assert np.abs(hwc(decode(saved(picture, "JPEG", quality=100))).astype(int) - expected).max() <= 2


class TestColourProfile:
    def test_linear_light_becomes_srgb(self) -> None:
        pixels = smooth(8, 8)
        found = hwc(decode(saved(Image.fromarray(pixels), "PNG", icc_profile=icc(b"RGB ", LINEAR_RGB))))
        assert np.abs(found - _srgb_of_linear(pixels)).max() < 2.0

    def test_swapped_primaries(self) -> None:
        swapped = {**LINEAR_RGB, b"rXYZ": SRGB_PRIMARIES[b"bXYZ"], b"bXYZ": SRGB_PRIMARIES[b"rXYZ"]}
        picture = Image.new("RGBA", (1, 1), (255, 0, 0, 255))
        found = hwc(decode(saved(picture, "PNG", icc_profile=icc(b"RGB ", swapped))))
        assert np.abs(found[0, 0].astype(int) - [0, 0, 255]).max() <= 1

    def test_transparency_is_applied_after_the_profile(self) -> None:
        picture = Image.new("RGBA", (1, 1), (55, 55, 55, 128))
        found = hwc(decode(saved(picture, "PNG", icc_profile=icc(b"RGB ", LINEAR_RGB))))
        over = _srgb_of_linear(np.array(55, np.uint8)) * 128 / 255 + 127
        assert np.abs(found - over).max() < 1.5

    @pytest.mark.parametrize("mode", ["L", "LA"])
    def test_grey(self, mode: str) -> None:
        profile = icc(b"GRAY", {b"kTRC": LINEAR})
        picture = Image.new(mode, (1, 1), 100 if mode == "L" else (100, 255))
        found = hwc(decode(saved(picture, "PNG", icc_profile=profile)))
        assert np.abs(found - _srgb_of_linear(np.array(100, np.uint8))).max() < 1.5

    @pytest.mark.parametrize(
        "profile",
        [
            b"no profile at all",
            icc(b"RGB ", LINEAR_RGB)[:200],
            icc(b"GRAY", {b"kTRC": LINEAR}),
        ],
        ids=["garbage", "truncated", "of another colour space"],
    )
    def test_a_broken_profile_changes_nothing(self, profile: bytes) -> None:
        pixels = smooth(8, 8)
        found = hwc(decode(saved(Image.fromarray(pixels), "PNG", icc_profile=profile)))
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_counts_from_white_down(bits: int) -> None:
    """A negative would be embedded as another face, without a word."""
    grey = (smooth(20, 30)[..., 0].astype(np.uint16) * (257 if bits == 16 else 1)).astype(f"uint{bits}")
    plain, negative = (saved(Image.fromarray(samples), "TIFF") for samples in (grey, 2**bits - 1 - grey))
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0))
    assert negative.count(black_is_zero) == 1
    read = decode(negative.replace(black_is_zero, white_is_zero))
    np.testing.assert_array_equal(hwc(read), hwc(decode(plain)))

"""Samples of any mode, depth and colour profile to 8-bit sRGB."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

_SAME = 2
"""Grey levels within which a profile's colours are sRGB's: profiles of sRGB differ by that much among themselves."""
_SRGB_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05
"""Gammas so near to that of sRGB are what writers put for it; PNG specification, 13.13."""
_PNG_LEVELS = {"1": 255, "L;2": 85, "L;4": 17}
"""What Pillow multiplies grey samples of fewer than 8 bits by, and the transparent level not."""


@dataclass(frozen=True, kw_only=True)
class ToSrgb:
    """The way of one image's samples to 8-bit sRGB.

    Args:
        base: Pillow's mode that the colour profile, or Pillow itself, converts from: L, RGB or CMYK.
        white: the largest sample of a 16-bit mode.
        inverted: whether 0 is white in such a mode.
        profile: from the embedded colour profile to sRGB; None for Pillow's own conversion.
        curve: sRGB's level for each of 256 levels; None where the samples are sRGB's.
        transparent: the sample of a 16-bit grey mode that is transparent.
        opaque: whether to pass over the alpha channel.
    """

    base: str
    white: int
    inverted: bool
    profile: ImageCms.ImageCmsTransform | None
    curve: NDArray[np.uint8] | None
    transparent: int | None
    opaque: bool

    def __call__(self, strip: Image.Image) -> NDArray[np.uint8]:
        """A strip of the image as (h, W, 3): to 8 bits, colours through the profile, then onto white."""
        alpha: NDArray[np.uint16] | None = None
        if strip.mode.startswith("I;16"):
            samples = np.asarray(strip).astype(np.uint32)
            if self.inverted:
                samples = self.white - samples.clip(max=self.white)
            if self.transparent is not None:
                alpha = np.where(samples == self.transparent, 0, 255).astype(np.uint16)[..., None]
            strip = Image.fromarray(((samples * 255 + self.white // 2) // self.white).clip(max=255).astype(np.uint8))
        elif strip.has_transparency_data and not self.opaque:
            strip = strip.convert("RGBA")
            alpha = np.asarray(strip.getchannel("A")).astype(np.uint16)[..., None]
        strip = _in_mode(strip, self.base)
        rgb = np.asarray(self.profile.apply(strip) if self.profile else _in_mode(strip, "RGB"))
        if self.curve is not None:
            rgb = self.curve[rgb]
        if alpha is None:
            return rgb
        return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """An image in a mode: itself where it has that one, of which Pillow would make a copy."""
    return image if image.mode == mode else image.convert(mode)


def to_srgb(image: Image.Image, rawmode: str) -> ToSrgb:
    """The conversion for an image that Pillow opened and loaded.

    Args:
        image: as loaded; a transparent level in its `info` is brought to the scale of its samples.
        rawmode: how Pillow read the samples, as its tiles named it before loading; "" where it does not say.

    Raises:
        ValueError: samples that have no agreed white: 32-bit integers, floats.
    """
    if image.mode in {"I", "F"}:
        raise ValueError(f"{'32-bit integer' if image.mode == 'I' else 'float'} samples, whose white is unknown")
    grey = image.mode in {"1", "L", "LA"} or image.mode.startswith("I;16")
    base = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
    transparent = _scale_transparency(image, rawmode) if image.format == "PNG" else None
    profile, known = _profile(image, base)
    return ToSrgb(
        base=base,
        white=4095 if _is_12_bit(image) else 65_535,
        inverted=_has_white_zero(image),
        profile=profile,
        curve=None if known else _curve(image),
        transparent=transparent,
        opaque=_has_unused_alpha(image),
    )


def _is_12_bit(image: Image.Image) -> bool:
    """Whether a TIFF's samples end at 4095: Pillow hands them out unscaled in a 16-bit mode."""
    tags = getattr(image, "tag_v2", {})
    return image.mode == "I;16" and tags.get(ExifTags.Base.BitsPerSample) == (12,)


def _has_white_zero(image: Image.Image) -> bool:
    """Whether a TIFF counts from white down: Pillow turns 8 bits and fewer round, and passes over it in 16."""
    return getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0


def _has_unused_alpha(image: Image.Image) -> bool:
    """Whether a BMP's alpha is zero everywhere: many programs declare it and leave it unset, and viewers pass it by."""
    return image.format in {"BMP", "DIB"} and image.mode == "RGBA" and image.getchannel("A").getextrema()[1] == 0


def _scale_transparency(image: Image.Image, rawmode: str) -> int | None:
    """Bring the level or colour that a PNG calls transparent to its samples' scale; a 16-bit grey level is returned."""
    level = image.info.get("transparency")
    if isinstance(level, int) and image.mode.startswith("I;16"):
        return level
    if isinstance(level, int) and image.mode in {"1", "L"}:
        factor = _PNG_LEVELS.get(rawmode, 1)
        # Bits above the sample's depth do not count; PNG specification, 11.3.2.1.
        image.info["transparency"] = (level & 255 // factor) * factor
    elif isinstance(level, tuple) and rawmode.startswith("RGB;16"):
        # Pillow keeps the upper half of each sample.
        image.info["transparency"] = tuple(value >> 8 for value in level)
    return None


def _profile(image: Image.Image, base: str) -> tuple[ImageCms.ImageCmsTransform | None, bool]:
    """The way from the embedded profile to sRGB, and whether there is a profile that can be read.

    None without one, and where it is broken, or where what it does to colours shows that it is sRGB, whatever it is
    called.
    """
    data = image.info.get("icc_profile")
    if not data:
        return None, False
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, srgb, base, "RGB")
        # The other intent knows profiles of sRGB whose perceptual table re-renders colours.
        exact = ImageCms.buildTransform(
            profile, srgb, base, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        same = base != "CMYK" and (_changes_nothing(transform, base) or _changes_nothing(exact, base))
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return None, False
    return (None if same else transform), True


def _changes_nothing(transform: ImageCms.ImageCmsTransform, base: str) -> bool:
    levels = np.arange(256, dtype=np.uint8)
    colours = np.stack(np.meshgrid(*[levels[::17]] * 3), -1).reshape(1, -1, 3)
    grey = levels[None, :, None].repeat(3, 2)
    before = np.concatenate((colours, grey), 1) if base == "RGB" else grey
    image = Image.fromarray(before if base == "RGB" else np.ascontiguousarray(before[..., 0]))
    after = np.asarray(transform.apply(image))
    return int(np.abs(after.astype(np.int16) - before).max()) <= _SAME


def _curve(image: Image.Image) -> NDArray[np.uint8] | None:
    """Levels of sRGB for those of a PNG that says its gamma and nothing more exact; IEC 61966-2-1's curve."""
    gamma = image.info.get("gamma")
    if image.format != "PNG" or not gamma or "srgb" in image.info or abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE:
        return None
    light = (np.arange(256) / 255) ** (1 / gamma)
    unit = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(255 * unit).astype(np.uint8)
    return levels

"""Samples of any mode, depth and colour profile to 8-bit sRGB."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms


@dataclass(frozen=True, kw_only=True)
class ToSrgb:
    """The way of one image's samples to 8-bit sRGB.

    Args:
        base: Pillow's mode that the colour profile, or Pillow itself, converts from: L, RGB or CMYK.
        white: the largest sample of a 16-bit mode.
        profile: from the embedded colour profile to sRGB; None for Pillow's own conversion.
    """

    base: str
    white: int
    profile: ImageCms.ImageCmsTransform | None

    def __call__(self, strip: Image.Image) -> NDArray[np.uint8]:
        """A strip of the image as (h, W, 3): to 8 bits, colours through the profile, then onto white."""
        if strip.mode.startswith("I;16"):
            samples = np.asarray(strip).astype(np.uint32)
            strip = Image.fromarray(((samples * 255 + self.white // 2) // self.white).clip(max=255).astype(np.uint8))
        alpha: NDArray[np.uint16] | None = None
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            alpha = np.asarray(strip.getchannel("A")).astype(np.uint16)[..., None]
        strip = strip.convert(self.base)
        rgb = np.asarray(self.profile.apply(strip) if self.profile else strip.convert("RGB"))
        if alpha is None:
            return rgb
        return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_srgb(image: Image.Image) -> ToSrgb:
    """The conversion for an image that Pillow opened and loaded.

    Raises:
        ValueError: samples that have no agreed white: 32-bit integers, floats.
    """
    if image.mode in {"I", "F"}:
        raise ValueError(f"{'32-bit integer' if image.mode == 'I' else 'float'} samples, whose white is unknown")
    grey = image.mode in {"1", "L", "LA"} or image.mode.startswith("I;16")
    base = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
    return ToSrgb(base=base, white=4095 if _is_12_bit(image) else 65_535, profile=_profile(image, base))


def _is_12_bit(image: Image.Image) -> bool:
    """Whether a TIFF's samples end at 4095: Pillow hands them out unscaled in a 16-bit mode."""
    tags = getattr(image, "tag_v2", {})
    return image.mode == "I;16" and tags.get(ExifTags.Base.BitsPerSample) == (12,)


def _profile(image: Image.Image, base: str) -> ImageCms.ImageCmsTransform | None:
    """The way from the embedded profile to sRGB; None without one, or where it is sRGB, or broken."""
    data = image.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), base, "RGB")
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return None

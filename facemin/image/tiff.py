"""What a TIFF says of its first picture, before its pixels are read."""

from PIL import ExifTags, Image

_LARGEST_TILE = 1 << 20
"""Pixels of a tile that are always accepted."""


def check_tiff(image: Image.Image, max_pixels: int) -> None:
    """Refuse a preview in the place of the photo, and tiles larger than any image may be.

    Raw files of cameras are TIFFs whose first picture is a small preview; a tile is inflated whole, whatever it shows.
    """
    tags = getattr(image, "tag_v2", {})
    kind = tags.get(ExifTags.Base.NewSubfileType, 0)
    if ExifTags.Base.DNGVersion in tags or (isinstance(kind, int) and kind & 1):
        raise ValueError("a TIFF whose first picture is a preview, as of a camera's raw file; export it as JPEG or PNG")
    sides = [int(tags.get(tag, 0)) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength)]
    if sides[0] * sides[1] > max(max_pixels, _LARGEST_TILE):
        raise ValueError(f"tiles of {sides[0]} x {sides[1]} pixels")

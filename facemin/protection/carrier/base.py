"""Bases of carriers: synthetic faces, drawn from a secret by origin and purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageFilter

from facemin.protection.carrier.components import COMPONENTS, CORNER, FRAME, PHOTO, components, to_rgb
from facemin.protection.carrier.drawing import FACTS, draw_face
from facemin.pseudonym.derivation import normals
from facemin.pseudonym.encoding import derive_key, encode_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from facemin.pseudonym.rotation import Pseudonym

    Floats = NDArray[np.float32]

Look: TypeAlias = Literal["photo", "drawing"]

SALT = "facemin carrier base v1"
VERSION = 1
MOST_DRAWS = 64
"""Of one base; each is refused for not being clear in about one case of seven, and for resembling its owner in one of
a hundred."""
LIGHT = 4
"""Components that are mostly light and background: they move less, so that faces stay well lit."""
LIGHT_GAIN, GAIN = 0.3, 1.0
"""Standard deviations by which the first components, and all, vary: the first by both."""
FARTHEST = 2.5
"""Standard normal numbers are clipped there: further out lie no faces."""
BEND = 5.0
"""Standard deviation, in frame pixels, by which features are moved: mixtures of aligned faces all have the same
proportions, and by them networks take one for the other. Both sides of a face move alike."""
BEND_GRID = (9, 5)
"""Rows, and columns of half a face, of the grid on which displacements are drawn."""
SHARPEN = (FRAME / 85, 100)
"""Radius in frame pixels, and per cent, of the unsharp mask that takes away some of the averages' blur."""
WORK = 256
"""Side at which a photo is mixed, twice as fine as its components; the frame is enlarged from there."""
_BENDS = 2 * BEND_GRID[0] * BEND_GRID[1]
_NUMBERS = COMPONENTS + FACTS + _BENDS


@dataclass(frozen=True, kw_only=True, eq=False)
class Base:
    """A face of nobody.

    Attributes:
        look: "photo", a mixture of principal components; or "drawing".
        numbers: standard normal, (COMPONENTS + FACTS + 90,) float64: everything that it shows.
        attempt: which draw of its owner's this is; see `MOST_DRAWS`.
    """

    look: Look
    numbers: NDArray[np.float64] = field(repr=False)
    attempt: int = 0

    @cached_property
    def frame(self) -> Floats:
        """The base in the frame, (512, 512, 3) float32 in [0, 1]."""
        if self.look == "drawing":
            return _bent(draw_face(self.numbers[COMPONENTS : COMPONENTS + FACTS]), self.numbers[-_BENDS:])
        return _photo(self.numbers)

    def at(self, side: int) -> Floats:
        """The base as a photo, (side, side, 3) float32 in [0, 1]."""
        return photo_of(self.frame, side)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The frame as 8-bit RGB, (512, 512, 3)."""
        return np.asarray(np.rint(255 * self.frame), np.uint8)


def draw_base(pseudonyms: Sequence[Pseudonym], *, look: Look = "photo", attempt: int = 0) -> Base:
    """The base of a secret for the origins and the purpose of one or several pseudonyms.

    Epochs, keys and spaces do not count, so that a profile picture stays the same face when they change.

    Args:
        pseudonyms: of one secret and purpose; several for a carrier that several services recognise.
        look: "photo" or "drawing".
        attempt: 0, or which of the further draws.

    Raises:
        ValueError: none, or pseudonyms of several secrets or purposes.
    """
    owners = {(each.secret.data, each.context.purpose) for each in pseudonyms}
    if len(owners) != 1:
        raise ValueError(f"pseudonyms: expected at least one, all of one secret and purpose, got {len(owners)} of them")
    ((secret, purpose),) = owners
    origins = sorted({each.context.origin for each in pseudonyms})
    info = encode_fields(VERSION, look, purpose, attempt, *origins)
    return base_of(derive_key(secret, salt=SALT, info=info), look=look, attempt=attempt)


def base_of(seed: bytes, *, look: Look = "photo", attempt: int = 0) -> Base:
    """The base of a seed of 32 bytes; see `draw_base`.

    Raises:
        ValueError: another seed or look.
    """
    if look not in ("photo", "drawing"):
        raise ValueError(f"look: expected 'photo' or 'drawing', got {look!r}")
    return Base(look=look, numbers=normals(seed, _NUMBERS), attempt=attempt)


def photo_of(frame: Floats, side: int) -> Floats:
    """A photo (side, side, 3) in [0, 1] of a frame (512, 512, 3), whose background goes on around it, ever softer."""
    x, y = CORNER
    rest = PHOTO - FRAME
    padded = np.pad(frame, ((y, rest - y), (x, rest - x), (0, 0)), mode="edge")
    small = Image.fromarray((255 * resized(padded, PHOTO // 8)).round().astype(np.uint8))
    soft = np.asarray(small.filter(ImageFilter.GaussianBlur(PHOTO / 150)), np.float32) / np.float32(255)
    return resized(padded + surround() * (resized(soft, PHOTO) - padded), side)


def frame_in(photo: NDArray[np.uint8], side: int, resampling: Image.Resampling) -> Image.Image:
    """What a square photo (S, S, 3) shows of a base's frame, at another size: `photo_of` undone."""
    scale = len(photo) / PHOTO
    left, top, right, bottom = (scale * edge for edge in (*CORNER, CORNER[0] + FRAME, CORNER[1] + FRAME))
    return Image.fromarray(photo).resize((side, side), resampling, (left, top, right, bottom))


def resized(frame: Floats, side: int) -> Floats:
    """An image (H, W, C) in [0, 1] at another size, (side, side, C), antialiased, in [0, 1]."""
    if frame.shape[:2] == (side, side):
        return frame
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((side, side), Image.Resampling.BICUBIC))
        for plane in frame.transpose(2, 0, 1)
    ]
    return np.stack(planes, -1).clip(0, 1)


def _photo(numbers: NDArray[np.float64]) -> Floats:
    weights = numbers[:COMPONENTS].clip(-FARTHEST, FARTHEST) * GAIN
    weights[:LIGHT] *= LIGHT_GAIN
    found = components()
    mixed = to_rgb(found.mean + weights.astype(np.float32) @ found.parts, WORK)
    rgb = _bent(mixed, numbers[-_BENDS:])
    image = Image.fromarray(rgb.clip(0, 255).round().astype(np.uint8))
    radius, strength = SHARPEN
    sharp = np.asarray(image.filter(ImageFilter.UnsharpMask(radius * WORK / FRAME, strength, 0)), np.float32)
    # what is mixed around a head is patches of many backgrounds, in which detectors see further faces
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(WORK / 20)), np.float32)
    mask = resized(head()[..., None], WORK)
    return resized((soft + mask * (sharp - soft)) / np.float32(255), FRAME)


def _bent(image: Floats, numbers: NDArray[np.float64]) -> Floats:
    """A square image (S, S, 3) with its features moved, both sides alike."""
    side = len(image)
    rows, half = BEND_GRID
    down, right = (numbers.clip(-FARTHEST, FARTHEST) * (BEND * side / FRAME)).reshape(2, rows, half)
    # the last column is the middle: nothing moves sideways there
    right[:, -1] = 0
    grids = np.concatenate([down, down[:, -2::-1]], 1), np.concatenate([right, -right[:, -2::-1]], 1)
    moved = [
        np.asarray(Image.fromarray(grid.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
        for grid in grids
    ]
    line = np.arange(side, dtype=np.float32)
    places = [(line[:, None] + moved[0]).clip(0, side - 1.001), (line + moved[1]).clip(0, side - 1.001)]
    top, left = (place.astype(np.intp) for place in places)
    lower, along = places[0] - top, places[1] - left
    flat = np.ascontiguousarray(image, np.float32).reshape(-1, 3)
    first = top * side + left
    above = flat[first] * (1 - along[..., None]) + flat[first + 1] * along[..., None]
    below = flat[first + side] * (1 - along[..., None]) + flat[first + side + 1] * along[..., None]
    return np.asarray(above + (below - above) * lower[..., None], np.float32)


@cache
def surround() -> Floats:
    """0 in a photo's frame, growing to 1 around it, (PHOTO, PHOTO, 1)."""
    lines = (np.abs(np.arange(PHOTO) - corner - FRAME / 2) - FRAME / 2 for corner in CORNER)
    x, y = (np.clip(line / 24, 0, 1).astype(np.float32) for line in lines)
    return np.asarray(np.maximum(x, y[:, None])[..., None], np.float32)


@cache
def head() -> Floats:
    """1 on head, hair, neck and shoulders, 0 on the background, with a soft edge, (512, 512)."""
    y, x = np.mgrid[:FRAME, :FRAME].astype(np.float32) / FRAME
    head = np.hypot((x - 0.5) / 0.34, (y - 0.48) / 0.44)
    shoulders = np.hypot((x - 0.5) / 0.5, (y - 1.08) / 0.34)
    inside = np.minimum(head, shoulders)
    return np.asarray(np.clip((1.12 - inside) / 0.24, 0, 1), np.float32)

"""A drawn face: an avatar of ellipses, arcs and shading, whose measures come from a few normal numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from facemin.protection.carrier.components import FRAME, landmarks_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

FACTS = 16
"""Numbers that a drawing takes."""
_FINE = 2  # drawn so much larger and averaged, for smooth edges
_SKIN = np.array([[241, 205, 178], [222, 171, 134], [188, 130, 93], [141, 91, 62], [99, 64, 44]], np.float64)
_HAIR = np.array([[30, 24, 22], [74, 49, 34], [128, 86, 52], [196, 156, 98], [150, 150, 150]], np.float64)


def draw_face(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Draw a face.

    Args:
        numbers: standard normal, (FACTS,).

    Returns:
        (512, 512, 3) float32 in [0, 1].
    """
    side = FRAME * _FINE
    places = iter(_shares(numbers))
    skin, hair = _mixed(_SKIN, next(places)), _mixed(_HAIR, next(places))
    width, jaw, brow, eye, nose, mouth, smile, lips, fringe, beard = (next(places) for _ in range(10))
    background = 90 + 110 * np.array([next(places) for _ in range(3)])
    points = landmarks_in(side)
    left, right, tip = points[0], points[1], points[2]
    lip = points[3:].mean(0)
    gap = right[0] - left[0]
    centre = (left[0] + right[0]) / 2
    image = Image.new("RGB", (side, side), _rgb(background))
    pen = ImageDraw.Draw(image)

    def oval(x: float, y: float, across: float, down: float, colour: tuple[int, int, int]) -> None:
        pen.ellipse((x - across, y - down, x + across, y + down), fill=colour)

    half, high, low = gap * (0.92 + 0.22 * width), left[1] - gap * 1.15, lip[1] + gap * (0.62 + 0.16 * jaw)
    middle = (high + low) / 2
    oval(centre, high + gap * 0.75, half * 1.16, gap * (1.0 + 0.3 * fringe), _rgb(hair))
    oval(centre, side * 1.12, gap * 2.1, side * 0.26, _rgb(background * 0.45))
    pen.rectangle((centre - gap * 0.5, lip[1], centre + gap * 0.5, side * 0.93), fill=_rgb(skin * 0.82))
    for x in (centre - half, centre + half):
        oval(x, tip[1] - gap * 0.2, gap * 0.16, gap * 0.32, _rgb(skin * 0.9))
    oval(centre, middle, half, (low - high) / 2, _rgb(skin))
    pen.pieslice(
        (centre - half, high - gap * 0.1, centre + half, high + gap * (1.0 + 0.5 * fringe)), 180, 360, fill=_rgb(hair)
    )
    image = image.filter(ImageFilter.GaussianBlur(side / 180))
    image = _shaded(image, centre, middle, half, (low - high) / 2)
    pen = ImageDraw.Draw(image)
    for at in (left, right):
        oval(at[0], at[1], gap * 0.27, gap * 0.17, _rgb(skin * 0.72))
        oval(at[0], at[1], gap * 0.22, gap * (0.08 + 0.05 * eye), (243, 240, 236))
        oval(at[0], at[1], gap * 0.095, gap * 0.095, _rgb(40 + 60 * background / 255))
        oval(at[0], at[1], gap * 0.045, gap * 0.045, (12, 10, 10))
        over = at[1] - gap * (0.27 + 0.08 * brow)
        box = (at[0] - gap * 0.32, over - gap * 0.06, at[0] + gap * 0.32, over + gap * 0.22)
        pen.arc(box, 195, 345, fill=_rgb(hair * 0.7), width=round(gap * (0.05 + 0.06 * brow)))
    across = gap * (0.13 + 0.07 * nose)
    oval(tip[0], tip[1] + gap * 0.02, across * 1.5, gap * 0.1, _rgb(skin * 0.83))
    for side_of in (-1, 1):
        oval(tip[0] + side_of * across, tip[1] + gap * 0.08, gap * 0.05, gap * 0.03, _rgb(skin * 0.45))
    pen.line((tip[0] + across * 0.9, left[1] + gap * 0.1, tip[0] + across, tip[1]), fill=_rgb(skin * 0.86), width=6)
    wide, thick = gap * (0.34 + 0.12 * mouth), gap * (0.07 + 0.06 * lips)
    oval(centre, lip[1] + gap * 0.03, wide, thick, _rgb(skin * np.array([0.78, 0.5, 0.5])))
    lift = gap * (0.05 + 0.16 * smile)
    pen.arc(
        (centre - wide, lip[1] - lift, centre + wide, lip[1] + lift * 0.6), 10, 170, fill=_rgb(skin * 0.35), width=7
    )
    if beard > 0.6:
        oval(centre, lip[1] - gap * 0.17, wide * 0.9, gap * 0.05, _rgb(hair))
    soft = image.filter(ImageFilter.GaussianBlur(side / 260))
    small = np.asarray(soft.resize((FRAME, FRAME), Image.Resampling.BOX), np.float32)
    return np.asarray(small / np.float32(255), np.float32)


def _shaded(image: Image.Image, x: float, y: float, across: float, down: float) -> Image.Image:
    """Light from above and darker cheeks: detectors look for them."""
    side = image.size[0]
    rows, columns = np.mgrid[:side, :side]
    inside = np.hypot((columns - x) / across, (rows - y) / down)
    light = 1 - 0.22 * inside.clip(0, 1.2) ** 3 - 0.08 * ((rows - y) / down).clip(-1, 1)
    # the background stays as it is, with a soft edge between the two
    light = 1 + (light - 1) * ((1.45 - inside) / 0.25).clip(0, 1)
    pixels = np.asarray(image, np.float64) * light[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _shares(numbers: NDArray[np.float64]) -> list[float]:
    """Normal numbers as shares in (0, 1), roughly even."""
    return [float(share) for share in 1 / (1 + np.exp(-1.7 * np.asarray(numbers)))]


def _mixed(colours: Doubles, share: float) -> Doubles:
    place = share * (len(colours) - 1)
    first = min(int(place), len(colours) - 2)
    mixed: Doubles = colours[first] + (place - first) * (colours[first + 1] - colours[first])
    return mixed


def _rgb(colour: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(colour, 0, 255))
    return red, green, blue

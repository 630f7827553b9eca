"""Random operations of a provider, and warps of a recipient's own cropping, that painted images have to withstand.

Those of `protection.pmt.degradations` and more of them, drawn for a whole batch at once: a decoder is trained on
hundreds of thousands of images, so that what an operation costs counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.jpeg import jpeg
from facemin.runtime.ranges import check_ranges

if TYPE_CHECKING:
    from torch import Tensor

SIDE = linear_maps.SIDE
BLUR_GRID = 0.05
"""Blurs come in steps of this many pixels, so that their matrices are made once."""

OPERATIONS = ("none", "blur", "strong-blur", "resize", "shift", "jpeg", "noise", "warp", "gamma")


@dataclass(frozen=True, kw_only=True)
class TrainingOperations:
    """One operation an image, and with some chance a second one.

    Args:
        none, blur, strong_blur, resize, shift, jpeg, noise, warp, gamma: how often each is drawn, relative to the
            sum of all.
        second: chance of a second operation.
        blur_sigma: largest Gaussian blur in pixels; `blur` draws from 0.3 to half of it, `strong-blur` the rest.
        resize_factor: smallest factor by which the image is scaled down before it is scaled up again; up to 0.95.
        shift_pixels: largest shift along each axis, by fractions of a pixel.
        stretch: largest change of scale along each axis that comes with a shift.
        jpeg_quality: lowest quality; drawn up to 95.
        twice: chance that an image is compressed twice.
        noise_deviation: largest standard deviation of Gaussian noise, in units of [0, 1]; drawn from a third of it.
        rotation: largest rotation of a warp, in degrees.
        scale: largest change of scale of a warp.
        warp_shift: largest shift of a warp along each axis, in pixels.
        gamma_log: largest absolute logarithm of the exponent.

    Raises:
        ValueError: a strength out of range, or no operation that may be drawn.
    """

    none: float = 1.0
    blur: float = 1.0
    strong_blur: float = 1.0
    resize: float = 1.0
    shift: float = 1.5
    jpeg: float = 1.0
    noise: float = 2.0
    warp: float = 1.0
    gamma: float = 0.5
    second: float = 0.25
    blur_sigma: float = 2.3
    resize_factor: float = 0.5
    shift_pixels: float = 3.2
    stretch: float = 0.04
    jpeg_quality: int = 65
    twice: float = 0.3
    noise_deviation: float = 0.12
    rotation: float = 6.0
    scale: float = 0.06
    warp_shift: float = 2.0
    gamma_log: float = 0.35

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "[0.6, 8]": "blur_sigma",
                "[0, 28]": "shift_pixels warp_shift",
                "[1, 95]": "jpeg_quality",
                "[0, 90]": "rotation",
                "[0, 1]": "second twice stretch scale noise_deviation",
                "[0.1, 1]": "resize_factor",
                "[0, 100]": " ".join(OPERATIONS).replace("-", "_") + " gamma_log",
            },
        )
        if sum(self.weights) <= 0:
            raise ValueError("TrainingOperations: expected at least one operation that may be drawn, got none")

    @property
    def weights(self) -> tuple[float, ...]:
        """How often each of `OPERATIONS` is drawn."""
        return tuple(float(getattr(self, name.replace("-", "_"))) for name in OPERATIONS)

    def __call__(self, images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
        """What a provider might get.

        Args:
            images: (B, 3, 112, 112) in [0, 1].
            rng: source of all randomness.
            strength: factor on every strength, in [0, 1], for a training that ramps them in.

        Returns:
            (B, 3, 112, 112) of the same type, differentiable in `images`; noise may leave [0, 1].
        """
        chances = np.array(self.weights) / sum(self.weights)
        drawn = [{str(rng.choice(OPERATIONS, p=chances))} for _ in images]
        for own in drawn:
            if rng.random() < self.second:
                own.add(str(rng.choice(OPERATIONS, p=chances)))

        def rows(*names: str) -> list[int]:
            return [row for row, own in enumerate(drawn) if own & {*names}]

        images = _on_rows(images, rows("gamma"), lambda part: self._gamma(part, rng, strength))
        images = _on_rows(images, rows("warp"), lambda part: self._warp(part, rng, strength))
        mapped = rows("blur", "strong-blur", "resize", "shift")
        images = _on_rows(images, mapped, lambda part: self._map(part, [drawn[row] for row in mapped], rng, strength))
        images = _on_rows(images, rows("noise"), lambda part: self._noise(part, rng, strength))
        return _on_rows(images, rows("jpeg"), lambda part: self._jpeg(part, rng, strength))

    def _gamma(self, images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
        exponents = np.exp(rng.uniform(-self.gamma_log, self.gamma_log, len(images)) * strength)
        # the slope at 0 is infinite
        powered: Tensor = images.float().clamp(1e-3, 1) ** _column(exponents, images)
        return powered

    def _warp(self, images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
        places = []
        for _ in images:
            angle = radians(rng.uniform(-self.rotation, self.rotation) * strength)
            scale = 1 + rng.uniform(-self.scale, self.scale) * strength
            across, down = rng.uniform(-self.warp_shift, self.warp_shift, 2) * strength * 2 / SIDE
            along, aside = scale * cos(angle), scale * sin(angle)
            places.append([[along, -aside, across], [aside, along, down]])
        grid = F.affine_grid(
            torch.tensor(places, dtype=torch.float32, device=images.device), list(images.shape), align_corners=False
        )
        return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)

    def _map(self, images: Tensor, drawn: list[set[str]], rng: np.random.Generator, strength: float) -> Tensor:
        pairs = [self._matrices(own, rng, strength) for own in drawn]
        rows, columns = (torch.stack(side).to(images) for side in zip(*pairs, strict=True))
        return linear_maps.apply(images, rows, columns)

    def _matrices(self, own: set[str], rng: np.random.Generator, strength: float) -> tuple[Tensor, Tensor]:
        down = across = torch.eye(SIDE)
        if "shift" in own:
            down, across = (self._moved(rng, strength) for _ in range(2))
        both = []
        if "resize" in own:
            side = round(SIDE * (1 - (1 - rng.uniform(self.resize_factor, 0.95)) * strength))
            both.append(linear_maps.resize_matrix(side))
        middle = self.blur_sigma / 2
        for name, (low, high) in {"blur": (0.3, middle), "strong-blur": (middle, self.blur_sigma)}.items():
            if name in own:
                sigma = max(1, round(rng.uniform(low, high) * strength / BLUR_GRID)) * BLUR_GRID
                both.append(linear_maps.blur_matrix(sigma))
        for matrix in both:
            down, across = matrix @ down, matrix @ across
        return down, across

    def _moved(self, rng: np.random.Generator, strength: float) -> Tensor:
        middle = (SIDE - 1) / 2
        places = (np.arange(SIDE) - middle) * (1 + rng.uniform(-self.stretch, self.stretch) * strength) + middle
        places = (places + rng.uniform(-self.shift_pixels, self.shift_pixels) * strength).clip(0, SIDE - 1)
        left = np.minimum(places.astype(np.int64), SIDE - 2)
        matrix = np.zeros((SIDE, SIDE), np.float32)
        matrix[np.arange(SIDE), left] = 1 - (places - left)
        matrix[np.arange(SIDE), left + 1] = places - left
        return torch.from_numpy(matrix)

    def _noise(self, images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
        deviations = _column(
            rng.uniform(self.noise_deviation / 3, self.noise_deviation, len(images)) * strength, images
        )
        drawn = torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32)).to(images.device)
        # clipping as an 8-bit image does; it passes no slope where it clips
        return (images.float() + drawn * deviations).clamp(0, 1)

    def _jpeg(self, images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
        lowest = round(95 - (95 - self.jpeg_quality) * strength)

        def qualities(count: int) -> Tensor:
            return torch.from_numpy(rng.integers(lowest, 96, count)).to(images.device)

        coded = jpeg(images.float(), qualities(len(images)))
        again = [row for row in range(len(images)) if rng.random() < self.twice]
        return _on_rows(coded, again, lambda part: jpeg(part, qualities(len(part))))


def _on_rows(images: Tensor, rows: list[int], change: object) -> Tensor:
    """The images, with some of them changed."""
    if not rows:
        return images
    assert callable(change)
    places = torch.tensor(rows, device=images.device)
    return images.index_copy(0, places, change(images[places]).to(images.dtype))


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device).view(-1, 1, 1, 1)

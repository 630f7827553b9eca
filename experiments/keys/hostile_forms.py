"""What an image may hold of a face: forms that a hostile key could ask for, each a function of faces alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facemin.image import Pixels

    Form = Callable[["Given"], NDArray[np.generic]]


class Given(NamedTuple):
    """What a form is made of: the face, another person's protected image, and a source of noise."""

    face: Pixels
    other: Pixels
    random: np.random.Generator


def _noise(generator: np.random.Generator) -> Pixels:
    return generator.integers(0, 256, (112, 112, 3), dtype=np.uint8)


def _average(face: Pixels, count: int) -> NDArray[np.floating]:
    small = face.reshape(112 // count, count, 112 // count, count, 3).mean((1, 3))
    return np.asarray(small.repeat(count, 0).repeat(count, 1))


def _plane(face: Pixels, number: int, generator: np.random.Generator) -> Pixels:
    made = _noise(generator)
    made[..., number] = face[..., number]
    return made


def _tiled(face: Pixels, count: int) -> Pixels:
    pieces = face.reshape(112 // count, count, 112 // count, count, 3)
    return pieces.transpose(1, 0, 3, 2, 4).reshape(112, 112, 3)


def _hidden(face: Pixels, side: int, canvas: Pixels) -> Pixels:
    made = canvas.copy()
    count = 112 // side
    made[4 : 4 + side, 108 - side : 108] = face.reshape(side, count, side, count, 3).mean((1, 3)).round()
    return made


def _blend(share: float, *, noise: bool) -> Form:
    def form(x: Given) -> NDArray[np.floating]:
        return share * x.face + (1 - share) * (_noise(x.random) if noise else x.other)

    return form


FORMS: dict[str, Form] = {
    "identity": lambda x: x.face,
    **{f"average of {n}": lambda x, n=n: _average(x.face, n) for n in (2, 4, 7, 8)},  # type: ignore[misc]
    **{f"{c} alone": lambda x, n=n: _plane(x.face, n, x.random) for n, c in enumerate(("red", "green", "blue"))},  # type: ignore[misc]
    **{f"sub-pixels of {n}": lambda x, n=n: _tiled(x.face, n) for n in (2, 4, 8)},  # type: ignore[misc]
    "in a corner of noise, 56 px": lambda x: _hidden(x.face, 56, _noise(x.random)),
    "in a corner of noise, 28 px": lambda x: _hidden(x.face, 28, _noise(x.random)),
    "in a corner of a protected image, 56 px": lambda x: _hidden(x.face, 56, x.other),
    "in a corner of a protected image, 28 px": lambda x: _hidden(x.face, 28, x.other),
    "mirrored": lambda x: x.face[:, ::-1],
    "inverted": lambda x: 255 - x.face,
    "upside down": lambda x: x.face[::-1],
    "turned by 90 degrees": lambda x: np.rot90(x.face),
    "other order of colours": lambda x: x.face[..., [1, 2, 0]],
    "pixels in a secret order": lambda x: x.random.permutation(x.face.reshape(-1, 3)),
    "pixels in a secret order, each colour its own": lambda x: x.random.permuted(x.face.reshape(-1, 3), axis=0),
    "secret order of pixels, greys halved": lambda x: x.random.permutation(x.face.reshape(-1, 3)) // 2,
    "every second row": lambda x: np.where((np.arange(112) % 2)[:, None, None], x.face, _noise(x.random)),
    "half of it": lambda x: np.where((np.arange(112) < 56)[:, None, None], x.face, _noise(x.random)),
    "signs by chance": lambda x: 127.5 + (x.face - 127.5) * x.random.choice([-1, 1], x.face.shape),
    "in the low four bits": lambda x: (_noise(x.random) & 0xF0) | (x.face >> 4),
    "in the lowest bit": lambda x: (_noise(x.random) & 0xFE) | (x.face >> 7),
    "shifted by 10 px": lambda x: np.roll(x.face, (10, -10), (0, 1)),
    **{f"blended with noise, {s:.0%} face": _blend(s, noise=True) for s in (0.8, 0.65, 0.5, 0.35, 0.2)},
    **{f"blended with a protected face, {s:.0%} face": _blend(s, noise=False) for s in (0.8, 0.65, 0.5, 0.35, 0.2)},
}


def made(form: Form, face: Pixels, other: Pixels, seed: int) -> Pixels:
    """A form of a face, as the 8-bit image that is sent."""
    image = np.asarray(form(Given(face, other, np.random.default_rng(seed))), np.float64).reshape(112, 112, 3)
    return np.ascontiguousarray(image.clip(0, 255).round().astype(np.uint8))

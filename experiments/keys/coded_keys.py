"""Hostile keys that ask for a code of the face: secret convolutions and projections, and what is nonlinear in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper
from scipy.fft import dct

from facemin.experiments.foreign_key import foreign_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import NodeProto

    from facemin.keys.key import Key

SIDE = 112


def _rotation(size: int) -> NDArray[np.floating]:
    return np.asarray(np.linalg.qr(np.random.default_rng(7).standard_normal((size, size)))[0])


def _single(weights: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Floats in single precision, as the graph's faces are."""
    return {name: value.astype(np.float32) if value.dtype.kind == "f" else value for name, value in weights.items()}


def _strided(kernel: NDArray[np.floating], *more: NodeProto) -> Key:
    """Blocks about mid-grey by some filters (K, 3, side, side), and what nodes make of that, from "code" on."""
    side = kernel.shape[-1]
    nodes = [
        helper.make_node("Sub", ["faces", "half"], ["centred"]),
        helper.make_node("Conv", ["centred", "kernel"], ["code"], kernel_shape=[side] * 2, strides=[side] * 2),
        *more,
    ]
    return foreign_key(nodes, [nodes[-1].output[0]], _single({"half": np.array(0.5), "kernel": kernel}), pool=2)


def convolution(side: int, count: int, *, absolute: bool = False) -> Key:
    """So many filters of one secret rotation of the blocks, all colours together."""
    kernel = _rotation(3 * side * side)[:count].reshape(count, 3, side, side)
    return _strided(kernel, *[helper.make_node("Abs", ["code"], ["positive"])] * absolute)


def cosines() -> Key:
    """Absolute values of the 8 x 8 blocks' cosine coefficients, luminance alone."""
    basis = dct(np.eye(8), axis=0, norm="ortho")
    filters = np.einsum("im,jn->ijmn", basis, basis).reshape(64, 1, 8, 8)
    return _strided(filters * np.full((1, 3, 1, 1), 1 / 3), helper.make_node("Abs", ["code"], ["positive"]))


def projection(count: int) -> Key:
    """So many rows of a secret rotation of averages of 4."""
    nodes = [
        helper.make_node("AveragePool", ["faces"], ["mean"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "matrix"], ["mixed"]),
        helper.make_node("Reshape", ["mixed", "shape"], ["map"]),
    ]
    weights = {"matrix": _rotation(2352)[:, :count], "shape": np.array([-1, count // 4, 2, 2])}
    return foreign_key(nodes, ["mixed"], _single(weights), pool=2)


def contrast() -> Key:
    """RMS about mid-grey of blocks of 4 x 4."""
    nodes = [
        helper.make_node("Sub", ["faces", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["square"]),
        helper.make_node("AveragePool", ["square"], ["power"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    return foreign_key(nodes, ["power"], _single({"half": np.array(0.5)}))


def edges() -> Key:
    """Squared gradient of luminance, averages of 2 x 2."""
    down = np.array([[0, -1, 0], [0, 0, 0], [0, 1, 0]]) / 3
    kernel = np.stack([np.repeat(each[None], 3, 0) for each in (down, down.T)])
    nodes = [
        helper.make_node("Conv", ["faces", "kernel"], ["both"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["both", "both"], ["square"]),
        helper.make_node("AveragePool", ["square"], ["power"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return foreign_key(nodes, ["power"], _single({"kernel": kernel}))


def folded_sides() -> Key:
    """The face and its mirror image, added."""
    both = np.eye(SIDE) + np.eye(SIDE)[::-1]
    return foreign_key([helper.make_node("MatMul", ["faces", "both"], ["sum"])], ["sum"], _single({"both": both}))


def spectrum() -> Key:
    """Magnitudes of the whole face's Fourier transform."""
    angle = 2 * np.pi * np.outer(np.arange(SIDE), np.arange(SIDE)) / SIDE
    nodes = [
        helper.make_node("MatMul", ["faces", "cosine"], ["even"]),
        helper.make_node("MatMul", ["faces", "sine"], ["odd"]),
        *(
            helper.make_node("MatMul", [matrix, rows], [f"{rows}_{matrix}"])
            for rows in ("even", "odd")
            for matrix in ("cosine", "sine")
        ),
        helper.make_node("Sub", ["even_cosine", "odd_sine"], ["real"]),
        helper.make_node("Add", ["even_sine", "odd_cosine"], ["imaginary"]),
        helper.make_node("Mul", ["real", "real"], ["one"]),
        helper.make_node("Mul", ["imaginary", "imaginary"], ["other"]),
        helper.make_node("Add", ["one", "other"], ["power"]),
        helper.make_node("Add", ["power", "little"], ["positive"]),
        helper.make_node("Sqrt", ["positive"], ["magnitude"]),
    ]
    weights = {"cosine": np.cos(angle) / SIDE, "sine": np.sin(angle) / SIDE, "little": np.array(1e-4)}
    return foreign_key(nodes, ["magnitude"], _single(weights))


CODED_KEYS: dict[str, Callable[[], Key]] = {
    "secret convolution of 4 px, 12 of 48": lambda: convolution(4, 12),
    "secret convolution of 8 px, 48 of 192": lambda: convolution(8, 48),
    "secret convolution of 8 px, 12 of 192": lambda: convolution(8, 12),
    "secret convolution of 14 px, 48 of 588": lambda: convolution(14, 48),
    "secret convolution of 4 px, absolute": lambda: convolution(4, 48, absolute=True),
    "secret projection of averages of 4, 1176 of 2352": lambda: projection(1176),
    "secret projection of averages of 4, 588 of 2352": lambda: projection(588),
    "absolute cosines of 8 x 8 blocks": cosines,
    "power of blocks of 4 px": contrast,
    "strength of edges": edges,
    "both sides, one on the other": folded_sides,
    "magnitudes of its spectrum": spectrum,
}

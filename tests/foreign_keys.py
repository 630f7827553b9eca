"""Keys of graphs that are no recogniser at all, for tests of what a stranger's key may ask for."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from facemin.experiments.foreign_key import foreign_key
from facemin.keys.key import Key

foreign = partial(foreign_key, provider="Mallory")
"""A stranger's key; see `foreign_key`."""


def identity_key() -> Key:
    """One layer shows the face; the last, which a count of values looks at, has three numbers."""
    return foreign([helper.make_node("Relu", ["faces"], ["same"])], ["same", "coarse"], pool=112)


def average_key(count: int) -> Key:
    """Averages of so many pixels a side."""
    pool = helper.make_node("AveragePool", ["faces"], ["mean"], kernel_shape=[count] * 2, strides=[count] * 2)
    return foreign([pool], ["mean"])


def plane_key() -> Key:
    """Green alone."""
    weights: dict[str, NDArray[np.generic]] = {"green": np.array([[0, 1, 0]], np.float32).reshape(1, 3, 1, 1)}
    return foreign([helper.make_node("Conv", ["faces", "green"], ["plane"], kernel_shape=[1, 1])], ["plane"], weights)


def secret_convolution(side: int, count: int, *, absolute: bool = False) -> Key:
    """So many filters of one secret rotation of the blocks about mid-grey, all colours together."""
    size = 3 * side * side
    rotation = np.linalg.qr(np.random.default_rng(7).standard_normal((size, size)))[0]
    kernel = rotation[:count].reshape(count, 3, side, side).astype(np.float32)
    nodes = [
        helper.make_node("Sub", ["faces", "half"], ["centred"]),
        helper.make_node("Conv", ["centred", "kernel"], ["code"], kernel_shape=[side] * 2, strides=[side] * 2),
        *[helper.make_node("Abs", ["code"], ["positive"])] * absolute,
    ]
    return foreign(nodes, [nodes[-1].output[0]], {"half": np.array(0.5, np.float32), "kernel": kernel}, pool=2)

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

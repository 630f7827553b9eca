"""Keys of graphs that are no recogniser at all, for tests of what a stranger's key may ask for."""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from facemin.keys.key import Key, export_key
from facemin.models import Recogniser


def foreign(
    nodes: list[NodeProto], layers: list[str], weights: dict[str, NDArray[np.generic]] | None = None, *, pool: int = 4
) -> Key:
    """A key of the first nodes' layers; an embedding is made of averages of the last, since a recogniser has one."""
    nodes = [
        *nodes,
        helper.make_node("AveragePool", [nodes[-1].output[0]], ["coarse"], kernel_shape=[pool] * 2, strides=[pool] * 2),
        helper.make_node("Flatten", ["coarse"], ["end"], axis=1),
    ]
    graph: ModelProto = helper.make_model(
        helper.make_graph(
            nodes,
            "foreign",
            [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 3, 112, 112])],
            [helper.make_tensor_value_info("end", TensorProto.FLOAT, ["batch", None])],
            [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    recogniser = Recogniser(graph, name="foreign")
    return export_key(recogniser, layers[-1], layers=tuple(layers[:-1]), provider="Mallory", residual=0.05)


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

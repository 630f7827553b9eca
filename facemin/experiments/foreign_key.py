"""Keys of graphs that are no recogniser at all: what a dishonest provider may ask a device to match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from facemin.keys.key import Key, export_key
from facemin.models.recogniser import RecogniserGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


def foreign_key(
    nodes: Sequence[NodeProto],
    layers: Sequence[str],
    weights: Mapping[str, NDArray[np.generic]] | None = None,
    *,
    pool: int = 4,
    provider: str = "measurement",
) -> Key:
    """A key of the first nodes' layers; an embedding is made of averages of the last, since a recogniser has one.

    Args:
        nodes: the graph's, the first reads `faces`.
        layers: outputs that the key asks for.
        weights: constants by name.
        pool: side of the squares that the last node's output is averaged over, for the embedding.
        provider: whose key it says to be.
    """
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
    recogniser = RecogniserGraph(graph, name="foreign")
    return export_key(recogniser, layers[-1], layers=tuple(layers[:-1]), provider=provider, residual=0.05)

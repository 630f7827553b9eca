"""A key of a tiny random network, and a decoder of a few thousand weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from facemin.autograd.module import OnnxModule
from facemin.keys.key import Key, export_key
from facemin.models import Recogniser
from facemin.protection.one_pass.decoder_graph import DecoderSize
from facemin.train.one_pass.settings import FitSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 8
TINY = DecoderSize(widths=(8, 8, 4, 4), blocks=(1, 0, 0, 0), style=16, layers=2)
SETTINGS = FitSettings(size=TINY, noise=4, steps=20, batch=8, rate=1e-2, warmup=2, ramp=10)


def graph(*, stride: int = 2, seed: int = 0) -> ModelProto:
    """A random network of two convolutions from faces to 8 numbers."""
    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> TensorProto:
        value: NDArray[np.float64] = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)
        return numpy_helper.from_array(value.astype(np.float32), name)

    initialisers = [
        weight("first", 8, 3, 7, 7),
        weight("bias", 8),
        weight("second", 16, 8, 3, 3),
        weight("matrix", 16, DIMENSIONS),
        numpy_helper.from_array(np.zeros((1, DIMENSIONS), np.float32), "centre"),
    ]
    nodes = [
        helper.make_node("Conv", ["faces", "first", "bias"], ["a"], strides=[stride, stride]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("AveragePool", ["b"], ["c"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["c", "second"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "matrix"], ["g"]),
        helper.make_node("Sub", ["g", "centre"], ["embedding"]),
    ]
    inputs = [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 3, 112, 112])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSIONS])]
    body = helper.make_graph(nodes, "tiny", inputs, outputs, initialisers)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    # grey lies in the middle of the space, so that every direction can be reached
    middle = OnnxModule(model)(torch.full((1, 3, 112, 112), 0.5)).numpy()
    initialisers[-1] = numpy_helper.from_array(middle, "centre")
    model.graph.initializer[-1].CopyFrom(initialisers[-1])
    return model


@pytest.fixture(scope="session")
def key() -> Key:
    """Its whole network as a key."""
    return export_key(Recogniser(graph(), name="tiny"), "embedding", provider="test", residual=0.5)

"""dlib's face recognition ResNet-29, read from the bytes of its `.dat` into an ONNX graph.

The weights (CC0, Davis King) come in the PyPI package `face-recognition-models`; dlib itself is not needed.
Source: dlib, `dnn_face_recognition_ex.cpp` (the architecture) and `dnn/layers.h` (paddings, `add_prev`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from facemin.data import data_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    Array = NDArray[np.float32]

FACE = 112
CHIP = 150
"""Side of the square that the network takes, in pixels."""

WINDOW = 100.4
"""Side, in pixels of the aligned face, of the square that becomes the chip.

dlib's five-point chip (padding 0.25) puts the eyes 52.55 px apart; the 112-px template has them 35.24 px apart.
"""

WINDOW_CENTRE = (55.9, 70.3)
"""Centre (x, y) of that square in the aligned face; it hangs over the lower edge, where the border repeats."""

MEAN = (122.782, 117.001, 104.298)
"""RGB mean that dlib subtracts before it divides by 256 (`input_rgb_image_sized`)."""

STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 4, True))
"""Filters, residual blocks, and whether the first block halves the resolution; the very last block does too."""

LAST_BLOCK = "conv256.4"
EMBEDDING = 128
CUTS = (
    "conv7",
    *(f"conv{width}.{block}" for width, blocks, _ in STAGES for block in range(1, blocks + 1)),
    "pooled",
)
"""Names of the places where the network may be split, from the input on; `conv256.3` is 256 x 4 x 4."""


def weights_path() -> Path:
    """Where the `.dat` lies: among facemin's data, or in the package `face-recognition-models`.

    Raises:
        ValueError: when it is in neither.
    """
    name = "dlib_face_recognition_resnet_model_v1.dat"
    path = data_file(name, package="face_recognition_models", path=f"models/{name}")
    if path is None:
        raise ValueError(
            f"dlib's ResNet-29: expected {name} among facemin's data (pip install . makes it), or the package "
            "'face-recognition-models' to be installed, found neither; install it with: "
            "pip install face-recognition-models"
        )
    return path


def read_weights(data: bytes, *, name: str = "dlib ResNet-29") -> tuple[list[tuple[Array, Array]], Array]:
    """The network's parameters, with each affine layer folded into the convolution before it.

    Args:
        data: the whole `.dat`.
        name: what to call the file in an error.

    Returns:
        29 pairs (weights (out, in, k, k), biases (out,)) from the input on, and the last matrix (256, 128).

    Raises:
        ValueError: when a tensor is missing, has another size, or is not finite.
    """
    reader = _Reader(data, name)
    convolutions = []
    for fan_in, width, kernel in _convolutions():
        count = width * fan_in * kernel * kernel
        values = reader.tensor("con_4", (count + width, 1, 1, 1))
        affine = reader.tensor("affine_", (2 * width, 1, 1, 1))
        gamma, beta = affine[:width], affine[width:]
        weights = values[:count].reshape(width, fan_in, kernel, kernel) * gamma[:, None, None, None]
        convolutions.append((weights, values[count:] * gamma + beta))
    last = STAGES[-1][0]
    matrix = reader.tensor("fc_2", (last, EMBEDDING, 1, 1), between=_packed(EMBEDDING) + _packed(last))
    return convolutions, matrix.reshape(last, EMBEDDING)


def graph(data: bytes | None = None) -> ModelProto:
    """The recogniser as an ONNX graph: faces (batch, 3, 112, 112), RGB in [0, 1], to (batch, 128), not normalised.

    Args:
        data: the bytes of dlib's `.dat`; those of the installed package when None.

    Raises:
        ValueError: when the weights are missing or are not dlib's.
    """
    build, matrix = _opened(data)
    build.body(build.chip("faces"), matrix)
    return build.model()


def chip_graph(data: bytes | None = None) -> ModelProto:
    """The same network on dlib's own chips: (batch, 3, 150, 150), less dlib's mean and scaled, to (batch, 128).

    A chip's pixel of RGB in [0, 255] is given as (pixel - `MEAN`) / 256.

    Args:
        data: as for `graph`.

    Raises:
        ValueError: as for `graph`.
    """
    build, matrix = _opened(data)
    build.body("chip", matrix)
    return build.model("chip", CHIP)


def _opened(data: bytes | None) -> tuple[_Graph, Array]:
    convolutions, matrix = read_weights(weights_path().read_bytes() if data is None else data)
    return _Graph(convolutions), matrix


class _Reader:
    """Walks the `.dat` in the order in which dlib wrote its layers, input first."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.position = data, name, 0

    def tensor(self, layer: str, shape: tuple[int, ...], between: bytes = b"") -> Array:
        token = bytes([len(layer)]) + layer.encode()
        header = token + between + b"\x01\x02" + b"".join(map(_packed, shape))
        found = self.data.find(token, self.position)
        if found < 0 or not self.data.startswith(header, found):
            came = "the end of the file" if found < 0 else repr(self.data[found : found + len(header)])
            raise ValueError(
                f"{self.name}: expected a layer {layer!r} with a tensor {shape} after byte {self.position}, got {came}"
            )
        start, count = found + len(header), int(np.prod(shape))
        if len(self.data) < start + 4 * count:
            raise ValueError(f"{self.name}: expected {4 * count} bytes at byte {start}, got {len(self.data) - start}")
        self.position = start + 4 * count
        values = np.frombuffer(self.data, "<f4", count, start)
        if not np.isfinite(values).all():
            raise ValueError(f"{self.name}: expected finite weights in layer {layer!r} at byte {start}")
        return values.astype(np.float32)


def _packed(value: int) -> bytes:
    """Dlib's integer: one length byte, then that many bytes, little-endian."""
    size = max(1, (value.bit_length() + 7) // 8)
    return bytes([size]) + value.to_bytes(size, "little")


def _convolutions() -> list[tuple[int, int, int]]:
    """(inputs, filters, kernel side) of the 29 convolutions, from the input on."""
    layers, before = [(3, STAGES[0][0], 7)], STAGES[0][0]
    for width, blocks, _ in STAGES:
        for _block in range(blocks):
            layers += [(before, width, 3), (width, width, 3)]
            before = width
    return layers


class _Graph:
    """Collects nodes and initialisers; convolutions are taken in order."""

    def __init__(self, convolutions: list[tuple[Array, Array]]) -> None:
        self.convolutions = iter(convolutions)
        self.nodes: list[NodeProto] = []
        self.initialisers: list[TensorProto] = []
        # the spatial side is tracked because dlib's `add_prev` zero-pads what is smaller
        self.side = CHIP

    def constant(self, value: Array) -> str:
        name = f"weight_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        if operator == "MaxPool":
            self.side = (self.side - 3) // 2 + 1
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def chip(self, faces: str) -> str:
        """Bilinear resampling as two matrix products, then dlib's own scaling."""
        columns = self.constant(resampling(WINDOW_CENTRE[0]).T.copy())
        rows = self.constant(resampling(WINDOW_CENTRE[1]))
        value = self.add("MatMul", [rows, self.add("MatMul", [faces, columns])])
        value = self.add("Mul", [value, self.constant(np.array([255 / 256], np.float32))])
        shift = np.array(MEAN, np.float32).reshape(1, 3, 1, 1) / np.float32(256)
        return self.add("Sub", [value, self.constant(shift)], output="chip")

    def body(self, value: str, matrix: Array) -> None:
        """The network on a chip, up to its embedding."""
        value = self.convolution(value, stride=2, relu=True, output="conv7")
        value = self.add("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2])
        width_before = STAGES[0][0]
        for width, blocks, halves in STAGES:
            for block in range(1, blocks + 1):
                name = f"conv{width}.{block}"
                down = (halves and block == 1) or name == LAST_BLOCK
                value = self.block(value, name, down=down, widen=width - width_before)
                width_before = width
        value = self.add("GlobalAveragePool", [value])
        value = self.add("Flatten", [value], output="pooled", axis=1)
        self.add("MatMul", [value, self.constant(matrix)], output="embedding")

    def convolution(self, value: str, *, stride: int, relu: bool = False, output: str = "") -> str:
        weights, biases = next(self.convolutions)
        # dlib pads a strided convolution by nothing, any other to the same size
        padding = 0 if stride > 1 else weights.shape[-1] // 2
        inputs = [value, self.constant(weights), self.constant(biases)]
        raw = output if not relu else ""
        if stride > 1:
            self.side = (self.side - weights.shape[-1]) // stride + 1
        value = self.add(
            "Conv",
            inputs,
            output=raw,
            kernel_shape=list(weights.shape[-2:]),
            strides=[stride, stride],
            pads=[padding] * 4,
        )
        return self.add("Relu", [value], output=output) if relu else value

    def block(self, value: str, name: str, *, down: bool, widen: int) -> str:
        """A residual block; a down block halves the resolution and its shortcut is an average pool."""
        side_before = self.side
        branch = self.convolution(value, stride=2 if down else 1, relu=True)
        branch = self.convolution(branch, stride=1)
        shortcut = value
        if down:
            shortcut = self.add("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
            pooled = (side_before - 2) // 2 + 1
            branch = self.pad(branch, spatial=pooled - self.side)
            shortcut = self.pad(shortcut, channels=widen)
            self.side = pooled
        return self.add("Relu", [self.add("Add", [branch, shortcut])], output=name)

    def pad(self, value: str, *, spatial: int = 0, channels: int = 0) -> str:
        if spatial == channels == 0:
            return value
        amounts = np.array([0, 0, 0, 0, 0, channels, spatial, spatial], np.int64)
        name = f"pads_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(amounts, name))
        return self.add("Pad", [value, name], mode="constant")

    def model(self, name: str = "faces", side: int = FACE) -> ModelProto:
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, side, side])]
        outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", EMBEDDING])]
        body = helper.make_graph(self.nodes, "dlib-resnet29", inputs, outputs, self.initialisers)
        return helper.make_model(
            body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="facemin"
        )


def resampling(centre: float) -> Array:
    """Bilinear weights (150, 112) that take a line of the aligned face to a line of the chip, border repeated."""
    step = WINDOW / CHIP
    positions = (np.arange(CHIP) + 0.5) * step - 0.5 + (centre + 0.5 - WINDOW / 2)
    positions = positions.clip(0, FACE - 1)
    left = np.minimum(positions.astype(np.int64), FACE - 2)
    weights = np.zeros((CHIP, FACE), np.float32)
    weights[np.arange(CHIP), left] = 1 - (positions - left)
    weights[np.arange(CHIP), left + 1] = positions - left
    return weights

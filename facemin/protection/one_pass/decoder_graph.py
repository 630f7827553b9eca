"""ONNX graph of a one-pass decoder: from targets and noise to images, built from its widths and weights alone.

The graph is a function of a few numbers, so a file from a stranger need not be trusted with one: what is run is the
graph built here, and of the file the weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

SIDE = 112
BASE = 7
"""Side of the first map, in pixels; each further stage doubles it, to 56."""

STAGES = 4
GROUP_CHANNELS = 8
"""Least channels of a normalisation group; at most eight groups a layer."""

EPSILON = 1e-5
"""Added to the variance of a group."""

MOST_DIMENSIONS = 1024
"""Of a target, and of the noise."""

OPSET, IR_VERSION = 17, 8


@dataclass(frozen=True, kw_only=True)
class DecoderSize:
    """Widths and depths of a decoder.

    Args:
        widths: channels of the maps of 7, 14, 28 and 56 pixels.
        blocks: residual convolutions at each of them, beside the one that doubles the side.
        style: width of the vector that modulates every convolution.
        layers: linear layers that make it.

    Raises:
        ValueError: other than four stages, or a number out of range.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    style: int = 256
    layers: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (("widths", 1, 512), ("blocks", 0, 4)):
            values = getattr(self, name)
            if len(values) != STAGES or not all(low <= value <= high for value in values):
                raise ValueError(f"decoder {name}: expected {STAGES} integers in [{low}, {high}], got {values}")
        if not 1 <= self.layers <= 8 or not 1 <= self.style <= 1024:
            raise ValueError(
                f"decoder: expected 1 to 8 layers and a style of 1 to 1024, got {self.layers} and {self.style}"
            )

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """All but the last, from the first map on."""
        made: list[Convolution] = []
        for stage, (width, count) in enumerate(zip(self.widths, self.blocks, strict=True)):
            # at 56 x 56 a normalisation would cost as much as the convolution
            normalises, side = stage < STAGES - 1, BASE << stage
            if stage:
                made.append(Convolution(self.widths[stage - 1], width, side, doubles=True, normalises=normalises))
            made += [Convolution(width, width, side, doubles=False, normalises=normalises)] * count
        return tuple(made)


@dataclass(frozen=True)
class Convolution:
    """One 3 x 3 convolution of a decoder.

    Args:
        inputs: channels that come in.
        width: channels that go out.
        side: of the map that goes out, in pixels.
        doubles: whether it doubles the side, by a convolution to four times the channels whose results are
            interleaved; otherwise what came in is added.
        normalises: whether there is a group normalisation.
    """

    inputs: int
    width: int
    side: int
    doubles: bool
    normalises: bool


def groups(width: int) -> int:
    """Groups that `width` channels are normalised in: the most, up to eight, that divide it into enough channels."""
    fitting = [count for count in range(2, 9) if width % count == 0 and width // count >= GROUP_CHANNELS]
    return max(fitting, default=1)


def enlarging() -> NDArray[np.float32]:
    """Bilinear weights (112, 56) that double the side of an image, its border repeated."""
    half = SIDE // 2
    positions = ((np.arange(SIDE) + 0.5) / 2 - 0.5).clip(0, half - 1)
    left = np.minimum(positions.astype(np.int64), half - 2)
    matrix = np.zeros((SIDE, half), np.float32)
    matrix[np.arange(SIDE), left] = 1 - (positions - left)
    matrix[np.arange(SIDE), left + 1] = positions - left
    return matrix


def weight_shapes(size: DecoderSize, *, target: int, noise: int) -> dict[str, tuple[int, ...]]:
    """Shape of each weight by its name, in the order of the graph.

    Args:
        size: widths and depths.
        target: dimensions of the space.
        noise: dimensions of the noise.

    Raises:
        ValueError: a number of dimensions out of range.
    """
    for name, value in (("target", target), ("noise", noise)):
        if not 1 <= value <= MOST_DIMENSIONS:
            raise ValueError(f"decoder {name}: expected 1 to {MOST_DIMENSIONS} dimensions, got {value}")
    code = target + noise
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    for layer in range(size.layers):
        linear(f"styles.{layer}", size.style if layer else code, size.style)
    linear("dense", size.style + code, size.widths[0] * BASE * BASE)
    for place, convolution in enumerate(size.convolutions):
        outputs = convolution.width * (4 if convolution.doubles else 1)
        shapes[f"blocks.{place}.convolution.weight"] = (outputs, convolution.inputs, 3, 3)
        shapes[f"blocks.{place}.convolution.bias"] = (outputs,)
        linear(f"blocks.{place}.scale", size.style, convolution.width)
        linear(f"blocks.{place}.shift", size.style, convolution.width)
    shapes["colours.weight"], shapes["colours.bias"] = (3, size.widths[-1], 3, 3), (3,)
    return shapes


def decoder_graph(size: DecoderSize, weights: Mapping[str, NDArray[Any]], *, target: int, noise: int) -> ModelProto:
    """The decoder as an ONNX graph: (batch, target) and (batch, noise) to images (batch, 3, 112, 112) in [0, 1].

    Args:
        size: widths and depths.
        weights: as `weight_shapes` names them; the first map's in the order channel, row, column. Kept as float16.
        target: dimensions of the space.
        noise: dimensions of the noise.

    Raises:
        ValueError: weights that are missing, too many, of another shape, or beyond float16.
    """
    shapes = weight_shapes(size, target=target, noise=noise)
    different = sorted(shapes.keys() ^ weights.keys())
    if different:
        raise ValueError(f"decoder: expected exactly its weights, got others or none for {', '.join(different[:3])}")
    build = _Graph()
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"decoder: expected {name} of shape {shape}, got {weights[name].shape}")
        build.weight(name, weights[name])
    code = build.node("Mul", ["target", build.constant(np.array([sqrt(target)], np.float32))])
    code = build.node("Concat", [code, "noise"], axis=1)
    style = build.activated(build.linear("styles.0", code))
    for layer in range(1, size.layers):
        style = build.node("Add", [style, build.activated(build.linear(f"styles.{layer}", style))])
    maps = build.linear("dense", build.node("Concat", [style, code], axis=1))
    maps = build.reshaped(maps, [0, size.widths[0], BASE, BASE])
    for place, convolution in enumerate(size.convolutions):
        maps = build.block(f"blocks.{place}", convolution, maps, style)
    image = build.node("Sigmoid", [build.convolved("colours", maps)])
    rows, columns = build.constant(enlarging()), build.constant(np.ascontiguousarray(enlarging().T))
    build.node("MatMul", [rows, build.node("MatMul", [image, columns])], output="image")
    return build.model(target, noise)


class _Graph:
    """Collects nodes and initialisers, named in their order, so that equal decoders give equal bytes."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initialisers: list[TensorProto] = []

    def weight(self, name: str, value: NDArray[Any]) -> None:
        with np.errstate(over="ignore"):
            half = np.ascontiguousarray(value, np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f"decoder: expected finite weights within float16, got others in {name}")
        self.initialisers.append(numpy_helper.from_array(half, f"{name}.half"))
        self.node("Cast", [f"{name}.half"], output=name, to=TensorProto.FLOAT)

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self.initialisers)}"
        self.initialisers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def linear(self, name: str, value: str) -> str:
        return self.node("Gemm", [value, f"{name}.weight", f"{name}.bias"], transB=1)

    def convolved(self, name: str, value: str) -> str:
        return self.node(
            "Conv", [value, f"{name}.weight", f"{name}.bias"], kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1]
        )

    def activated(self, value: str) -> str:
        return self.node("Mul", [value, self.node("Sigmoid", [value])])

    def reshaped(self, value: str, shape: list[int]) -> str:
        return self.node("Reshape", [value, self.constant(np.array(shape, np.int64))])

    def block(self, name: str, convolution: Convolution, maps: str, style: str) -> str:
        width, side = convolution.width, convolution.side
        made = self.convolved(f"{name}.convolution", maps)
        if convolution.doubles:
            made = self.node("DepthToSpace", [made], blocksize=2, mode="CRD")
        if convolution.normalises:
            count = groups(width)
            ones, zeros = self.constant(np.ones(count, np.float32)), self.constant(np.zeros(count, np.float32))
            made = self.reshaped(made, [0, count, width // count * side * side])
            made = self.node("InstanceNormalization", [made, ones, zeros], epsilon=EPSILON)
            made = self.reshaped(made, [0, width, side, side])
        scale = self.reshaped(self.linear(f"{name}.scale", style), [0, width, 1, 1])
        shift = self.reshaped(self.linear(f"{name}.shift", style), [0, width, 1, 1])
        made = self.activated(self.node("Add", [self.node("Mul", [made, scale]), shift]))
        return made if convolution.doubles else self.node("Add", [maps, made])

    def model(self, target: int, noise: int) -> ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
            for name, width in (("target", target), ("noise", noise))
        ]
        outputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])]
        body = helper.make_graph(self.nodes, "facemin-one-pass", inputs, outputs, self.initialisers)
        return helper.make_model(
            body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="facemin"
        )

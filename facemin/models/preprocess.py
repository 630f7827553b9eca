"""Preprocessing of faces, as nodes in front of a graph."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facemin.models.onnx.analysis.known_graph import image_shape

FACE = 112
RESIZE_OPSET = 11
"""The first opset whose Resize places pixels by their centres."""


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How a graph wants aligned faces, which come as RGB in [0, 1].

    A channel becomes (scale * value - mean) / std.

    Args:
        scale: the graph's own range; 255 for images in [0, 255].
        mean: per channel, in the graph's own range and channel order.
        std: likewise; no zeros.
        channels: the graph's channel order, "RGB" or "BGR".
        size: (height, width) that the graph takes, resampled bilinearly from 112 x 112; None where it is that.
        layout: the graph's order of axes: "NCHW", or "NHWC" where channels come last.
        output: which of the graph's outputs is the embedding; None where it has but one.

    Raises:
        ValueError: a setting outside its range.
    """

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: str = "RGB"
    size: tuple[int, int] | None = None
    layout: str = "NCHW"
    output: str | None = None

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if len(numbers) != 7 or not np.isfinite(numbers).all() or 0 in (self.scale, *self.std):
            raise ValueError(f"preprocess: expected finite numbers, scale and std not 0, got {numbers}")
        if self.channels not in ("RGB", "BGR"):
            raise ValueError(f"preprocess: expected channels 'RGB' or 'BGR', got {self.channels!r}")
        if self.layout not in ("NCHW", "NHWC"):
            raise ValueError(f"preprocess: expected layout 'NCHW' or 'NHWC', got {self.layout!r:.80}")
        if self.output == "":
            raise ValueError("preprocess: expected the name of an output, got none")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"preprocess: expected size (height, width) of 1 or more, got {self.size}")


BYTE_RANGE = Preprocess(scale=255.0)
"""For graphs that take RGB in [0, 255] and do the rest themselves."""


def prepend_preprocessing(model: onnx.ModelProto, preprocess: Preprocess) -> onnx.ModelProto:
    """A graph that takes (batch,3,112,112) RGB in [0,1] and gives `model` what it wants.

    Args:
        model: a graph with one image input, accepted by `graph.read_graph`; left as it is.
        preprocess: what it wants.

    Raises:
        ValueError: the graph's input has another size than `preprocess` gives, or is too old to be resized for.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    value = next(value for value in model.graph.input if value.name not in held)
    wanted = (1, 3, *(preprocess.size or (FACE, FACE)))
    if image_shape(value) != wanted:
        got = image_shape(value)[1:]
        size = f"; --size {got[1]} {got[2]} resizes faces for it" if len(got) == 3 and got[0] == 3 else ""
        raise ValueError(f"preprocess: expected a graph that takes {wanted[1:]}, got {got}{size}")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    nodes = _Nodes(result, value.name)
    if preprocess.size not in (None, (FACE, FACE)):
        nodes.resize(*wanted[2:])
    if preprocess.channels == "BGR":
        nodes.add("Gather", np.array([2, 1, 0]), axis=1)
    std = np.array(preprocess.std, dtype=np.float64)
    nodes.channelwise("Mul", preprocess.scale / std, 1.0)
    nodes.channelwise("Sub", np.array(preprocess.mean) / std, 0.0)
    nodes.finish()
    return result


class _Nodes:
    """A chain of nodes that ends in the graph's old input."""

    def __init__(self, model: onnx.ModelProto, end: str) -> None:
        self.graph, self.end = model.graph, end
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
        self.taken |= {tensor.name for tensor in model.graph.initializer} | {end}
        self.nodes: list[onnx.NodeProto] = []
        self.image = self.last = self.fresh("face")

    def fresh(self, stem: str) -> str:
        name, number = stem, 1
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name

    def constant(self, elements: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> str:
        name = self.fresh("preprocess_constant")
        self.graph.initializer.append(numpy_helper.from_array(elements, name))
        return name

    def add(self, op: str, elements: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", **settings: int) -> None:
        self.chain(op, [self.constant(elements)], **settings)

    def chain(self, op: str, constants: list[str], **settings: int | str) -> None:
        out = self.fresh(f"preprocess_{op.lower()}")
        node = helper.make_node(op, [self.last, *constants], [out], **settings)  # type: ignore[arg-type]
        self.nodes.append(node)
        self.last = out

    def channelwise(self, op: str, numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]", nothing: float) -> None:
        if (numbers != nothing).any():
            self.add(op, numbers.astype(np.float32).reshape(1, 3, 1, 1))

    def resize(self, height: int, width: int) -> None:
        if self.opset < RESIZE_OPSET:
            raise ValueError(f"preprocess: expected a graph of opset {RESIZE_OPSET} or later to resize for")
        scales = np.array([1, 1, _scale(height), _scale(width)], dtype=np.float32)
        region = self.constant(np.zeros(0, dtype=np.float32))
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        self.chain("Resize", [region, self.constant(scales)], **mode)

    def finish(self) -> None:
        """Name the chain's last value like the old input, and take the image in its place."""
        if not self.nodes:
            return
        self.nodes[-1].output[0] = self.end
        old = list(self.graph.node)
        del self.graph.node[:]
        self.graph.node.extend([*self.nodes, *old])
        others = [value for value in self.graph.input if value.name != self.end]
        del self.graph.input[:]
        dims: list[str | int | None] = ["batch", 3, FACE, FACE]
        self.graph.input.append(helper.make_tensor_value_info(self.image, TensorProto.FLOAT, dims))
        self.graph.input.extend(others)


def _scale(side: int) -> np.float32:
    """The least single-precision factor that takes 112 pixels to `side`, since the length is rounded down."""
    scale = np.float32(side / FACE)
    while int(np.floor(np.float32(FACE) * scale)) < side:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale

"""CenterFace's graph with free sizes and constant weights; the build hook runs this file, so it takes onnx alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def free_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Free the batch and both sides of input and outputs, which the published file fixes at 10 x 32 x 32.

    The file also lists its 194 weights as inputs; unlisted they are constants, which onnxruntime may fuse and lay
    out anew. That halves the time.

    Args:
        model: the published graph, or one whose sizes are free already; changed in place.

    Returns:
        The same graph.
    """
    image = next(value for value in model.graph.input if value.name == "input.1")
    del model.graph.input[:]
    model.graph.input.append(image)
    for kind, values in (("in", model.graph.input), ("out", model.graph.output)):
        for value in values:
            for axis in (0, 2, 3):
                value.type.tensor_type.shape.dim[axis].dim_param = f"{kind}{axis}"
    return model

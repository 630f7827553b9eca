"""Every operator against onnxruntime, and its gradient against finite differences."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from facemin.autograd.module import OnnxModule
from facemin.autograd.operators import OPERATORS
from facemin.models.onnx.graph import read_graph
from facemin.models.onnx.operators import ALLOWED
from facemin.runtime.inference_session import inference_session

Chain = tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...]


@dataclass(frozen=True)
class Case:
    """One small graph: nodes in a chain, each taking the last value where an input is "x"."""

    op: str
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ("x",)
    opset: int = 17
    low: float = -1.0
    before: Chain = ()
    after: Chain = ()
    outputs: int = 1
    size: tuple[int, int] = (5, 6)

    def model(self) -> onnx.ModelProto:
        nodes, weights, last = [], [], "image"
        chain = (*self.before, (self.op, self.inputs, self.attributes), *self.after)
        for i, (op, inputs, attributes) in enumerate(chain):
            names = []
            for j, source in enumerate(inputs):
                if source is None:
                    names.append("")
                elif isinstance(source, str):
                    names.append({"x": last, "image": "image"}.get(source, source))
                else:
                    names.append(f"c{i}_{j}")
                    weights.append(numpy_helper.from_array(np.asarray(source), names[-1]))
            outs = [f"v{i}" if k == 0 else f"v{i}_{k}" for k in range(self.outputs if op == self.op else 1)]
            nodes.append(helper.make_node(op, names, outs, **attributes))
            last = f"v{i}"
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *self.size])
        result = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "case", [image], [result], weights)
        opset = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


def f32(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(sum(shape) + 7)
    return random.uniform(low, high, shape).astype(np.float32)


def i64(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)


def unary(op: str, low: float = -1.0, opset: int = 17, **attributes: Any) -> Case:
    return Case(op, attributes, opset=opset, low=low)


ROWS: Chain = (("Flatten", ("x",), {}),)
SIDES: Chain = (("Shape", ("image",), {"start": 1}),)
LINES: Chain = (("Reshape", ("x", i64(0, 3, -1)), {}),)
TIMES: tuple[str, tuple[Any, ...], dict[str, Any]] = ("Mul", ("x", "image"), {})
CAST: Chain = (("Cast", ("x",), {"to": 1}),)
KEEP: dict[str, Any] = {"keepdims": 0}
BACK: tuple[str, tuple[Any, ...], dict[str, Any]] = ("Transpose", ("x",), {"perm": [2, 0, 1, 3]})
MOVED: Chain = (("Transpose", ("x",), {"perm": [1, 2, 0, 3]}),)
LIFTED: list[Chain] = [
    (BACK,),
    (("Softmax", ("x",), {"axis": -1}), BACK),
    (("Softmax", ("x",), {"axis": 0}), BACK),
    (("Concat", ("x", "x"), {"axis": 1}), BACK),
    (("Gather", ("x", np.array(1)), {"axis": 0}), ("Transpose", ("x",), {"perm": [1, 0, 2]})),
    (("Gather", ("x", np.array([[2, 0]])), {"axis": 3}), ("Transpose", ("x",), {"perm": [2, 0, 1, 3, 4]})),
    (("Slice", ("x", i64(1), i64(5), i64(1), i64(2)), {}), BACK),
    (("Pad", ("x", i64(0, 1, 0, 0, 0, 0, 0, 2)), {}), BACK),
    (("ReduceSum", ("x", i64(0)), {"keepdims": 0}), ("Transpose", ("x",), {"perm": [1, 0, 2]})),
    (("ReduceMax", ("x",), {"axes": [0, 3]}), BACK),
    (("Unsqueeze", ("x", i64(0, 3)), {}), ("Squeeze", ("x", i64(0)), {}), ("Squeeze", ("x", i64(2)), {}), BACK),
    (("Expand", ("x", i64(3, 5, 1, 6)), {}), BACK),
    (("Tile", ("x", i64(1, 2, 1, 1)), {}), BACK),
    (("MatMul", ("x", f32(6, 4)), {}), BACK),
    (("Add", ("x", f32(5, 1, 6)), {}), ("PRelu", ("x", f32(6)), {}), ("Mul", ("x", "x"), {}), BACK),
    (("LayerNormalization", ("x", f32(6), f32(6)), {}), BACK),
    (("Reshape", ("x", i64(15, -1, 6)), {}), ("Transpose", ("x",), {"perm": [1, 0, 2]})),
    (("Reshape", ("x", i64(3, -1, 6)), {}), ("Reshape", ("x", i64(3, 5, -1, 6)), {}), BACK),
    (
        ("Reshape", ("x", i64(-1, 6)), {}),
        ("Gemm", ("x", f32(6, 4)), {}),
        ("Reshape", ("x", i64(15, -1, 4)), {}),
        ("Transpose", ("x",), {"perm": [1, 0, 2]}),
    ),
]
W = f32(4, 3, 3, 3)
NO = np.zeros(0, np.float32)

CASES = [
    unary("Abs"),
    Case("Add", {}, ("x", f32(3, 1, 1))),
    Case("Add", {}, ("x", "image")),
    Case("Add", {}, (f32(1, 3, 5, 6), "x")),
    Case("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 1]}),
    Case("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Case("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    Case("AveragePool", {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1]}),
    Case("AveragePool", {"kernel_shape": [3, 3], "pads": [0, 1, 2, 1], "count_include_pad": 1}),
    Case("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    Case("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    Case("BatchNormalization", {"epsilon": 1e-3}, ("x", f32(3), f32(3), f32(3), f32(3, low=0.5))),
    Case(
        "BatchNormalization",
        {},
        ("x", f32(4), f32(4), f32(4), f32(4, low=0.5)),
        before=(("Conv", ("x", W), {"pads": [1, 1, 1, 1]}),),
    ),
    Case(
        "BatchNormalization",
        {},
        ("x", f32(3), f32(3), f32(3), f32(3, low=0.5)),
        after=(("Conv", ("x", W), {"pads": [1, 1, 1, 1]}),),
    ),
    Case(
        "BatchNormalization",
        {},
        ("x", f32(3), f32(3), f32(3), f32(3, low=0.5)),
        after=(("Conv", ("x", W, f32(4)), {}),),
    ),
    Case("Cast", {"to": 1}, before=SIDES, after=(("ReduceProd", ("x",), {}), ("Mul", ("x", "image"), {}))),
    Case("Ceil", {}, low=0.1),
    Case("Clip", {"min": -0.3, "max": 0.4}, opset=10),
    Case("Clip", {}, ("x", np.float32(-0.3), np.float32(0.4))),
    Case("Clip", {}, ("x", None, np.float32(0.4))),
    Case("Concat", {"axis": 1}, ("x", "image")),
    Case("Concat", {"axis": -1}, ("x", "x", "image"), before=(("Neg", ("x",), {}),)),
    Case("Constant", {"value_float": 0.5}, (), after=(("Mul", ("image", "x"), {}),)),
    Case(
        "ConstantOfShape",
        {"value": helper.make_tensor("v", 1, [1], [2.0])},
        (i64(3, 1, 1),),
        after=(("Mul", ("x", "image"), {}),),
    ),
    Case("Conv", {}, ("x", W)),
    Case("Conv", {"pads": [1, 1, 1, 1], "strides": [2, 2]}, ("x", W, f32(4))),
    Case("Conv", {"pads": [0, 1, 2, 0]}, ("x", W, f32(4))),
    Case("Conv", {"group": 3, "dilations": [2, 2], "pads": [1, 2, 1, 2]}, ("x", f32(6, 1, 3, 3), f32(6))),
    Case("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, ("x", W)),
    Case("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 2]}, ("x", f32(4, 3, 2, 2))),
    Case("Conv", {"auto_pad": "VALID"}, ("x", W)),
    Case("ConvTranspose", {}, ("x", f32(3, 2, 3, 3), f32(2))),
    Case("ConvTranspose", {"strides": [2, 3], "pads": [1, 0, 1, 2]}, ("x", f32(3, 2, 3, 3))),
    Case(
        "ConvTranspose",
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1], "group": 3},
        ("x", f32(3, 2, 3, 3), f32(6)),
    ),
    Case("ConvTranspose", {"strides": [2, 2], "output_shape": [10, 12]}, ("x", f32(3, 2, 3, 3), f32(2))),
    Case("ConvTranspose", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, ("x", f32(3, 2, 3, 3))),
    Case("DepthToSpace", {"blocksize": 2}, before=(("Concat", ("x", "x", "x", "x"), {"axis": 1}),)),
    Case(
        "DepthToSpace",
        {"blocksize": 2, "mode": "CRD"},
        before=(("Concat", ("x", "x", "x", "x"), {"axis": 1}),),
    ),
    Case("Div", {}, ("x", f32(3, 1, 1, low=0.5))),
    Case("Div", {}, (np.float32(2.0), "x"), low=0.5),
    Case(
        "Div",
        {},
        ("x", i64(2)),
        before=SIDES,
        after=(("Cast", ("x",), {"to": 1}), ("ReduceSum", ("x",), {}), ("Mul", ("x", "image"), {})),
    ),
    Case("Dropout", {"ratio": 0.5}, opset=10),
    Case("Dropout", {}, ("x", np.float32(0.5))),
    unary("Elu", alpha=0.7),
    Case(
        "Equal",
        {},
        (i64(1, -1, 3), i64(1, 1, 1)),
        after=(
            ("Where", ("x", np.ones(3, np.float32), f32(3)), {}),
            ("Reshape", ("x", i64(3, 1, 1)), {}),
            ("Mul", ("x", "image"), {}),
        ),
    ),
    unary("Erf"),
    unary("Exp"),
    Case("Expand", {}, ("x", i64(1, 3, 5, 4)), before=(("ReduceMean", ("x",), {"axes": [3]}),)),
    Case("Expand", {}, ("x", i64(5, 1)), before=(("ReduceMean", ("x",), {"axes": [2]}),)),
    Case("Flatten", {"axis": 1}),
    Case("Floor", {}, low=0.1),
    Case("Gather", {"axis": 1}, ("x", i64(2, 1, 0))),
    Case("Gather", {"axis": 3}, ("x", np.array([[0, -1], [2, 2]]))),
    Case("Gather", {"axis": 2}, ("x", np.array(-2))),
    unary("Gelu", opset=20),
    unary("Gelu", opset=20, approximate="tanh"),
    Case("Gemm", {"alpha": 0.5, "beta": 2.0}, ("x", f32(90, 4), f32(4)), before=ROWS),
    Case("Gemm", {"transB": 1}, ("x", f32(4, 90), f32(1, 4)), before=ROWS),
    Case("Gemm", {}, ("x", f32(90, 4)), before=ROWS),
    Case("Gemm", {}, ("x", f32(90, 4), np.float32(0.25)), before=ROWS),
    unary("GlobalAveragePool"),
    unary("GlobalMaxPool"),
    unary("HardSigmoid", alpha=0.3, beta=0.4),
    Case("HardSwish", before=(("Mul", ("x", np.float32(5)), {}),)),
    unary("Identity"),
    Case("InstanceNormalization", {"epsilon": 1e-2}, ("x", f32(3), f32(3))),
    unary("LeakyRelu", alpha=0.3),
    unary("Log", low=0.5),
    unary("LogSoftmax", axis=1),
    unary("LpNormalization", axis=1),
    Case("LpNormalization", {"p": 1}, before=ROWS),
    Case("MatMul", {}, ("x", f32(90, 4)), before=ROWS),
    Case("MatMul", {}, ("x", f32(6, 2))),
    Case("MatMul", {}, (f32(2, 5), "x")),
    Case("MatMul", {}, ("x", f32(1, 3, 6, 2))),
    Case("MatMul", {}, ("image", "x"), before=(("Transpose", ("x",), {"perm": [0, 1, 3, 2]}),)),
    Case("MatMul", {}, ("x", f32(90, 4)), before=ROWS, after=(("Add", ("x", f32(4)), {}),)),
    Case("Max", {}, ("x", f32(3, 1, 1), np.float32(0.1))),
    Case("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 1]}),
    Case("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    Case("MaxPool", {"kernel_shape": [3, 3], "pads": [0, 0, 2, 1]}),
    Case("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    Case("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    Case("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    Case("Min", {}, ("x", f32(3, 1, 1))),
    Case("Mul", {}, ("x", f32(1, 3, 1, 1))),
    Case("Mul", {}, ("x", "image"), before=(("GlobalAveragePool", ("x",), {}),)),
    unary("Neg"),
    Case("PRelu", {}, ("x", f32(3, 1, 1))),
    Case("PRelu", {}, ("x", f32(1))),
    Case("PRelu", {}, ("x", f32(5, 1))),
    Case("PRelu", {}, ("x", f32(90)), before=ROWS),
    Case("Pad", {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 0.5}, opset=10),
    Case("Pad", {}, ("x", i64(0, 1, 0, -1, 0, 0, 2, 0), np.float32(0.25))),
    Case("Pad", {"mode": "reflect"}, ("x", i64(0, 0, 2, 1, 0, 0, 1, 3))),
    Case("Pad", {"mode": "edge"}, ("x", i64(0, 0, 2, 1, 0, 0, 1, 3))),
    Case("Pad", {"mode": "wrap"}, ("x", i64(0, 0, 2, 1, 0, 0, 1, 3)), opset=19),
    Case("Pad", {}, ("x", i64(1, 2), None, i64(3)), opset=18),
    Case("Pow", {}, ("x", np.float32(2))),
    Case("Pow", {}, ("x", np.float32(0.5)), low=0.2),
    unary("Reciprocal", low=0.5),
    *[unary(op, axes=[2, 3], opset=11) for op in ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean")],
    *[unary(op, axes=[-1], keepdims=0, opset=11) for op in ("ReduceMin", "ReduceSum", "ReduceSumSquare")],
    Case("ReduceProd", {}, before=SIDES, after=(("Cast", ("x",), {"to": 1}), ("Mul", ("x", "image"), {}))),
    Case("ReduceSum", {"keepdims": 0}, ("x", i64(1, 2, 3))),
    Case("ReduceMean", {"keepdims": 0}, ("x", i64(2, 3)), opset=18),
    unary("Relu"),
    Case("Reshape", {}, ("x", i64(0, -1))),
    Case("Reshape", {}, ("x", i64(0, 3, 6, 5))),
    Case("Resize", {"mode": "nearest"}, ("x", NO, np.array([1, 1, 2, 1.5], np.float32))),
    Case("Resize", {"mode": "linear"}, ("x", NO, np.array([1, 1, 1.7, 0.6], np.float32))),
    Case(
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        ("x", NO, np.array([1, 1, 2, 2], np.float32)),
    ),
    Case("Resize", {"mode": "cubic"}, ("x", NO, np.array([1, 1, 2, 1.5], np.float32))),
    Case("Resize", {"mode": "linear", "axes": [2, 3]}, ("x", None, None, i64(8, 4)), opset=18),
    Case(
        "Resize",
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        ("x", NO, np.array([1, 1, 2.5, 2], np.float32)),
    ),
    Case("Resize", {"mode": "linear"}, ("x", np.array([1, 1, 2, 3], np.float32)), opset=10),
    Case(
        "Shape",
        {},
        after=(("Slice", ("x", i64(1), i64(2), i64(0)), {}), ("Cast", ("x",), {"to": 1}), ("Mul", ("x", "image"), {})),
    ),
    unary("Sigmoid"),
    Case("Slice", {"starts": [1], "ends": [9999], "axes": [3]}, opset=9),
    Case("Slice", {}, ("x", i64(0, -1, 8), i64(1 << 40, -9999, 104), i64(0, 1, 3), i64(1, -1, 1)), size=(2, 112)),
    Case("Slice", {}, ("x", i64(4), i64(0), i64(2), i64(-2))),
    unary("Softmax", axis=1, opset=11),
    unary("Softmax", axis=1),
    unary("Softmax"),
    unary("Softplus"),
    Case("Split", {"axis": 1, "split": [1, 2]}, outputs=2, opset=11),
    Case("Split", {"axis": 3}, outputs=3),
    Case("Split", {"axis": 2}, ("x", i64(2, 3)), outputs=2),
    Case("Split", {"axis": 3, "num_outputs": 2}, outputs=2, opset=18),
    unary("Sqrt", low=0.2),
    Case("Squeeze", {"axes": [2]}, opset=11, before=(("ReduceMean", ("x",), {"axes": [2]}),)),
    Case("Squeeze", {}, ("x", i64(-1)), before=(("ReduceMean", ("x",), {"axes": [3]}),)),
    Case("Sub", {}, (f32(3, 1, 1), "x")),
    Case("Sub", {}, ("x", np.float32(0.3))),
    Case("Sum", {}, ("x", "image", f32(3, 1, 1))),
    unary("Tanh"),
    Case("Tile", {}, ("x", i64(1, 2, 1, 3))),
    Case("Transpose", {"perm": [0, 2, 3, 1]}),
    Case("Unsqueeze", {"axes": [1]}, opset=11),
    Case("Unsqueeze", {}, ("x", i64(2, -1))),
    Case("Upsample", {"mode": "nearest"}, ("x", np.array([1, 1, 2, 3], np.float32)), opset=9),
    # both bounds of what is compared, and what is counted, are constants; the image is chosen by them
    *(
        Case(
            op,
            {},
            (f32(3, 1, 1), np.zeros(1, np.float32)),
            after=(("Where", ("x", "image", np.float32(0.25)), {}),),
        )
        for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ),
    *(
        Case(
            op,
            {},
            inputs,
            after=(("Reshape", ("x", i64(3, 1, 1)), {}), ("Where", ("x", "image", np.float32(0.25)), {})),
        )
        for op, inputs in (
            ("And", (np.array([True, False, True]), np.array([True, True, False]))),
            ("Or", (np.array([True, False, False]), np.array([True, True, False]))),
            ("Not", (np.array([True, False, False]),)),
        )
    ),
    unary("Celu", alpha=0.7),
    unary("Cos"),
    unary("Sin"),
    unary("Selu"),
    unary("Selu", alpha=1.1, gamma=0.9),
    unary("Softsign"),
    unary("Mish", opset=18),
    unary("Round"),
    unary("Sign"),
    unary("ThresholdedRelu", alpha=0.3),
    Case("Mean", {}, ("x", "image", f32(3, 1, 1)), before=(("Exp", ("x",), {}),)),
    Case("Mod", {"fmod": 1}, ("x", np.float32(0.37))),
    Case("Mod", {}, (i64(7, -7, 2), i64(3)), after=(*CAST, ("Reshape", ("x", i64(3, 1, 1)), {}), TIMES)),
    Case("Pow", {}, ("x", i64(3))),
    Case("Pow", {}, ("x", np.float32(2))),
    Case(
        "Range", {}, (np.array(0), np.array(3), np.array(1)), after=(*CAST, ("Reshape", ("x", i64(3, 1, 1)), {}), TIMES)
    ),
    Case("Size", {}, (f32(3, 5),), after=(*CAST, ("Reciprocal", ("x",), {}), TIMES)),
    Case("ReduceLogSum", {"axes": [2]}, low=0.1),
    Case("ReduceLogSumExp", {"axes": [1, -1], "keepdims": 0}),
    Case("ReduceLogSumExp", {}, ("x", i64(3)), opset=18),
    Case("LRN", {"size": 5, "alpha": 0.4, "beta": 0.6, "bias": 1.5}),
    Case("LRN", {"size": 3, "alpha": 0.4}),
    Case("SpaceToDepth", {"blocksize": 2}, size=(4, 6)),
    Case("LayerNormalization", {}, ("x", f32(6), f32(6))),
    Case("LayerNormalization", {"axis": 1, "epsilon": 1e-3}, ("x", f32(3, 5, 6))),
    Case("LayerNormalization", {"axis": -2}, ("x", f32(1), f32(5, 1))),
    Case("RMSNormalization", {"axis": -2}, ("x", f32(5, 6)), opset=23),
    Case("GroupNormalization", {"num_groups": 3}, ("x", f32(3), f32(3)), opset=18),
    Case("GroupNormalization", {"num_groups": 1}, ("x", f32(1), f32(1)), opset=18),
    Case("GroupNormalization", {"num_groups": 1}, ("x", f32(3), f32(3)), opset=21),
    Case("InstanceNormalization", {}, ("x", f32(3), f32(3)), before=(("Reshape", ("x", i64(0, 3, -1)), {}),)),
    Case("GlobalAveragePool", {}, before=(("Reshape", ("x", i64(0, 3, -1)), {}),)),
    Case("Conv", {"pads": [2, 1], "strides": [2]}, ("x", f32(4, 3, 3), f32(4)), before=LINES),
    Case("Conv", {"group": 3, "dilations": [2]}, ("x", f32(6, 1, 3)), before=LINES),
    Case("Conv", {"auto_pad": "SAME_LOWER"}, ("x", f32(4, 3, 4)), before=LINES),
    Case("Einsum", {"equation": "bchw,cd->bdhw"}, ("x", f32(3, 4))),
    Case("Einsum", {"equation": "b c h w, b c h w -> b h w"}, ("x", "image")),
    Case("Einsum", {"equation": "bchw,bdhw->bcd"}, (f32(1, 4, 5, 6), "x")),
    # the batch axis behind others, or merged with them, and back
    *(Case("Transpose", {"perm": [1, 2, 0, 3]}, after=after) for after in LIFTED),
    Case(
        "Unsqueeze",
        {},
        ("x", i64(0)),
        after=(("Mul", ("x", f32(2, 1, 3, 1, 1)), {}), ("ReduceSum", ("x", i64(0)), KEEP)),
    ),
    Case(
        "Einsum",
        {"equation": "bchw->hbcw"},
        after=(("Einsum", ("x", f32(5, 2)), {"equation": "hbcw,hd->bcdw"}),),
    ),
    Case("BatchNormalization", {"spatial": 1}, ("x", f32(3), f32(3), f32(3), f32(3, low=0.5)), opset=7),
    Case("BatchNormalization", {}, ("x", f32(3), f32(3), f32(3), f32(3, low=0.5)), opset=9),
    Case("BatchNormalization", {}, ("x", f32(3), f32(3), f32(3), f32(3, low=0.5)), opset=14),
    Case("Clip", {"max": 0.4}, opset=7),
    Case("Pad", {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 0.5}, opset=8),
    Case("Upsample", {"mode": "linear", "scales": [1.0, 1.0, 2.0, 2.0]}, opset=7),
    Case("Upsample", {"mode": "nearest", "scales": [1.0, 1.0, 2.0, 3.0]}, opset=8),
    Case("Resize", {"mode": "nearest"}, ("x", np.array([1, 1, 2, 2], np.float32)), opset=10),
    Case("Softmax", {"axis": 2}, opset=8),
    Case("Squeeze", {"axes": [-1]}, opset=11, before=(("ReduceMean", ("x",), {"axes": [3]}),)),
    Case("Squeeze", {}, ("x", i64(-1)), before=(("ReduceMean", ("x",), {"axes": [3]}),)),
    Case("ReduceMean", {"axes": [-1, -2]}, opset=17),
    Case("ReduceMean", {}, ("x", i64(-1, -2)), opset=18),
    Case("Gemm", {"transB": 1, "alpha": 0.3, "beta": 0.2}, ("x", f32(4, 90), f32(1, 4)), before=ROWS),
    Case("MatMul", {}, ("x", f32(6, 4)), before=(("Reshape", ("x", i64(0, -1, 6)), {}),)),
    Case("Constant", {"value_floats": [0.5, 2.0, 1.0, 1.0, 3.0, 4.0]}, (), after=(TIMES,)),
    Case("Constant", {"value_ints": [1, 2, 3, 4, 5, 6]}, (), after=(*CAST, TIMES)),
    Case("Constant", {"value_int": 3}, (), after=(*CAST, TIMES)),
    Case("ConstantOfShape", {}, (np.zeros(0, np.int64),), after=(("Add", ("x", "image"), {}),)),
    Case("Where", {}, (np.array([[[True]], [[False]], [[True]]]), "x", f32(3, 1, 1))),
]


def label(case: Case) -> str:
    return f"{case.op}-{case.opset}-" + ",".join(f"{k}={v}" for k, v in case.attributes.items() if k != "value")


def images(case: Case, rows: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand((rows, 3, *case.size), generator=generator) * (1 - case.low) + case.low


def test_every_operator_has_a_case() -> None:
    assert set(OPERATORS) == ALLOWED  # what the everyday rooms read and the workshop differentiates
    assert {case.op for case in CASES} == set(OPERATORS) - {"Swish"}  # onnxruntime has none yet: see below


@pytest.mark.parametrize("case", CASES, ids=label)
class TestEveryOperator:
    def test_equals_onnxruntime(self, case: Case) -> None:
        data = case.model().SerializeToString()
        faces = images(case)
        session = inference_session(data, threads=1)
        expected = torch.from_numpy(session.run(None, {"image": faces.numpy()})[0])
        module = OnnxModule(read_graph(data))
        assert tuple(expected.shape[1:]) == module.output_shape
        torch.testing.assert_close(module(faces), expected, rtol=1e-5, atol=2e-6)
        with torch.enable_grad():
            torch.testing.assert_close(module(faces.requires_grad_()).detach(), expected, rtol=1e-5, atol=2e-6)

    def test_rows_are_independent(self, case: Case) -> None:
        module, faces = OnnxModule(case.model()), images(case)
        one_by_one = torch.cat([module(face) for face in torch.split(faces, 1)])
        torch.testing.assert_close(module(faces), one_by_one, rtol=1e-6, atol=1e-6)

    def test_gradient_equals_finite_differences(self, case: Case) -> None:
        module = OnnxModule(case.model()).double()
        small = images(case, rows=1).double().requires_grad_()
        assert torch.autograd.gradcheck(module, (small,), fast_mode=True)


def test_a_constant_beside_a_value_whose_batch_axis_is_not_the_first() -> None:
    """As a class token stands in a file written for one image."""
    case = Case("Concat", {"axis": 1}, (f32(3, 2, 1, 6), "x"), before=MOVED, after=(BACK,))
    module, faces = OnnxModule(case.model()), images(case)
    expected = torch.cat([faces.new_tensor(f32(3, 2, 1, 6)[:, :, 0]).expand(3, 3, 2, 6), faces], 2)
    torch.testing.assert_close(module(faces), expected)


def test_swish_is_what_onnx_says() -> None:
    model = Case("Swish", {"alpha": 1.3}, opset=24).model()
    faces = torch.linspace(-3, 3, 90).reshape(1, 3, 5, 6)
    (expected,) = ReferenceEvaluator(model).run(None, {"image": faces.numpy()})
    torch.testing.assert_close(OnnxModule(model)(faces), torch.from_numpy(np.asarray(expected)))


REFUSED: dict[str, Chain] = {
    "a mean over the batch axis": (
        ("Transpose", ("x",), {"perm": [1, 2, 0, 3]}),
        ("ReduceMean", ("x",), {"axes": [2]}),
    ),
    "a product over the batch axis": (("Transpose", ("x",), {"perm": [1, 2, 3, 0]}), ("MatMul", ("x", f32(1, 4)), {})),
    "two batch axes that meet": (
        ("Transpose", ("x",), {"perm": [1, 0, 2, 3]}),
        ("Transpose", ("x",), {"perm": [0, 2, 1, 3]}),
        ("Add", ("x", "v0"), {}),
    ),
    "an image whose batch axis is second": (
        ("Transpose", ("x",), {"perm": [1, 0, 2, 3]}),
        ("GlobalMaxPool", ("x",), {}),
    ),
    "a batch axis that is summed": (("Einsum", ("x",), {"equation": "bchw->chw"}),),
    "an equation with dots": (("Einsum", ("x",), {"equation": "b...->b..."}),),
    "statistics for each pixel": (("BatchNormalization", ("x", *[f32(3, 5, 6, low=0.5)] * 4), {"spatial": 0}),),
    "an alpha that is no number": (("LeakyRelu", ("x",), {"alpha": float("nan")}),),
    "an alpha without end": (("Elu", ("x",), {"alpha": float("inf")}),),
    "a bound that is no number": (("Clip", ("x",), {"min": float("nan")}),),
    "scales that are no numbers": (("Upsample", ("x",), {"scales": [1.0, 1.0, float("nan"), 2.0]}),),
    "batch statistics": (("BatchNormalization", ("x", *[f32(3, low=0.5)] * 4), {"training_mode": 1}),),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_mix_faces_or_is_no_number_is_refused(name: str) -> None:
    *before, (op, inputs, attributes) = REFUSED[name]
    opset = 8 if {"spatial", "min", "scales"} & set(attributes) else 17
    case = Case(op, attributes, inputs, before=tuple(before), opset=opset)
    with pytest.raises(ValueError, match=rf"node {len(before)} "):
        read_graph(case.model().SerializeToString())

"""Every operator against onnxruntime, and its gradient against finite differences."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from facemin.autograd.module import OnnxModule
from facemin.autograd.operators import OPERATORS
from facemin.models.onnx.graph import read_graph

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
    Case("Where", {}, (np.array([[[True]], [[False]], [[True]]]), "x", f32(3, 1, 1))),
]


def label(case: Case) -> str:
    return f"{case.op}-{case.opset}-" + ",".join(f"{k}={v}" for k, v in case.attributes.items() if k != "value")


def images(case: Case, rows: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand((rows, 3, *case.size), generator=generator) * (1 - case.low) + case.low


def test_every_operator_has_a_case() -> None:
    assert {case.op for case in CASES} == set(OPERATORS)


@pytest.mark.parametrize("case", CASES, ids=label)
class TestEveryOperator:
    def test_equals_onnxruntime(self, case: Case) -> None:
        data = case.model().SerializeToString()
        faces = images(case)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
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

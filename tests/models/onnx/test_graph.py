"""What `read_graph` accepts and refuses, and how a graph is cut."""

import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import (
    GraphLimits,
    Preprocess,
    bottlenecks,
    extract,
    prepend_preprocessing,
    read_graph,
)
from facemin.runtime.inference_session import inference_session


def weights(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) * 0.3


def residual(side: int = 8) -> onnx.ModelProto:
    """conv -> relu -> [conv] + -> flatten -> linear: four places to cut and one branch."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="first", doc_string="private"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["sum"]),
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"], axis=0),
        helper.make_node("Concat", ["rows", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["sum", "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3"], ["out"]),
        helper.make_node("Sigmoid", ["flat"], ["other"]),
    ]
    held = {"w1": weights(4, 3, 3, 3), "w2": weights(4, 4, 3, 3), "b2": weights(4), "w3": weights(4 * side**2, 5)}
    held |= {"zero": np.array([0]), "rest": np.array([-1])}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("out", "other")],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.metadata_props.add(key="author", value="somebody")
    return model


def run(model: onnx.ModelProto, x: torch.Tensor) -> torch.Tensor:
    session = inference_session(model.SerializeToString(), threads=1)
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def chain(op: str, *inputs: np.ndarray[Any, Any], side: int = 8, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    names = [f"c{i}" for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(op, ["image", *names], ["out"], **attributes)],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in zip(names, inputs, strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


Change = Callable[[onnx.ModelProto], object]


def dims(*sizes: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(sizes)

    return change


def payload(*values: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        raw = bytearray(model.graph.initializer[0].raw_data)
        for i, value in enumerate(values):
            raw[4 * i : 4 * i + 4] = struct.pack("<f", value)
        model.graph.initializer[0].raw_data = bytes(raw)

    return change


def external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def external_attribute(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.insert(0, helper.make_node("Constant", [], ["held"], value=tensor))


def subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[1].attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.name = "inner"


def image_dims(*sizes: int | str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, sizes))

    return change


def byte_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


def field(path: str, value: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        target: Any = model
        *steps, last = path.split(".")
        for step in steps:
            target = target[int(step)] if step.isdigit() else getattr(target, step)
        setattr(target, last, value)

    return change


REFUSED: list[tuple[str, Change, str]] = [
    ("external data", external, "external data"),
    ("external data in an attribute", external_attribute, "external data"),
    ("unknown operator", field("graph.node.1.op_type", "Loop"), "not among those"),
    ("foreign domain", field("graph.node.1.domain", "com.microsoft"), "default domain"),
    ("function", lambda m: m.functions.add(name="f"), "functions"),
    ("training", lambda m: m.training_info.add(), "training"),
    ("subgraph", subgraph, "subgraph"),
    ("sparse", lambda m: m.graph.sparse_initializer.add(), "sparse"),
    ("old opset", field("opset_import.0.version", 6), "opset"),
    ("new opset", field("opset_import.0.version", 99), "opset"),
    ("no opset", lambda m: m.ClearField("opset_import"), "opset"),
    ("two opsets", lambda m: m.opset_import.add(domain="ai.onnx", version=9), "opset"),
    ("NaN weight", payload(float("nan")), "finite"),
    ("infinite weight", payload(1.0, float("-inf")), "finite"),
    ("too few elements", dims(4, 3, 3, 4), "elements"),
    ("too many elements", dims(4, 3, 3, 2), "elements"),
    ("overflowing dimensions", dims(1 << 31, 1 << 31, 1 << 31), "at most"),
    ("wrapping dimensions", dims(1 << 32, 1 << 32), "at most"),
    ("negative dimensions", dims(-4, -3, 3, 3), "0 or more"),
    ("element type", field("graph.initializer.0.data_type", TensorProto.STRING), "got type"),
    ("two inputs", lambda m: m.graph.input.add(name="more"), "1 input"),
    ("grey image", image_dims("n", 1, 8, 8), "(batch, 3, height, width)"),
    ("image of three axes", image_dims(3, 8, 8), "(batch, 3, height, width)"),
    ("batch of four", image_dims(4, 3, 8, 8), "(batch, 3, height, width)"),
    ("free sides", image_dims("n", 3, "h", "w"), "fixed sides"),
    ("empty image", image_dims("n", 3, 0, 8), "fixed sides"),
    ("negative image", image_dims("n", 3, -8, 8), "fixed sides"),
    ("huge image", image_dims("n", 3, 4096, 8), "fixed sides"),
    ("image of bytes", byte_image, "float elements"),
    ("unsorted", lambda m: m.graph.node.append(m.graph.node.pop(0)), "before anything defines it"),
    ("dangling", lambda m: m.graph.node[1].input.__setitem__(0, "nowhere"), "nowhere"),
    ("defined twice", lambda m: m.graph.node[2].output.__setitem__(0, "c1"), "defined twice"),
    ("unknown output", field("graph.output.0.name", "nowhere"), "nowhere"),
    ("no nodes", lambda m: m.graph.ClearField("node"), "no"),
    ("twice the same weight", lambda m: m.graph.initializer.append(m.graph.initializer[0]), "distinct names"),
    ("groups", lambda m: m.graph.node[0].attribute.add(name="group", type=2, i=7), "groups"),
]


class TestReading:
    def test_accepts_bytes_and_a_path(self, tmp_path: Path) -> None:
        model = residual()
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        assert read_graph(path) == read_graph(model.SerializeToString()) == model

    def test_initialisers_listed_among_inputs_are_no_inputs(self) -> None:
        model = residual()
        model.graph.input.append(helper.make_tensor_value_info("w1", TensorProto.FLOAT, [4, 3, 3, 3]))
        assert len(read_graph(model.SerializeToString()).graph.input) == 2

    @pytest.mark.parametrize(("change", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
    def test_refuses(self, change: Change, reason: str) -> None:
        model = residual()
        change(model)
        with pytest.raises(ValueError, match=r"stranger\.onnx: ") as error:
            read_graph(model.SerializeToString(), name="stranger.onnx")
        assert reason in str(error.value)

    @pytest.mark.parametrize("data", [b"", b"\x00", b"not an ONNX file", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(64)])
    def test_refuses_what_is_not_onnx(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="graph: expected"):
            read_graph(data)

    def test_refuses_every_truncation(self) -> None:
        data = residual().SerializeToString()
        whole = read_graph(data)
        for end in range(0, len(data), 97):
            try:
                assert read_graph(data[:end]) != whole
            except ValueError:
                continue

    def test_refuses_a_name_that_is_no_text(self) -> None:
        data = residual().SerializeToString().replace(b"r1", b"\xff\xfe")
        with pytest.raises(ValueError, match=r"UTF-8|parse"):
            read_graph(data)

    def test_size_is_checked_before_reading(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse.onnx"
        with path.open("wb") as file:
            file.truncate(1 << 34)
        with pytest.raises(ValueError, match=r"sparse\.onnx: expected at most 536870912 bytes"):
            read_graph(path)

    def test_false_dimensions_cost_neither_time_nor_memory(self) -> None:
        model = residual()
        dims(1 << 13, 1 << 13, 1 << 14)(model)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        with pytest.raises(ValueError, match="elements"):
            read_graph(model.SerializeToString())
        assert time.process_time() - start < 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000

    def test_many_empty_messages_are_refused_before_they_are_parsed(self) -> None:
        nodes = b"\x0a\x00" * 3_000_000
        data = b"\x3a" + _varint(len(nodes)) + nodes
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match="fields"):
            read_graph(data)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000

    @pytest.mark.parametrize(
        "model",
        [
            chain("Pad", np.array([0, 0, 0, 0, 0, 0, 1 << 19, 1 << 19])),
            chain("Pad", np.array([0, 0, 0, 0, 0, 0, 1 << 62, 1 << 62])),
            chain("Tile", np.array([1, 1, 1 << 20, 1 << 20])),
            chain("Tile", np.array([1, 1, 1 << 62, 1 << 62])),
            chain("Expand", np.array([1 << 14, 1, 3, 8, 8])),
            chain("Expand", np.array([1, 3, 8, -8])),
            chain("Resize", np.zeros(0, np.float32), np.array([1, 1, 1e5, 1e5], np.float32)),
            chain("Resize", np.zeros(0, np.float32), np.array([1, 1, 1e30, 1], np.float32)),
            chain("Reshape", np.array([1, -1, 1 << 62])),
            chain("Reshape", np.array([3, 8, 8])),
            chain("Transpose", perm=[1, 0, 2, 3]),
            chain("Transpose", perm=[0, 0, 2, 3]),
            chain("Softmax", axis=0),
            chain("MaxPool", kernel_shape=[1 << 40, 1 << 40]),
            chain("MaxPool", kernel_shape=[0, 2]),
            chain("MaxPool", kernel_shape=[9, 9]),
            chain("MaxPool", kernel_shape=[2, 2], strides=[0, 1]),
            chain("MaxPool", kernel_shape=[2, 2], pads=[4096, 4096, 4096, 4096]),
            chain("Conv", weights(4, 3, 3, 3), dilations=[1 << 30, 1]),
            chain("Conv", weights(4, 3, 3, 3), strides=[-1, 1]),
            chain("Conv", weights(4, 3, 3, 3), pads=[1 << 60, 0, 0, 0]),
            chain("Conv", weights(4, 3, 3, 3), group=0),
            chain("Conv", weights(4, 2, 3, 3)),
            chain("Conv", weights(4, 3, 3, 3), kernel_shape=[5, 5]),
            chain("Conv", weights(2000, 3, 1, 1), pads=[4000, 4000, 4000, 4000]),
            chain("ConvTranspose", weights(3, 512, 1, 1), strides=[4096, 4096]),
            chain("BatchNormalization", weights(3), weights(3), weights(3), np.full(3, -1, np.float32)),
            chain("Add", weights(5, 3, 8, 8)),
            chain("Add", weights(1, 1, 3, 8, 8)),
            chain("Gather", np.array([0]), axis=0),
            chain("Gather", np.array([3]), axis=1),
            chain("Slice", np.array([8]), np.array([9]), np.array([2])),
            chain("Unsqueeze", np.array([0])),
            chain("Split", np.array([1, 1]), axis=1),
        ],
        ids=lambda m: m.graph.node[0].op_type,
    )
    def test_refuses_absurd_settings_quickly(self, model: onnx.ModelProto) -> None:
        start = time.process_time()
        with pytest.raises(ValueError, match="node 0"):
            read_graph(model.SerializeToString())
        assert time.process_time() - start < 5

    def test_repeated_doubling_is_refused(self) -> None:
        model = residual()
        last = "image"
        for i in range(40):
            model.graph.node.append(helper.make_node("Concat", [last, last], [f"twice{i}"], axis=1))
            last = f"twice{i}"
        with pytest.raises(ValueError, match="elements"):
            read_graph(model.SerializeToString())

    def test_constants_are_limited_before_they_are_computed(self) -> None:
        model = residual()
        model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 15, 1 << 15]), "big"))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["big"], ["amplified"]))
        model.graph.node.append(helper.make_node("Exp", ["amplified"], ["spent"]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ValueError, match="ConstantOfShape"):
            read_graph(model.SerializeToString())
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000

    def test_nodes_work_and_elements_are_limited(self) -> None:
        data = residual().SerializeToString()
        for limits in (
            GraphLimits(nodes=9),
            GraphLimits(work=10_000),
            GraphLimits(total_elements=500),
            GraphLimits(fields=50),
        ):
            with pytest.raises(ValueError, match="graph: "):
                read_graph(data, limits=limits)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_damaged_bytes_are_read_or_refused_but_never_crash(self, data: st.DataObject) -> None:
        whole = bytearray(residual().SerializeToString())
        # Places outside the raw weights, where a changed byte changes the structure.
        header = [i for i in range(len(whole)) if i < 40 or i > len(whole) - 700 or whole[i] in b"Conv"]
        for place in data.draw(st.lists(st.sampled_from(header), min_size=1, max_size=4)):
            whole[place] = data.draw(st.integers(0, 255))
        try:
            model = read_graph(bytes(whole))
        except ValueError:
            return
        OnnxModule(model)(torch.zeros(1, *OnnxModule(model).input_shapes[0]))


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


class TestCutting:
    def test_bottlenecks_by_hand(self) -> None:
        found = bottlenecks(residual())
        assert [place.name for place in found] == ["c1", "r1", "sum", "flat", "out"]
        first, second, end = 4 * 3 * 9, 4 * 4 * 9 + 4, 256 * 5
        assert [place.parameters for place in found] == [
            first,
            first,
            first + second,
            first + second,
            first + second + end,
        ]
        assert [place.macs for place in found] == [64 * 108, 64 * 108, 64 * 252, 64 * 252, 64 * 252 + 1280]
        assert found[2].shape == (4, 8, 8)
        assert found[-1].share == 1
        assert found[1].share == pytest.approx(64 * 108 / (64 * 252 + 1280))

    def test_every_cut_composes_to_the_whole_here_and_in_onnxruntime(self) -> None:
        model, x = residual(), torch.rand(3, 3, 8, 8)
        expected = run(model, x)
        for place in bottlenecks(model)[:-1]:
            front, rest = extract(model, end=place.name), extract(model, start=place.name, end="out")
            onnx.checker.check_model(front, full_check=True)
            onnx.checker.check_model(rest, full_check=True)
            torch.testing.assert_close(OnnxModule(rest)(OnnxModule(front)(x)), expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(run(rest, run(front, x)), expected, rtol=1e-5, atol=1e-5)

    def test_a_part_carries_only_what_it_needs(self) -> None:
        part = extract(residual(), start="r1", end="sum")
        assert {tensor.name for tensor in part.graph.initializer} == {"w2", "b2"}
        assert [node.op_type for node in part.graph.node] == ["Conv", "Add"]
        assert b"somebody" not in part.SerializeToString()
        assert b"private" not in extract(residual(), end="r1").SerializeToString()
        assert [d.dim_value for d in part.graph.input[0].type.tensor_type.shape.dim][1:] == [4, 8, 8]

    def test_a_front_is_itself_a_readable_graph(self) -> None:
        assert read_graph(extract(residual(), end="sum").SerializeToString())

    @pytest.mark.parametrize(
        ("start", "end"),
        [("c2", "sum"), ("sum", "r1"), ("out", "nowhere"), (None, "w1"), ("r1", "r1"), ("other", "out")],
    )
    def test_refuses_an_end_that_does_not_depend_on_the_start_alone(self, start: str | None, end: str) -> None:
        with pytest.raises(ValueError, match=end):
            extract(residual(), start=start, end=end)


class TestLayers:
    def test_come_before_the_end_in_the_order_asked_for(self) -> None:
        part = extract(residual(), end="sum", layers=("c2", "r1"))
        onnx.checker.check_model(part, full_check=True)
        assert [value.name for value in part.graph.output] == ["c2", "r1", "sum"]
        assert read_graph(part.SerializeToString())
        plain = extract(residual(), end="sum")
        assert part.graph.node == plain.graph.node
        assert part.graph.initializer == plain.graph.initializer

    def test_are_what_parts_of_their_own_give(self) -> None:
        part, x = extract(residual(), end="sum", layers=("r1", "c2")), torch.rand(2, 3, 8, 8)
        session = inference_session(part.SerializeToString(), threads=1)
        found = session.run(None, {"image": x.numpy()})
        for name, value in zip(("r1", "c2", "sum"), found, strict=True):
            torch.testing.assert_close(torch.from_numpy(value), run(extract(residual(), end=name), x))

    def test_may_lie_after_a_start(self) -> None:
        part = extract(residual(), start="r1", end="flat", layers=("sum",))
        assert [value.name for value in part.graph.output] == ["sum", "flat"]

    @pytest.mark.parametrize(
        ("layers", "words"),
        [
            (("nowhere",), "nowhere"),
            (("w1",), "w1"),
            (("image",), "image"),
            (("flat",), "flat"),
            (("other",), "other"),
            (("sum",), "sum"),
            (("r1", "r1"), "each once.*r1"),
        ],
    )
    def test_refuses_what_is_not_on_the_way_or_comes_twice(self, layers: tuple[str, ...], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            extract(residual(), end="sum", layers=layers)

    def test_refuses_one_before_the_start(self) -> None:
        with pytest.raises(ValueError, match="c1"):
            extract(residual(), start="r1", end="sum", layers=("c1",))


class TestPreprocessing:
    def test_equals_arithmetic_by_hand(self) -> None:
        want = Preprocess(scale=255, mean=(1, 2, 3), std=(4, 5, 6), channels="BGR")
        model = prepend_preprocessing(chain("Abs", side=112), want)
        x = torch.rand(2, 3, 112, 112)
        expected = (x.flip(1) * 255 - torch.tensor([1.0, 2, 3]).reshape(3, 1, 1)) / torch.tensor([4.0, 5, 6]).reshape(
            3, 1, 1
        )
        read = read_graph(model.SerializeToString())
        torch.testing.assert_close(OnnxModule(read)(x), expected.abs())
        torch.testing.assert_close(run(model, x), expected.abs(), rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("size", [(150, 150), (96, 112), (113, 224), (160, 111)])
    def test_resizes_like_torch(self, size: tuple[int, int]) -> None:
        base = chain("Abs")
        for dim, side in zip(base.graph.input[0].type.tensor_type.shape.dim[2:], size, strict=True):
            dim.dim_value = side
        model = prepend_preprocessing(base, Preprocess(size=size))
        x = torch.rand(2, 3, 112, 112)
        expected = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(OnnxModule(model)(x), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(run(model, x), expected, rtol=1e-4, atol=1e-4)

    def test_changes_nothing_where_nothing_is_asked(self) -> None:
        model = chain("Abs", side=112)
        assert prepend_preprocessing(model, Preprocess()) == model

    def test_refuses_what_does_not_fit(self) -> None:
        with pytest.raises(ValueError, match="expected a graph that takes"):
            prepend_preprocessing(chain("Abs", side=96), Preprocess())
        with pytest.raises(ValueError, match="opset"):
            prepend_preprocessing(chain("Abs", side=96, opset=9), Preprocess(size=(96, 96)))
        with pytest.raises(ValueError, match="std"):
            Preprocess(std=(1, 0, 1))
        with pytest.raises(ValueError, match="channels"):
            Preprocess(channels="GBR")

"""A stranger's file: read as onnxruntime reads it, or refused by name with what to do."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from facemin.autograd import agreement
from facemin.autograd.agreement import check_agreement
from facemin.autograd.module import OnnxModule
from facemin.autograd.opening import open_model
from facemin.models import load_recogniser
from facemin.models.onnx.graph import read_graph
from facemin.models.onnx.trial import random_faces
from facemin.models.preprocess import Preprocess
from facemin.models.store import ModelStore
from facemin.runtime.inference_session import inference_session
from tests.models.test_store import tiny_graph

Array = np.ndarray[Any, Any]
PLAIN = Preprocess()


def random(*shape: int, scale: float = 0.3) -> Array:
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * scale).astype(np.float32)


Node = tuple[str, list[str], list[str], dict[str, Any]]


def graph(
    nodes: list[Node],
    held: dict[str, Array],
    *,
    outputs: tuple[str, ...] = ("out",),
    opset: int = 17,
    image: tuple[Any, ...] = ("batch", 3, 112, 112),
) -> onnx.ModelProto:
    made = [helper.make_node(op, inputs, given, **attributes) for op, inputs, given, attributes in nodes]
    body = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


POOL: Node = ("AveragePool", ["image"], ["pooled"], {"kernel_shape": [14, 14], "strides": [14, 14]})
TAIL: list[Node] = [("Flatten", ["last"], ["flat"], {}), ("Gemm", ["flat", "matrix"], ["out"], {})]


def saved(folder: Path, model: onnx.ModelProto, name: str = "stranger.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def rows(model: onnx.ModelProto, faces: Array) -> Array:
    session = inference_session(model.SerializeToString(), threads=1)
    given = session.run(None, {session.get_inputs()[0].name: faces})[0]
    return np.asarray(given).reshape(len(faces), -1)


def assert_read_right(model: onnx.ModelProto, path: Path) -> None:
    expected = rows(model, random_faces())
    recogniser = load_recogniser(path, preprocess=PLAIN)
    ours = recogniser.module(torch.from_numpy(random_faces())).flatten(1).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def two_convolutions(hand_on: list[Node], **held: Array) -> onnx.ModelProto:
    """The first's bias, handed on by other nodes, is the second's."""
    nodes: list[Node] = [
        POOL,
        *hand_on,
        ("Conv", ["pooled", "w1", "b"], ["c1"], {}),
        ("Relu", ["c1"], ["r1"], {}),
        ("Conv", ["r1", "w2", "handed"], ["last"], {}),
        *TAIL,
    ]
    weights = {"w1": random(6, 3, 3, 3), "b": random(6), "w2": random(6, 6, 3, 3), "matrix": random(96, 8)}
    return graph(nodes, weights | held)


I64 = np.int64
HANDED_ON: dict[str, tuple[list[Node], dict[str, Array]]] = {
    "Identity": ([("Identity", ["b"], ["handed"], {})], {}),
    "Cast": ([("Cast", ["b"], ["handed"], {"to": 1})], {}),
    "Cast to double and back": ([("Cast", ["b"], ["d"], {"to": 11}), ("Cast", ["d"], ["handed"], {"to": 1})], {}),
    "Dropout": ([("Dropout", ["b"], ["handed"], {})], {}),
    "Dropout with a mask": ([("Dropout", ["b"], ["handed", "mask"], {})], {}),
    "Slice of all": ([("Slice", ["b", "from", "to"], ["handed"], {})], {"from": np.zeros(1, I64), "to": np.array([6])}),
    "Pad of none": ([("Pad", ["b", "none"], ["handed"], {})], {"none": np.zeros(2, I64)}),
    "Reshape": ([("Reshape", ["b", "to"], ["handed"], {})], {"to": np.array([6])}),
    "Expand": ([("Expand", ["b", "to"], ["handed"], {})], {"to": np.array([6])}),
    "Clip without bounds": ([("Clip", ["b"], ["handed"], {})], {}),
    "Squeeze of Unsqueeze": (
        [("Unsqueeze", ["b", "at"], ["u"], {}), ("Squeeze", ["u", "at"], ["handed"], {})],
        {"at": np.zeros(1, I64)},
    ),
    "Transpose": ([("Transpose", ["b"], ["handed"], {})], {}),
    "Flatten": (
        [("Flatten", ["b"], ["f"], {"axis": 0}), ("Reshape", ["f", "to"], ["handed"], {})],
        {"to": np.array([6])},
    ),
    "Concat of one": ([("Concat", ["b"], ["handed"], {"axis": 0})], {}),
    "Sum of one": ([("Sum", ["b"], ["handed"], {})], {}),
    "Max of one": ([("Max", ["b"], ["handed"], {})], {}),
    "Split into one": ([("Split", ["b"], ["handed"], {"axis": 0})], {}),
    "Tile once": ([("Tile", ["b", "one"], ["handed"], {})], {"one": np.ones(1, I64)}),
    "Gather of all": ([("Gather", ["b", "all"], ["handed"], {})], {"all": np.arange(6)}),
    "Reduction of nothing": (
        [("ReduceSum", ["b"], ["handed"], {"noop_with_empty_axes": 1})],
        {},
    ),
    "five in a row": (
        [("Identity", ["b" if i == 0 else f"i{i}"], [f"i{i + 1}" if i < 4 else "handed"], {}) for i in range(5)],
        {},
    ),
}


class TestSharedConstants:
    @pytest.mark.parametrize("name", HANDED_ON)
    def test_a_constant_handed_on_shifts_no_other(self, name: str, tmp_path: Path) -> None:
        nodes, held = HANDED_ON[name]
        model = two_convolutions(nodes, **held)
        assert_read_right(model, saved(tmp_path, model))

    def test_one_initialiser_in_several_roles(self, tmp_path: Path) -> None:
        """As a weight of two convolutions, a bias, a slope, an addend and a factor."""
        nodes: list[Node] = [
            POOL,
            ("Conv", ["pooled", "w", "b"], ["c1"], {}),
            ("PRelu", ["c1", "b3"], ["p"], {}),
            ("Conv", ["p", "w", "b"], ["c2"], {}),
            ("Reshape", ["b", "to"], ["b3"], {}),
            ("Mul", ["c2", "b3"], ["m"], {}),
            ("Add", ["m", "b3"], ["last"], {}),
            *TAIL,
        ]
        nodes.insert(1, nodes.pop(4))
        held = {"w": random(3, 3, 3, 3), "b": random(3), "to": np.array([3, 1, 1]), "matrix": random(48, 8)}
        model = graph(nodes, held)
        assert_read_right(model, saved(tmp_path, model))

    def test_equal_weights_under_two_names_and_copies_of_a_module(self) -> None:
        model = two_convolutions(HANDED_ON["Identity"][0])
        module, faces = OnnxModule(model), torch.from_numpy(random_faces())
        expected = rows(model, random_faces())
        for moved in (module.double().float(), module.to("cpu")):
            np.testing.assert_allclose(moved(faces).numpy(), expected, rtol=1e-4, atol=1e-5)

    def test_values_named_like_our_own_constants(self, tmp_path: Path) -> None:
        """A file may call a value whatever it likes."""
        names = ("2:1:bn", "bn:scale", "bn:shift", "c1:weight", "c1:bias", "bn:weight", "flat:raw", "image:lifted")
        nodes: list[Node] = [
            POOL,
            *[("Sub", ["pooled" if i == 0 else names[i - 1], "b3"], [name], {}) for i, name in enumerate(names)],
            ("Conv", [names[-1], "w1", "b"], ["c1"], {}),
            ("BatchNormalization", ["c1", "b", "b", "b", "v"], ["bn"], {}),
            ("Mul", ["bn", "b6"], ["last"], {}),
            *TAIL,
        ]
        held = {"w1": random(6, 3, 3, 3), "b": random(6), "v": np.abs(random(6)) + 1, "b3": random(3, 1, 1)}
        model = graph(nodes, held | {"b6": random(6, 1, 1), "matrix": random(6 * 36, 8)})
        for name in names[::3]:
            model.graph.initializer.append(numpy_helper.from_array(random(4), name + "'"))
        assert_read_right(model, saved(tmp_path, model))


class TestAgreement:
    def test_another_result_is_refused_by_name(self) -> None:
        model = two_convolutions([("Identity", ["b"], ["handed"], {})])
        module = OnnxModule(model)
        check_agreement(model, module, name="acme.onnx")
        for wrong in (lambda x: module(x) * 1.001, lambda x: module(x).roll(1, 1)):
            with pytest.raises(ValueError, match=r"acme.onnx: facemin does not read this graph as onnxruntime does"):
                check_agreement(model, wrong, name="acme.onnx")

    def test_a_batch_that_differs_from_single_faces_is_refused(self) -> None:
        model = two_convolutions([("Identity", ["b"], ["handed"], {})])
        module = OnnxModule(model)
        with pytest.raises(ValueError, match="does not read this graph"):
            check_agreement(model, lambda x: module(x) if len(x) == 1 else module(x.flip(0)), name="acme")

    def test_a_graph_that_mixes_faces_behind_a_merged_axis_is_refused(self, tmp_path: Path) -> None:
        nodes: list[Node] = [
            POOL,
            ("Reshape", ["pooled", "rows"], ["merged"], {}),
            ("ReduceMean", ["merged"], ["mean"], {"axes": [0], "keepdims": 1}),
            ("Sub", ["merged", "mean"], ["less"], {}),
            ("Reshape", ["less", "to"], ["last"], {}),
            *TAIL,
        ]
        held = {"rows": np.array([-1, 64]), "to": np.array([-1, 192]), "matrix": random(192, 8)}
        with pytest.raises(ValueError, match=r"stranger.onnx: node 3 .*a constant spans the batch axis"):
            load_recogniser(saved(tmp_path, graph(nodes, held)), preprocess=PLAIN)

    def test_nan_is_refused(self, tmp_path: Path) -> None:
        nodes: list[Node] = [POOL, ("Neg", ["pooled"], ["n"], {}), ("Sqrt", ["n"], ["last"], {}), *TAIL]
        with pytest.raises(ValueError, match="finite embeddings"):
            load_recogniser(saved(tmp_path, graph(nodes, {"matrix": random(192, 8)})), preprocess=PLAIN)

    @pytest.mark.parametrize(("factor", "words"), [(0.0, "zeros"), (1e-9, "the same for all")])
    def test_one_embedding_for_all_is_refused(self, factor: float, words: str, tmp_path: Path) -> None:
        nodes: list[Node] = [POOL, ("Mul", ["pooled", "f"], ["last"], {}), *TAIL]
        nodes[-1] = ("Gemm", ["flat", "matrix", *(["bias"] if factor else [])], ["out"], {})
        held = {"f": np.float32(factor), "matrix": random(192, 8), "bias": random(8)}
        with pytest.raises(ValueError, match=words):
            load_recogniser(saved(tmp_path, graph(nodes, {k: np.asarray(v) for k, v in held.items()})))

    def test_what_onnxruntime_does_not_run_is_refused(self, tmp_path: Path) -> None:
        model = onnx.load_from_string(tiny_graph())
        model.opset_import[0].version = onnx.defs.onnx_opset_version()
        model.ir_version = 99
        with pytest.raises(ValueError, match="expected a graph that onnxruntime runs"):
            load_recogniser(saved(tmp_path, model))

    def test_the_store_compares_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agreement, "TOLERANCE", -1.0)
        file = tmp_path / "acme.onnx"
        file.write_bytes(tiny_graph())
        with pytest.raises(ValueError, match="does not read this graph"):
            ModelStore().add(file, name="acme", licence="MIT")
        assert ModelStore().names() == []

    def test_a_file_of_batch_one_is_compared_face_by_face(self, tmp_path: Path) -> None:
        model = two_convolutions([("Identity", ["b"], ["handed"], {})])
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        assert load_recogniser(saved(tmp_path, model)).embedding_size == 8


def with_norm() -> onnx.ModelProto:
    """AdaFace's and MagFace's form: the norm comes first, then the direction."""
    nodes: list[Node] = [
        POOL,
        ("Flatten", ["pooled"], ["flat"], {}),
        ("Gemm", ["flat", "matrix"], ["raw"], {}),
        ("ReduceL2", ["raw"], ["norm"], {"axes": [1]}),
        ("Div", ["raw", "norm"], ["embedding"], {}),
    ]
    return graph(nodes, {"matrix": random(192, 8)}, outputs=("norm", "embedding"))


class TestOutputs:
    def test_several_outputs_are_refused_until_one_is_named(self, tmp_path: Path) -> None:
        path = saved(tmp_path, with_norm())
        with pytest.raises(ValueError, match=r"got norm, embedding: name it \(--output NAME\)"):
            load_recogniser(path)
        recogniser = load_recogniser(path, preprocess=Preprocess(output="embedding"))
        assert recogniser.embedding_size == 8
        with pytest.raises(ValueError, match="two numbers or more"):
            load_recogniser(path, preprocess=Preprocess(output="norm"))
        with pytest.raises(ValueError, match=r"expected an output among \['norm', 'embedding'\], got 'nowhere'"):
            load_recogniser(path, preprocess=Preprocess(output="nowhere"))

    def test_the_store_remembers_the_output(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = saved(tmp_path, with_norm())
        entry = ModelStore().add(path, name="acme", licence="MIT", preprocess=Preprocess(output="embedding"))
        assert (entry.preprocess.output, ModelStore().open("acme").embedding_size) == ("embedding", 8)

    def test_what_the_named_output_does_not_need_may_be_anything(self, tmp_path: Path) -> None:
        model = with_norm()
        model.graph.node.append(helper.make_node("NonZero", ["raw"], ["places"]))
        model.graph.output.append(helper.make_tensor_value_info("places", TensorProto.INT64, None))
        recogniser = load_recogniser(saved(tmp_path, model), preprocess=Preprocess(output="embedding"))
        assert "NonZero" not in {node.op_type for node in recogniser.graph.graph.node}

    @pytest.mark.parametrize("shape", [(1, 1, 1, 8), (1, 8, 1, 1), (1, 1, 8)])
    def test_axes_of_one_around_the_embedding(self, shape: tuple[int, ...], tmp_path: Path) -> None:
        nodes = [POOL, *TAIL[:1], ("Gemm", ["flat", "matrix"], ["g"], {}), ("Reshape", ["g", "to"], ["out"], {})]
        nodes[1] = ("Flatten", ["pooled"], ["flat"], {})
        model = graph(nodes, {"matrix": random(192, 8), "to": np.array([-1, *shape[1:]])})
        recogniser = load_recogniser(saved(tmp_path, model))
        assert recogniser.embedding_size == 8
        assert recogniser(torch.from_numpy(random_faces())).shape == (4, 8)

    @pytest.mark.parametrize("columns", [0, 1])
    def test_an_embedding_of_one_number_is_refused(self, columns: int, tmp_path: Path) -> None:
        nodes = [POOL, ("Flatten", ["pooled"], ["flat"], {}), ("Gemm", ["flat", "matrix"], ["out"], {})]
        with pytest.raises(ValueError, match=r"two numbers or more|lost its rows"):
            load_recogniser(saved(tmp_path, graph(nodes, {"matrix": random(192, columns)})))

    def test_an_initialiser_as_an_output_is_no_embedding(self, tmp_path: Path) -> None:
        model = two_convolutions([("Identity", ["b"], ["handed"], {})])
        model.graph.output.append(helper.make_tensor_value_info("matrix", TensorProto.FLOAT, None))
        path = saved(tmp_path, model)
        with pytest.raises(ValueError, match="name it"):
            load_recogniser(path)
        assert load_recogniser(path, preprocess=Preprocess(output="out")).embedding_size == 8
        with pytest.raises(ValueError, match="expected a graph with nodes"):
            load_recogniser(path, preprocess=Preprocess(output="matrix"))


def half(model: onnx.ModelProto, kind: int = TensorProto.FLOAT16) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor)
            values = array.reshape(-1).tolist()
            tensor.CopyFrom(helper.make_tensor(tensor.name, kind, array.shape, values))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = kind
    return model


class TestPrecision:
    @pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
    def test_half_precision_becomes_single(self, kind: int, tmp_path: Path) -> None:
        handed: list[Node] = [("Cast", ["b"], ["d"], {"to": 1}), ("Cast", ["d"], ["handed"], {"to": kind})]
        model = half(two_convolutions(handed), kind)
        recogniser = load_recogniser(saved(tmp_path, model))
        exact = load_recogniser(saved(tmp_path, two_convolutions([("Identity", ["b"], ["handed"], {})])))
        faces = torch.from_numpy(random_faces())
        assert (recogniser(faces) * exact(faces)).sum(1).min() > 0.999
        assert {tensor.data_type for tensor in recogniser.graph.graph.initializer} == {TensorProto.FLOAT}

    def test_raw_half_precision_and_attributes(self, tmp_path: Path) -> None:
        model = half(onnx.load_from_string(tiny_graph()))
        tensor = model.graph.initializer[0]
        raw = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(raw, tensor.name))
        assert tensor.HasField("raw_data")
        assert load_recogniser(saved(tmp_path, model)).embedding_size == 16

    def test_a_false_size_of_half_precision_is_refused(self, tmp_path: Path) -> None:
        model = half(onnx.load_from_string(tiny_graph()))
        model.graph.initializer[0].dims[0] = 1 << 39
        with pytest.raises(ValueError, match="elements"):
            load_recogniser(saved(tmp_path, model))

    def test_quantised_weights_and_operators_say_what_to_do(self, tmp_path: Path) -> None:
        model = onnx.load_from_string(tiny_graph())
        model.graph.initializer.append(numpy_helper.from_array(np.ones((48, 16), np.int8), "quantised"))
        weights = saved(tmp_path, model)
        with pytest.raises(ValueError, match=r"quantised weights; .* export without quantisation"):
            load_recogniser(weights)
        model = onnx.load_from_string(tiny_graph())
        for op, domain in (("QLinearConv", ""), ("DequantizeLinear", ""), ("QGemm", "com.microsoft")):
            model.graph.node[0].op_type, model.graph.node[0].domain = op, domain
            with pytest.raises(ValueError, match=r"quantised; .* export without quantisation"):
                load_recogniser(saved(tmp_path, model))


def split_off(folder: Path, location: str = "weights.bin", **settings: int) -> Path:
    """tiny.onnx with its matrix in another file."""
    model = onnx.load_from_string(tiny_graph())
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(bytes(64) + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    given: dict[str, Any] = {"location": location, "offset": 64, "length": 48 * 16 * 4, **settings}
    for key, value in given.items():
        tensor.external_data.add(key=key, value=str(value))
    return saved(folder, model, "tiny.onnx")


class TestExternalData:
    def test_beside_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, plain = split_off(tmp_path), tmp_path / "plain.onnx"
        plain.write_bytes(tiny_graph())
        faces = torch.from_numpy(random_faces())
        expected = load_recogniser(plain)(faces)
        torch.testing.assert_close(load_recogniser(path)(faces), expected)
        ModelStore().add(path, name="acme", licence="MIT")
        (tmp_path / "weights.bin").unlink()
        torch.testing.assert_close(open_model("acme")(faces), expected)

    def test_in_a_folder_below(self, tmp_path: Path) -> None:
        path = split_off(tmp_path, "parts/weights.bin")
        (tmp_path / "parts").mkdir()
        (tmp_path / "weights.bin").rename(tmp_path / "parts" / "weights.bin")
        assert load_recogniser(path).embedding_size == 16

    @pytest.mark.parametrize(
        ("location", "settings", "words"),
        [
            ("../weights.bin", {}, "in the model's own folder"),
            ("a/../../weights.bin", {}, "in the model's own folder"),
            ("/etc/hostname", {}, "in the model's own folder"),
            ("C:\\weights.bin", {}, "in the model's own folder"),
            ("..\\weights.bin", {}, "in the model's own folder"),
            ("", {}, "in the model's own folder"),
            (".", {}, "in the model's own folder"),
            ("missing.bin", {}, "copy it there"),
            ("linked.bin", {}, "got the link"),
            ("linked/weights.bin", {}, "got the link"),
            ("pipe", {}, "which is none"),
            ("sub", {}, "copy it there|which is none"),
            ("weights.bin", {"offset": -1}, "offset and a length"),
            ("weights.bin", {"offset": "1e3"}, "offset and a length"),
            ("weights.bin", {"length": 1 << 40}, "cut off"),
            ("weights.bin", {"offset": 1 << 40}, "cut off"),
            ("weights.bin", {"length": 4}, "elements"),
            ("weights.bin", {"basepath": "/"}, "expected location, offset and length"),
        ],
    )
    def test_never_outside_its_folder(
        self, location: str, settings: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inner = tmp_path / "inner"
        (inner / "sub").mkdir(parents=True)
        path = split_off(inner, location, **settings)
        (tmp_path / "weights.bin").write_bytes((inner / "weights.bin").read_bytes())
        (inner / "linked.bin").symlink_to(inner / "weights.bin")
        (inner / "linked").symlink_to(inner)
        os.mkfifo(inner / "pipe")
        for read in (load_recogniser, lambda file: ModelStore().add(file, name="acme", licence="MIT")):
            with pytest.raises(ValueError, match=words):
                read(path)

    def test_many_tensors_of_one_place_count_each(self, tmp_path: Path) -> None:
        """A file of a kilobyte that would read a large one a thousand times."""
        path = split_off(tmp_path)
        with (tmp_path / "weights.bin").open("r+b") as file:
            file.truncate(100 << 20)
        model = onnx.load_from_string(path.read_bytes())
        for number in range(8):
            tensor = model.graph.initializer.add(name=f"more{number}", data_type=1, dims=[25 << 20])
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights.bin")
        with pytest.raises(ValueError, match=r"expected at most \d+ bytes of weights more"):
            load_recogniser(saved(tmp_path, model, "tiny.onnx"))

    def test_bytes_alone_say_that_the_path_is_wanted(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"external data: give the path"):
            read_graph(split_off(tmp_path).read_bytes())


class TestForms:
    def test_channels_last(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As tf2onnx writes them, a transposition first."""
        nodes: list[Node] = [
            ("Transpose", ["image"], ["first"], {"perm": [0, 3, 1, 2]}),
            ("AveragePool", ["first"], ["last"], {"kernel_shape": [14, 14], "strides": [14, 14]}),
            *TAIL,
        ]
        model = graph(nodes, {"matrix": random(192, 8)}, image=("batch", 112, 112, 3))
        path = saved(tmp_path, model)
        with pytest.raises(ValueError, match=r"its channels come last \(--layout NHWC\)"):
            load_recogniser(path)
        wanted = Preprocess(layout="NHWC", channels="BGR", mean=(0.1, 0.2, 0.3))
        recogniser = load_recogniser(path, preprocess=wanted)
        bgr = random_faces()[:, ::-1].transpose(0, 2, 3, 1) - np.array([0.1, 0.2, 0.3], np.float32)
        expected = rows(model, np.ascontiguousarray(bgr))
        ours = recogniser.module(torch.from_numpy(random_faces())).numpy()
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
        ModelStore().add(path, name="acme", licence="MIT", preprocess=wanted)
        assert ModelStore().open("acme").fingerprint == recogniser.fingerprint
        with pytest.raises(ValueError, match="layout NHWC: expected one input"):
            load_recogniser(saved(tmp_path, with_norm()), preprocess=Preprocess(layout="NHWC"))

    @pytest.mark.parametrize("opset", [7, 8])
    def test_the_model_zoos_arcface(self, opset: int, tmp_path: Path) -> None:
        """MXNet's export: initialisers listed as inputs, `spatial` 0 with vectors, Dropout with a mask, empty names."""
        nodes: list[Node] = [
            ("Sub", ["image", "offset"], ["minus"], {}),
            ("Conv", ["minus", "w1"], ["c1"], {"strides": [8, 8], "kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
            (
                "BatchNormalization",
                ["c1", "g", "b", "m", "v"],
                ["n1"],
                {"epsilon": 2e-5, "momentum": 0.9, "spatial": 0},
            ),
            ("PRelu", ["n1", "slope"], ["p"], {}),
            ("Dropout", ["p"], ["d", "mask"], {"ratio": 0.4}),
            ("Reshape", ["d", "to"], ["flat"], {}),
            ("Gemm", ["flat", "matrix", "bias"], ["fc"], {"transB": 1}),
            (
                "BatchNormalization",
                [
                    "fc",
                    "g8",
                    "b8",
                    "m8",
                    "v8",
                ],
                ["out"],
                {"spatial": 0, "epsilon": 2e-5},
            ),
        ]
        held = {name: random(4) for name in ("g", "b", "m")} | {name: random(8) for name in ("g8", "b8", "m8")}
        held |= {"v": np.abs(random(4)) + 1, "v8": np.abs(random(8)) + 1, "offset": np.array([0.5], np.float32)}
        held |= {"w1": random(4, 3, 3, 3), "slope": random(4, 1, 1), "matrix": random(8, 784), "bias": random(8)}
        model = graph(nodes, held | {"to": np.array([0, -1])}, opset=opset)
        model.ir_version = 3
        for name, array in held.items():
            model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
        model.graph.input.append(helper.make_tensor_value_info("to", TensorProto.INT64, [2]))
        expected_model = onnx.ModelProto()
        expected_model.CopyFrom(model)
        for node in expected_model.graph.node:
            kept = [attribute for attribute in node.attribute if attribute.name != "spatial"]
            del node.attribute[:]
            node.attribute.extend(kept)
        path = saved(tmp_path, model)
        ours = load_recogniser(path, preprocess=PLAIN).module(torch.from_numpy(random_faces())).numpy()
        np.testing.assert_allclose(ours, rows(expected_model, random_faces()), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        "level", [ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, ort.GraphOptimizationLevel.ORT_ENABLE_ALL]
    )
    def test_saved_by_onnxruntime(self, level: Any, tmp_path: Path) -> None:
        """Unused imports of other domains are nothing; nodes of them say what to do."""
        plain = saved(tmp_path, two_convolutions([("Identity", ["b"], ["handed"], {})]))
        options = ort.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 4
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        ort.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(tmp_path / "optimised.onnx")
        assert {opset.domain for opset in optimised.opset_import} - {"", "ai.onnx"}
        if {node.domain for node in optimised.graph.node} <= {"", "ai.onnx"}:
            assert load_recogniser(tmp_path / "optimised.onnx").embedding_size == 8
        else:
            with pytest.raises(ValueError, match=r"give the file that was exported.*ORT_ENABLE_BASIC"):
                load_recogniser(tmp_path / "optimised.onnx")

    @pytest.mark.parametrize("given", [["last", "indices"], ["last", ""]])
    def test_indices_that_nothing_uses(self, given: list[str], tmp_path: Path) -> None:
        nodes: list[Node] = [POOL, ("MaxPool", ["pooled"], given, {"kernel_shape": [2, 2], "strides": [2, 2]}), *TAIL]
        model = graph(nodes, {"matrix": random(48, 8)})
        assert_read_right(model, saved(tmp_path, model))

    def test_indices_that_are_used_are_refused(self, tmp_path: Path) -> None:
        nodes: list[Node] = [
            POOL,
            ("MaxPool", ["pooled"], ["last", "indices"], {"kernel_shape": [2, 2]}),
            ("Cast", ["indices"], ["numbers"], {"to": 1}),
            *TAIL,
        ]
        model = graph(nodes, {"matrix": random(147, 8)}, outputs=("out", "numbers"))
        with pytest.raises(ValueError, match="expected one output"):
            load_recogniser(saved(tmp_path, model))

    def test_empty_optional_inputs(self, tmp_path: Path) -> None:
        nodes: list[Node] = [
            POOL,
            ("Conv", ["pooled", "w", ""], ["c"], {}),
            ("Clip", ["c", "", "most"], ["k"], {}),
            ("Resize", ["k", "", "", "sizes"], ["r"], {"mode": "linear"}),
            ("Slice", ["r", "from", "to", "", "step"], ["s"], {}),
            ("Gemm", ["f", "matrix", ""], ["out"], {}),
        ]
        nodes.insert(5, ("Flatten", ["s"], ["f"], {}))
        held = {"w": random(4, 3, 3, 3), "most": np.asarray(np.float32(0.2)), "sizes": np.array([1, 4, 8, 8])}
        held |= {"from": np.zeros(4, I64), "to": np.array([1 << 40, 4, 8, 8]), "step": np.array([1, 1, 2, 1])}
        model = graph(nodes, held | {"matrix": random(128, 8)}, image=(1, 3, 112, 112))
        path = saved(tmp_path, model)
        ours = load_recogniser(path, preprocess=PLAIN).module(torch.from_numpy(random_faces())).numpy()
        expected = np.concatenate([rows(model, face[None]) for face in random_faces()])
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_an_attribute_that_is_no_number_is_refused(self, value: float, tmp_path: Path) -> None:
        nodes: list[Node] = [POOL, ("LeakyRelu", ["pooled"], ["last"], {"alpha": value}), *TAIL]
        with pytest.raises(ValueError, match=r"node 1 .*alpha"):
            load_recogniser(saved(tmp_path, graph(nodes, {"matrix": random(192, 8)})))


REFUSED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "opset 6": (lambda m: setattr(m.opset_import[0], "version", 6), "export the network again"),
    "an operator that is not run": (lambda m: setattr(m.graph.node[0], "op_type", "Loop"), "without control flow"),
    "free sides": (
        lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", 1, ["n", 3, "h", "w"])),
        "make_dynamic_shape_fixed",
    ),
    "an image of bytes": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.UINT8),
        r"UINT8.*export the network with an image of float32",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_refused_says_what_to_do(name: str, tmp_path: Path) -> None:
    change, words = REFUSED[name]
    model = onnx.load_from_string(tiny_graph())
    change(model)
    with pytest.raises(ValueError, match=words):
        load_recogniser(saved(tmp_path, model))


def test_the_random_faces_are_faces_in_range_and_always_the_same() -> None:
    faces = random_faces()
    assert faces.shape == (4, 3, 112, 112)
    assert faces.dtype == np.float32
    assert 0 <= faces.min() < faces.max() <= 1
    assert np.array_equal(faces, random_faces())

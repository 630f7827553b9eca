"""Attribute estimators: small graphs, and what stands in ../shared."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save
from torch import Tensor
from torch.nn import functional as F

from facemin.attack.attributes.deepface import ACTIONS, DeepFaceEstimator
from facemin.attack.attributes.estimators import ESTIMATORS, Attribute, OnnxEstimator, find_estimators
from facemin.runtime.inference_session import inference_session

FACES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"


def graph(path: Path, *, side: int = 56) -> Path:
    """Means of red, green and blue as probabilities, and their sum as an age."""
    shape = [None, 3, side, side]
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["colour"], axis=1),
        helper.make_node("ReduceSum", ["flat", "axis"], ["age"], keepdims=1),
    ]
    made = helper.make_graph(
        nodes,
        "estimator",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("colour", TensorProto.FLOAT, [None, 3]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, [None, 1]),
        ],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


OUTPUTS = {"age": Attribute(name="age"), "colour": Attribute(name="colour", classes=("red", "green", "blue"))}


def test_reads_what_the_graph_gives_in_the_order_wanted(tmp_path: Path) -> None:
    estimator = OnnxEstimator(graph(tmp_path / "any.onnx"), outputs=OUTPUTS)
    said = estimator(FACES)
    means = F.interpolate(FACES, size=(56, 56), mode="bilinear").mean((2, 3)) * 255
    assert list(said) == ["age", "colour"]
    torch.testing.assert_close(said["age"], means.sum(1), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(said["colour"], means.softmax(1), rtol=1e-3, atol=1e-4)
    one_by_one = [estimator(face[None]) for face in FACES]
    torch.testing.assert_close(torch.cat([row["age"] for row in one_by_one]), said["age"])


def test_passes_gradients(tmp_path: Path) -> None:
    faces = FACES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(
        OnnxEstimator(graph(tmp_path / "a.onnx"), outputs=OUTPUTS)(faces)["age"].sum(), faces
    )
    assert slope.abs().sum() > 0


def test_refuses_what_is_no_such_estimator(tmp_path: Path) -> None:
    path = graph(tmp_path / "unknown.onnx")
    with pytest.raises(
        ValueError, match=r"unknown.onnx: expected an estimator among attributes-age-gender, .* got 'unknown'"
    ):
        OnnxEstimator(path)
    with pytest.raises(ValueError, match="colour: expected 2 values a face, got shape"):
        OnnxEstimator(path, outputs={"colour": Attribute(name="colour", classes=("a", "b"))})
    assert find_estimators(tmp_path) == []


@pytest.mark.skipif(not MODELS.is_dir(), reason="needs ../shared/models")
@pytest.mark.parametrize("stem", ESTIMATORS)
def test_known_estimators_equal_onnxruntime(stem: str) -> None:
    estimator = OnnxEstimator(MODELS / f"{stem}.onnx")
    said = estimator(FACES)
    session = inference_session((MODELS / f"{stem}.onnx").read_bytes(), threads=1)
    size = session.get_inputs()[0].shape[2:]
    scaled = F.interpolate(FACES, size=tuple(size), mode="bilinear") * 255
    for output, attribute in ESTIMATORS[stem].items():
        rows = [session.run([output], {"image": image[None].numpy()})[0].reshape(-1) for image in scaled]
        np.testing.assert_allclose(said[attribute.name].reshape(3, -1).numpy(), np.stack(rows), rtol=1e-3, atol=1e-4)
        if attribute.classes:
            torch.testing.assert_close(said[attribute.name].sum(1), torch.ones(3))
    assert [one.name for one in find_estimators(MODELS)] == list(ESTIMATORS)


def test_deepface_is_asked_for_only_by_its_adapter() -> None:
    code = (
        "import sys, facemin.attack.attributes.deepface; print('deepface' in sys.modules, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_deepface_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepface", None)
    with pytest.raises(ValueError, match="deepface: expected the package to be installed"):
        DeepFaceEstimator()


def test_deepface_gets_blue_green_red_bytes_and_its_answers_are_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # the package pulls in TensorFlow, which facemin's tests do without: this answers in its documented form
    seen: list[np.ndarray] = []

    def analyze(pixels: np.ndarray, **options: object) -> list[dict[str, object]]:
        assert options["detector_backend"] == "skip"
        seen.append(pixels)
        said: dict[str, object] = {"age": 31}
        for name, attribute in ACTIONS.items():
            if attribute.classes:
                said[name] = {one: 100.0 * (place == 1) for place, one in enumerate(attribute.classes)}
        return [said]

    package, inner = types.ModuleType("deepface"), types.ModuleType("deepface.DeepFace")
    inner.analyze = analyze  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deepface", package)
    monkeypatch.setitem(sys.modules, "deepface.DeepFace", inner)
    faces = torch.zeros(2, 3, 112, 112)
    faces[:, 0] = 1.0
    said = DeepFaceEstimator()(faces)
    assert seen[0].shape == (112, 112, 3)
    assert seen[0].dtype == np.uint8
    assert seen[0][0, 0].tolist() == [0, 0, 255]
    assert said["age"].tolist() == [31, 31]
    expected: Tensor = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert torch.equal(said["gender"], expected)
    assert DeepFaceEstimator()(faces[:0])["race"].shape == (0, 6)

"""Networks as torch's two exporters write them, held to onnxruntime, gradients and cuts included."""

from functools import cache

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import bottlenecks, extract, read_graph
from facemin.runtime.inference_session import inference_session
from tests.models.networks import NETWORKS, exported

FACES = torch.rand((3, 3, 32, 32), generator=torch.Generator().manual_seed(3))


def reference(model: onnx.ModelProto, faces: Tensor) -> Tensor:
    session = inference_session(model.SerializeToString(), threads=1)
    image = session.get_inputs()[0]
    parts = torch.split(faces, 1 if image.shape[0] == 1 else len(faces))
    return torch.from_numpy(np.concatenate([session.run(None, {image.name: part.numpy()})[0] for part in parts]))


# torch's own attention has no form at opset 13; what a batch of one changes does not hang on the opset
CASES = [
    (name, opset, dynamic)
    for name in NETWORKS
    for opset in (13, 14, 17, 20, None)
    for dynamic in (True, False)
    if (name, opset) != ("torch transformer", 13) and (dynamic or opset in (17, None))
]


@cache
def model_of(name: str, opset: int | None, *, dynamic: bool = True) -> onnx.ModelProto:
    torch.manual_seed(1)
    return exported(NETWORKS[name](), opset=opset, dynamic=dynamic)


@pytest.mark.parametrize(("name", "opset", "dynamic"), CASES)
def test_equals_onnxruntime_with_its_gradient(name: str, opset: int | None, dynamic: bool) -> None:
    model = model_of(name, opset, dynamic=dynamic)
    expected = reference(model, FACES)
    module = OnnxModule(read_graph(model.SerializeToString()))
    torch.testing.assert_close(module(FACES), expected, rtol=1e-4, atol=1e-5)
    with torch.enable_grad():
        kept = module(FACES.clone().requires_grad_()).detach()
    torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-5)
    if opset in (17, None) and dynamic:
        small = FACES[:1].double().requires_grad_()
        assert torch.autograd.gradcheck(module.double(), (small,), fast_mode=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_cut_anywhere_composes_to_the_whole(name: str) -> None:
    model = read_graph(model_of(name, 17).SerializeToString())
    whole, places = OnnxModule(model)(FACES), bottlenecks(model)
    assert places
    for place in places[:-1]:
        features = OnnxModule(read_graph(extract(model, end=place.name).SerializeToString()))(FACES)
        assert tuple(features.shape[1:]) == place.shape
        rest = OnnxModule(extract(model, start=place.name, end=places[-1].name))
        torch.testing.assert_close(rest(features), whole, rtol=1e-4, atol=1e-5)

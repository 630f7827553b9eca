"""Fused convolutions: the values of the plain steps and of onnxruntime, in fewer steps, never from stale weights."""

import pickle

import numpy as np
import onnx
import pytest
import torch

from facemin.autograd.compile import fused
from facemin.autograd.compile.fused import Fused
from facemin.autograd.module import OnnxModule
from facemin.autograd.operators.conv import Conv
from tests.autograd.test_module import Builder, faces, insightface, mobile, one_by_one


def residual(*, clip: tuple[float | None, float | None] = (0.0, 6.0)) -> onnx.ModelProto:
    """A strided convolution with uneven padding, and a bottleneck as in ResNet: ReLU after the sum."""
    build = Builder(17)
    weight = build.normal(8, 3, 3, 3, scale=0.2)
    build.add("Conv", weight, strides=[2, 2], pads=[0, 0, 1, 1])
    start = build.add("Relu")
    build.conv(8, 16, 1)
    build.norm(16)
    bounds = [build.held(np.array(bound, np.float32)) if bound is not None else "" for bound in clip]
    build.add("Clip", *bounds)
    build.conv(16, 8, 3)
    build.add("Add", start)
    build.add("Relu")
    build.add("GlobalAveragePool")
    build.add("Flatten")
    return build.model(opset=13)


def shortcut() -> onnx.ModelProto:
    """Both terms of a sum are convolutions, and one of them is needed again after it."""
    build = Builder(9)
    start = build.conv(3, 4, 3)
    left = build.conv(4, 4, 3)
    right = build.conv(4, 4, 1)
    build.nodes[-1].input[0] = start
    summed = build.add("Add", left, source=right)
    build.add("Relu")
    build.add("Concat", left, source=summed, axis=1)
    return build.model()


NETWORKS = {
    "IR-SE": insightface(excite=True),
    "mobile": mobile(),
    "residual": residual(),
    "half-open clip": residual(clip=(0.0, None)),
    "shortcut": shortcut(),
}


def fused_steps(module: OnnxModule) -> list[Fused]:
    return [call.run for call in module._calls_in_place if isinstance(call.run, Fused)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("one_pass", [True, False], ids=["one pass", "plain"])
class TestEveryNetwork:
    def test_equals_onnxruntime_and_the_steps_with_a_gradient(
        self, name: str, one_pass: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not one_pass:
            monkeypatch.setattr(fused, "one_pass", lambda: False)
        module, images = OnnxModule(NETWORKS[name]), faces(NETWORKS[name], rows=5)
        kept = images.clone()
        with torch.no_grad():
            made, again = module(images), module(images)
        expected = one_by_one(NETWORKS[name], images)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        torch.testing.assert_close(made, module(images.requires_grad_()).detach(), rtol=1e-4, atol=1e-4)
        assert torch.equal(made, again)
        assert torch.equal(images, kept)

    def test_double_precision_runs_too(self, name: str, one_pass: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        if not one_pass:
            monkeypatch.setattr(fused, "one_pass", lambda: False)
        module, images = OnnxModule(NETWORKS[name]).double(), faces(NETWORKS[name]).double()
        plain = module(images.clone().requires_grad_()).detach()
        with torch.no_grad():
            torch.testing.assert_close(module(images), plain, rtol=1e-10, atol=1e-10)


def test_this_build_of_torch_runs_them_in_one_pass() -> None:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("this build of torch has no oneDNN")
    assert fused.one_pass()


def test_activations_and_sums_are_no_steps_of_their_own() -> None:
    module = OnnxModule(NETWORKS["residual"])
    first, widened, summed = fused_steps(module)
    assert first.activation.kind == "relu"
    assert widened.activation == fused.Activation(kind="hardtanh", bounds=(0.0, 6.0))
    assert summed.adds
    assert summed.overwrites
    assert summed.activation.kind == "relu"
    assert len(module._calls_in_place) == len(["conv", "conv", "conv", "pool", "flatten"])
    assert not any(isinstance(call.run, Fused) for call in module._calls)
    assert sum(isinstance(call.run, Conv) for call in module._calls) == 3


def test_a_term_that_is_needed_again_is_neither_fused_nor_overwritten() -> None:
    steps = fused_steps(OnnxModule(NETWORKS["shortcut"]))
    assert sum(step.adds for step in steps) == 1
    assert not any(step.overwrites for step in steps)


def test_a_clip_with_one_bound_stays_a_step_of_its_own() -> None:
    kinds = [step.activation.kind for step in fused_steps(OnnxModule(NETWORKS["half-open clip"]))]
    assert kinds == ["relu", "none", "relu"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pixel_that_is_no_number_shows_in_the_result(value: float) -> None:
    module, images = OnnxModule(NETWORKS["residual"]), faces(NETWORKS["residual"])
    images[1, 0, 8, 8] = value
    with torch.no_grad():
        made = module(images)
    expected = module(images.requires_grad_()).detach()
    torch.testing.assert_close(made, expected, equal_nan=True)
    assert not made[1].isfinite().all()
    assert made[[0, 2]].isfinite().all()


class TestPackedWeights:
    def test_weights_loaded_later_are_used(self) -> None:
        module, images = OnnxModule(NETWORKS["residual"]), faces(NETWORKS["residual"])
        with torch.no_grad():
            before = module(images)
            module.load_state_dict({name: 2 * tensor for name, tensor in module.state_dict().items()})
            after = module(images)
        assert not torch.allclose(after, before)
        torch.testing.assert_close(after, module(images.requires_grad_()).detach(), rtol=1e-4, atol=1e-4)

    def test_a_cast_changes_the_weights_used(self) -> None:
        module, images = OnnxModule(NETWORKS["mobile"]), faces(NETWORKS["mobile"])
        with torch.no_grad():
            single = module(images)
            torch.testing.assert_close(module.double()(images.double()).float(), single, rtol=1e-4, atol=1e-4)
            assert torch.equal(module.float()(images), single)

    def test_a_copy_carries_none(self) -> None:
        module, images = OnnxModule(NETWORKS["mobile"]), faces(NETWORKS["mobile"])
        fresh = len(pickle.dumps(module))
        with torch.no_grad():
            made = module(images)
            data = pickle.dumps(module)
            assert len(data) == fresh
            assert torch.equal(pickle.loads(data)(images), made)

    def test_large_weights_are_not_kept_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept_twice = len(OnnxModule(NETWORKS["mobile"])._packable)
        monkeypatch.setattr(fused, "LARGEST_PACKED", 4 * 8 * 3 * 3 * 3 - 1)
        assert 0 < len(OnnxModule(NETWORKS["mobile"])._packable) < kept_twice

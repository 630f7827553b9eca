"""Perceptual distance: by hand, again in float64 NumPy, and against a real network's own graph."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from facemin.metrics import feature_distance
from facemin.runtime.inference_session import inference_session

SHAPES = [(3, 8, 6, 5), (3, 16, 3, 2), (3, 4, 1, 1)]


def features(seed: int, *, batch: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, *shape[1:], generator=generator) for shape in SHAPES]


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(9)
    return [torch.rand(shape[1], generator=generator) for shape in SHAPES]


def test_by_hand() -> None:
    # Two channels, two places. At the first the vectors are orthogonal, at the second alike but for their length.
    a = torch.tensor([[3.0, 1.0], [0.0, 1.0]]).view(1, 2, 1, 2)
    b = torch.tensor([[0.0, 5.0], [2.0, 5.0]]).view(1, 2, 1, 2)
    assert feature_distance([a], [b]).item() == pytest.approx((2 + 0) / 2)
    assert feature_distance([a], [b], weights=[torch.tensor([0.25, 2.0])]).item() == pytest.approx((0.25 + 2) / 2)
    assert feature_distance([a, a], [b, b]).item() == pytest.approx(2)
    assert feature_distance([a], [-a]).item() == pytest.approx(4)
    assert feature_distance([a], [7 * a]).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_numpy_place_by_place(weighted: bool) -> None:
    a, b = features(0), features(1)
    expected = np.zeros(3)
    for x, y, w in zip(a, b, weights(), strict=True):
        n, _, height, width = x.shape
        for image, row, column in np.ndindex(n, height, width):
            u, v = (each[image, :, row, column].double().numpy() for each in (x, y))
            difference = (u / np.linalg.norm(u) - v / np.linalg.norm(v)) ** 2
            scale = w.double().numpy() if weighted else 1.0
            expected[image] += (difference * scale).sum() / (height * width)
    measured = feature_distance(a, b, weights=weights() if weighted else None)
    assert measured.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_one_reference_serves_every_image() -> None:
    a, b = features(0), features(1, batch=1)
    spread = [each.expand(3, -1, -1, -1) for each in b]
    torch.testing.assert_close(feature_distance(a, b), feature_distance(a, spread))


def test_gradients() -> None:
    a, b = ([each.double().requires_grad_() for each in features(seed)] for seed in (0, 1))
    scales = [each.double().requires_grad_() for each in weights()]
    assert torch.autograd.gradcheck(lambda *xs: feature_distance(xs[:3], xs[3:6], weights=xs[6:]), (*a, *b, *scales))


def test_places_without_any_feature_have_a_finite_gradient() -> None:
    dark = torch.zeros(1, 4, 2, 2, requires_grad=True)
    lit = torch.ones(1, 4, 2, 2, requires_grad=True)
    value = feature_distance([dark], [lit])
    assert value.item() == pytest.approx(1)
    at_dark, at_lit = torch.autograd.grad(value.sum(), [dark, lit])
    assert torch.equal(at_dark, torch.zeros_like(at_dark))
    assert bool(at_lit.isfinite().all())


def test_agrees_with_a_real_network_that_ends_in_this_distance(shared: Path) -> None:
    """The graph's own distance, from features taken out of the same graph just before it."""
    model = onnx.load(shared / "models" / "perceptual-squeezenet.onnx")
    maker = {output: node for node in model.graph.node for output in node.output}
    constants = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in model.graph.initializer}
    names: tuple[list[str], list[str]] = ([], [])
    scales = []
    for weighted in (node for node in model.graph.node if node.op_type == "Mul"):
        difference = maker[maker[weighted.input[0]].input[0]]
        for side, unit in zip(names, difference.input, strict=True):
            side.append(maker[unit].input[0])
        scales.append(constants[weighted.input[1]].flatten())
    assert len(scales) == 7
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in (*names[0], *names[1]))
    session = inference_session(model.SerializeToString(), threads=1)
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (2, 3, 112, 112)).astype(np.float32)
    reference = np.clip(images + draw.normal(0, [[[[9]]], [[[60]]]], images.shape), 0, 255).astype(np.float32)
    expected, *maps = session.run(["distance", *names[0], *names[1]], {"image": images, "reference": reference})
    tensors = [torch.from_numpy(each) for each in maps]
    measured = feature_distance(tensors[:7], tensors[7:], weights=scales)
    assert float(expected.min()) > 1e-3
    assert measured.tolist() == pytest.approx(expected.ravel().tolist(), rel=1e-4)


A, B = features(0), features(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feature_distance([], []), "at least one, got 0, 0, none"),
        (lambda: feature_distance(A, B[:2]), "as many layers in each, .* got 3, 2, none"),
        (lambda: feature_distance(A, B, weights=weights()[:1]), "got 3, 3, 1"),
        (lambda: feature_distance([A[0][0]], [B[0][0]]), r"images\[0\]: expected \(B, C, H, W\)"),
        (lambda: feature_distance([A[0], A[1][:2]], B[:2]), r"images\[1\]: expected \(3, C, H, W\)"),
        (lambda: feature_distance(A[:1], B[1:2]), r"reference\[0\]: expected \(3, 8, 6, 5\) or 1"),
        (lambda: feature_distance(A[:1], [B[0][:2]]), r"reference\[0\]: .* got \(2, 8, 6, 5\)"),
        (lambda: feature_distance(A[:1], [B[0].double()]), "one floating type"),
        (lambda: feature_distance(A[:1], [B[0] * math.nan]), "finite features, got others in 3 of 3"),
        (lambda: feature_distance(A[:1], B[:1], weights=[torch.ones(7)]), r"weights\[0\]: expected \(8,\)"),
        (lambda: feature_distance(A[:1], B[:1], weights=[-torch.ones(8)]), r"weights\[0\]: .* none negative"),
        (lambda: feature_distance(A[:1], B[:1], weights=[torch.full((8,), math.inf)]), r"weights\[0\]: .* finite"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

"""Training of one-pass protectors: decoder, targets, operations, schedule, and the fit's effect."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import checker

from facemin.autograd.module import OnnxModule
from facemin.keys.key import Key
from facemin.protection.one_pass.decoder_graph import DecoderSize, decoder_graph, weight_shapes
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.runtime.inference_session import inference_session
from facemin.train.one_pass.decoder import SIZES, Decoder
from facemin.train.one_pass.evaluate import cosines
from facemin.train.one_pass.fit import LOG, PROTECTOR, RECORD, STATE, fit_protector
from facemin.train.one_pass.loop import Fit, chequered, sphere, visible_difference
from facemin.train.one_pass.operations import OPERATIONS, TrainingOperations
from facemin.train.one_pass.target_network import TargetNetwork, without_first_stride
from tests.train.one_pass.conftest import DIMENSIONS, SETTINGS, TINY, graph


def decoder(size: DecoderSize = TINY, seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    made = Decoder(target=DIMENSIONS, noise=4, size=size)
    # away from its initial values, so that every weight counts
    for weight in made.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return made.eval()


def codes(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return sphere(count, DIMENSIONS, rng), torch.from_numpy(rng.standard_normal((count, 4), dtype=np.float32))


@pytest.mark.parametrize("size", [TINY, DecoderSize(widths=(32, 16, 8, 4), blocks=(2, 1, 1, 1), style=8, layers=3)])
def test_export_equals_the_decoder(size: DecoderSize) -> None:
    made, (targets, noise) = decoder(size), codes(3)
    exported = made.to_graph()
    checker.check_model(exported, full_check=True)
    session = inference_session(exported.SerializeToString(), threads=1)
    (images,) = session.run(None, {"target": targets.numpy(), "noise": noise.numpy()})
    with torch.no_grad():
        expected = made(targets, noise)
    assert images.shape == (3, 3, 112, 112)
    assert np.abs(images - expected.numpy()).max() < 1e-3
    assert expected.std() > 0.01


def test_sizes_have_about_one_four_and_nine_million_parameters() -> None:
    counts = [
        sum(np.prod(shape) for shape in weight_shapes(size, target=64, noise=32).values()) for size in SIZES.values()
    ]
    assert [round(float(count) / 1e6) for count in counts] == [1, 4, 10]


def test_weights_beyond_float16_are_refused() -> None:
    shapes = weight_shapes(TINY, target=DIMENSIONS, noise=4)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=r"finite weights within float16, got others in dense\.bias"):
        decoder_graph(TINY, weights | {"dense.bias": weights["dense.bias"] + 1e6}, target=DIMENSIONS, noise=4)
    with pytest.raises(ValueError, match=r"exactly its weights, got others or none for dense\.bias"):
        decoder_graph(
            TINY, {name: value for name, value in weights.items() if name != "dense.bias"}, target=DIMENSIONS, noise=4
        )


@pytest.mark.parametrize("stride", [1, 2])
def test_first_convolution_without_stride_is_the_same_function(stride: int) -> None:
    model = graph(stride=stride)
    changed = without_first_stride(model)
    assert (changed is not model) == (stride == 2)
    images = torch.rand(2, 3, 112, 112)
    assert torch.allclose(OnnxModule(changed)(images), OnnxModule(model)(images), atol=1e-5)


def test_target_network_gives_unit_vectors_and_gradients() -> None:
    network = TargetNetwork(graph())
    images = torch.rand(2, 3, 112, 112, requires_grad=True)
    places = network(images)
    expected = torch.nn.functional.normalize(OnnxModule(graph())(images))
    assert torch.allclose(places, expected, atol=1e-5)
    (gradient,) = torch.autograd.grad(places[:, 0].sum(), images)
    assert gradient.abs().sum() > 0
    rounded = TargetNetwork(graph(), precision=torch.bfloat16)(images)
    assert rounded.dtype == torch.float32
    assert (rounded * places).sum(1).min() > 0.99


def test_targets_are_uniform_on_the_sphere() -> None:
    points = sphere(4000, DIMENSIONS, np.random.default_rng(0))
    assert torch.allclose(points.norm(dim=1), torch.ones(4000), atol=1e-5)
    assert points.mean(0).abs().max() < 0.03
    assert torch.allclose(points.T @ points / 4000, torch.eye(DIMENSIONS) / DIMENSIONS, atol=0.01)


def operations(values: dict[str, Any]) -> TrainingOperations:
    """With no operation drawn but those given."""
    return TrainingOperations(**({name.replace("-", "_"): 0.0 for name in OPERATIONS} | values))


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_changes_images_and_passes_gradients(name: str) -> None:
    alone = operations({name.replace("-", "_"): 1.0, "second": 0.0, "twice": 1.0})
    coarse = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, size=(112, 112), mode="bilinear").requires_grad_()
    changed = alone(images, np.random.default_rng(0), 1.0)
    assert changed.shape == images.shape
    assert torch.equal(changed, images) == (name == "none")
    (gradient,) = torch.autograd.grad(changed.sum(), images)
    assert bool((gradient.abs().sum((1, 2, 3)) > 0).all())
    again = alone(images, np.random.default_rng(0), 1.0)
    assert torch.equal(changed, again)
    # a beginning of a training has to be near the plain image
    weak = alone(images, np.random.default_rng(0), 0.0)
    assert (weak - images).abs().mean() < max(0.3 * (changed - images).abs().mean().item(), 0.01)


def test_operations_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"blur_sigma: expected in \[0\.6, 8\], got 9"):
        TrainingOperations(blur_sigma=9)
    with pytest.raises(ValueError, match="at least one operation"):
        operations({})


def test_rate_rises_stays_and_falls() -> None:
    settings = replace(SETTINGS, steps=100, warmup=10, annealed=0.4, rate=1.0, final=0.1)
    rates = [settings.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[9:60]) == {1.0}
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    # the averaged weights forget the first ones
    assert settings.averaging_at(0) == 0.5
    assert settings.averaging_at(10**6) == settings.averaging


def test_twenty_steps_bring_images_nearer_to_their_targets(key: Key, tmp_path: Path) -> None:
    network = TargetNetwork(graph())
    before = Fit.start(SETTINGS, key=key.manifest.sha256, dimensions=DIMENSIONS, device=torch.device("cpu"))
    first = cosines(before.averaged, network, seed=1, count=32)
    seen: list[int] = []
    done = fit_protector(
        key,
        SETTINGS,
        folder=tmp_path,
        device="cpu",
        precision="float32",
        evaluated=32,
        on_step=lambda run, cosine: seen.append(run.step),
    )
    assert seen == list(range(1, 21))
    assert done.finished
    found = done.record["cosines"]
    assert found["none"] > first["none"] + 0.2
    assert found.keys() == first.keys()
    assert all(np.isfinite(list(found.values())))
    assert json.loads((tmp_path / RECORD).read_text()) == json.loads(json.dumps(done.record))
    assert ProtectorFile.load(tmp_path / PROTECTOR).manifest.space == key.manifest.sha256
    assert done.record["targets"] == 160
    assert str(tmp_path) not in json.dumps(done.record)
    (line,) = [json.loads(text) for text in (tmp_path / LOG).read_text().splitlines()]
    assert line["step"] == 20
    assert -1 <= line["cosine"] <= 1


def test_a_run_that_was_stopped_ends_as_one_that_was_not(key: Key, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=6)
    whole = fit_protector(key, settings, folder=tmp_path / "a", device="cpu", precision="float32", evaluated=8)
    steps: list[int] = []
    stopped = fit_protector(
        key,
        settings,
        folder=tmp_path / "b",
        device="cpu",
        precision="float32",
        evaluated=8,
        on_step=lambda run, cosine: steps.append(run.step),
        stop=lambda: len(steps) == 3,
    )
    assert stopped.step == 3
    assert not stopped.finished
    assert not (tmp_path / "b" / RECORD).exists()
    resumed = fit_protector(key, settings, folder=tmp_path / "b", device="cpu", precision="float32", evaluated=8)
    assert resumed.finished
    assert resumed.protector.manifest.sha256 == whole.protector.manifest.sha256


def test_a_run_of_other_settings_or_another_key_is_not_gone_on_with(key: Key, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=1)
    fit_protector(key, settings, folder=tmp_path, device="cpu", precision="float32", evaluated=8)
    with pytest.raises(ValueError, match=r"expected a run with the same settings, got another batch, rate"):
        fit_protector(key, replace(settings, batch=4, rate=1e-3), folder=tmp_path, device="cpu", evaluated=8)
    longer = fit_protector(key, replace(settings, steps=2), folder=tmp_path, device="cpu", evaluated=8)
    assert longer.step == 2
    run = Fit.start(settings, key="0" * 64, dimensions=DIMENSIONS, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="expected a run for the key with the graph 0000"):
        run.resume(tmp_path / STATE)
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(ValueError, match="expected the state of a training run"):
        fit_protector(key, settings, folder=tmp_path, device="cpu", evaluated=8)


def test_weights_that_are_not_finite_are_not_saved(key: Key, tmp_path: Path) -> None:
    run = Fit.start(SETTINGS, key="0" * 64, dimensions=DIMENSIONS, device=torch.device("cpu"))
    run.save(tmp_path / STATE)
    whole = (tmp_path / STATE).read_bytes()
    next(run.decoder.parameters()).data[0] = float("nan")
    with pytest.raises(ValueError, match="expected finite weights"):
        run.save(tmp_path / STATE)
    assert (tmp_path / STATE).read_bytes() == whole


def test_a_run_begins_from_another_ones_weights(key: Key, tmp_path: Path) -> None:
    first = replace(SETTINGS, steps=2)
    fit_protector(key, first, folder=tmp_path / "a", device="cpu", precision="float32", evaluated=8)
    second = replace(first, rate=1e-8, warmup=0, seed=1)
    done = fit_protector(
        key,
        second,
        folder=tmp_path / "b",
        begin_from=tmp_path / "a" / STATE,
        device="cpu",
        precision="float32",
        evaluated=8,
    )
    states = [torch.load(tmp_path / name / STATE, weights_only=True) for name in "ab"]
    for name, weight in states[0]["weights"].items():
        assert torch.allclose(states[1]["weights"][name], weight, atol=1e-5), name
    (earlier,) = done.record["earlier"]
    assert earlier["course"] == first.course()
    assert earlier["step"] == 2
    assert done.protector.manifest.recipe["earlier"] == [earlier]
    other = replace(second, size=replace(TINY, style=8))
    with pytest.raises(ValueError, match="another size or noise"):
        fit_protector(key, other, folder=tmp_path / "c", begin_from=tmp_path / "a" / STATE, device="cpu")


def test_difference_counts_what_an_eye_sees_in_the_middle() -> None:
    grey = torch.full((2, 3, 56, 56), 0.5)
    lighter, border, checks = grey + 0.2, grey.clone(), grey.clone()
    border[:, :, :12] += 0.2
    checks[:, :, ::2, ::2] += 0.2
    checks[:, :, 1::2, 1::2] += 0.2
    checks[:, :, ::2, 1::2] -= 0.2
    checks[:, :, 1::2, ::2] -= 0.2
    assert visible_difference(grey, lighter).tolist() == pytest.approx([0.2, 0.2], abs=1e-3)
    assert visible_difference(grey, border).tolist() == pytest.approx([0, 0], abs=2e-3)
    assert visible_difference(grey, checks).tolist() == pytest.approx([0, 0], abs=2e-3)
    assert chequered(checks).item() == pytest.approx(0.04)
    assert chequered(lighter).item() == pytest.approx(0, abs=1e-9)
    slope = torch.linspace(0, 1, 56).expand(1, 3, 56, 56)
    assert chequered(slope).item() == pytest.approx(0, abs=1e-9)


def test_two_noises_paint_different_images_where_that_is_wanted(key: Key, tmp_path: Path) -> None:
    def difference(weight: float) -> float:
        settings = replace(SETTINGS, steps=12, diversity=0.3, diversity_weight=weight)
        done = fit_protector(
            key, settings, folder=tmp_path / str(weight), device="cpu", precision="float32", evaluated=16
        )
        return float(done.record["cosines"]["difference"])

    assert difference(10.0) > difference(0.0) + 0.02

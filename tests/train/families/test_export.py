"""Every family as an ONNX graph: the same function, readable cuts, nothing lost."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import onnx
import pytest
import torch
from torch import Tensor, nn

from facemin.autograd.module import OnnxModule
from facemin.models import Recogniser
from facemin.models.onnx.graph import read_graph
from facemin.runtime.inference_session import inference_session
from facemin.train.families import FAMILIES, mobilenet, resnet50, sphereface20, stages
from facemin.train.families.export import LAYERS, to_graph
from tests.pictures import smooth_faces


def blobs(count: int, seed: int) -> Tensor:
    """Noise would look the same to a network that takes means."""
    return smooth_faces(count, cells=6, generator=torch.Generator().manual_seed(seed), mode="bilinear")


FACES = blobs(2, 5)


def trained(network: nn.Sequential) -> nn.Sequential:
    """With statistics of real values and every weight its own, so that no wrong wiring goes unseen."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.7, 1.3, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            elif isinstance(module, nn.PReLU):
                module.weight.uniform_(0.1, 0.4, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.2, generator=generator)
        network.train()(blobs(16, 9))
    return network


def reference(network: nn.Module, faces: Tensor) -> Tensor:
    with torch.no_grad():
        rows: Tensor = network.eval()(faces)
    return rows


def assert_same(network: nn.Module, faces: Tensor, *found: Tensor) -> None:
    """Each within 1e-5 of the largest value and what single precision costs the module itself.

    With random weights, rounding grows from layer to layer: torch's own single and double precision differ by up to
    5e-5 of the largest value here.
    """
    expected = reference(network, faces)
    exact = reference(copy.deepcopy(network).double(), faces.double())
    rounding = float((expected - exact).abs().max())
    assert rounding < 1e-4 * float(expected.abs().max())
    for rows in found:
        torch.testing.assert_close(rows, expected, atol=1e-5 * float(expected.abs().max()) + 4 * rounding, rtol=0)


def run(graph: onnx.ModelProto, faces: Tensor) -> Tensor:
    session = inference_session(graph.SerializeToString(), threads=1)
    return torch.from_numpy(session.run(None, {"faces": faces.numpy()})[0])


MAKE: dict[str, Callable[[], nn.Sequential]] = {
    **{name: partial(make, width=1 / 8, embedding_size=32) for name, make in FAMILIES.items()},
    "mobilefacenet at full width": FAMILIES["mobilefacenet"],
    "sphereface20 of 112 x 96": partial(sphereface20, width=1 / 4, input_size=(112, 96)),
    "resnet50 as published": partial(resnet50, width=1 / 8, faces=False, embedding_size=32),
    "mobilenet as published": partial(mobilenet, width=1 / 4, faces=False, embedding_size=32),
}


def build(name: str) -> nn.Sequential:
    torch.manual_seed(3)
    return trained(MAKE[name]())


class Trial(NamedTuple):
    network: nn.Sequential
    graph: onnx.ModelProto
    recogniser: Recogniser


@pytest.fixture(scope="module", params=MAKE)
def trial(request: pytest.FixtureRequest) -> Trial:
    network = build(request.param)
    graph = to_graph(network.train(), name="trial")
    assert network.training
    return Trial(network, graph, Recogniser(graph, name="trial"))


class TestEveryFamily:
    def test_graph_computes_what_the_module_computes(self, trial: Trial) -> None:
        onnx.checker.check_model(trial.graph, full_check=True)
        read_graph(trial.graph.SerializeToString())
        assert 0.1 < float(reference(trial.network, FACES).std()) < 10
        assert_same(trial.network, FACES, OnnxModule(trial.graph)(FACES), run(trial.graph, FACES))

    def test_every_stage_is_a_cut(self, trial: Trial) -> None:
        names = [cut.name for cut in trial.recogniser.cuts]
        assert [name for name in names if name in stages(trial.network)] == list(stages(trial.network))
        value = FACES[:1]
        for stage, module in trial.network.eval().named_children():
            with torch.no_grad():
                value = module(value)
            assert trial.recogniser.cut(stage).shape == value.shape[1:]

    def test_recogniser_splits_at_a_stage(self, trial: Trial) -> None:
        place = len(trial.network) // 2
        middle = stages(trial.network)[place]
        features = trial.recogniser.front(middle)(FACES)
        assert_same(trial.network[: place + 1], FACES, features)
        rows = trial.recogniser.head(middle)(features)
        torch.testing.assert_close(rows, trial.recogniser(FACES), atol=1e-5, rtol=0)

    def test_last_cut_counts_the_modules_weights(self, trial: Trial) -> None:
        held = sum(value.numel() for value in trial.network.state_dict().values() if value.is_floating_point())
        constants = 2  # the scale's
        assert trial.recogniser.cuts[-1].name == "embedding"
        assert trial.recogniser.cuts[-1].parameters == held + constants


def test_graph_is_the_same_each_time_and_holds_copies() -> None:
    network = build("mobilefacenet")
    first = to_graph(network)
    before = first.SerializeToString()
    assert to_graph(network).SerializeToString() == before
    with torch.no_grad():
        next(network.parameters()).zero_()
    assert first.SerializeToString() == before


def test_weights_in_double_precision_are_exported_in_single() -> None:
    network = build("sphereface20")
    single = to_graph(network)
    assert to_graph(network.double()).SerializeToString() == single.SerializeToString()


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Doubled(), "inner.odd: expected a layer that facemin exports, got Doubled"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "inner.odd: .*padded by zeros"),
        (nn.Conv2d(3, 3, 3, padding="same"), "inner.odd: .*padded by zeros"),
        (nn.BatchNorm2d(3, affine=False), "inner.odd: .*stored statistics, without .*weight"),
        (nn.BatchNorm2d(3, track_running_stats=False), "inner.odd: .*stored statistics, without .*running_mean"),
        (nn.AdaptiveAvgPool2d(2), "inner.odd: .*one pixel"),
        (nn.MaxPool2d(3, ceil_mode=True), "inner.odd: .*ceil_mode"),
        (nn.Flatten(0), "inner.odd: .*one row a face"),
    ],
)
def test_refuses_what_it_cannot_write(layer: nn.Module, words: str) -> None:
    inner = nn.Sequential()
    inner.add_module("odd", layer)
    network = nn.Sequential()
    network.add_module("inner", inner)
    with pytest.raises(ValueError, match=words):
        to_graph(network)


def test_refuses_other_modules_and_weights_that_are_not_finite() -> None:
    for module in (Doubled(), nn.Sequential()):
        with pytest.raises(ValueError, match=r"expected an nn\.Sequential of named stages"):
            to_graph(module)
    network = FAMILIES["mobilefacenet"](width=1 / 16)
    with torch.no_grad():
        network.get_parameter("conv2.prelu.weight")[1] = float("nan")
    with pytest.raises(ValueError, match=r"conv2\.prelu\.weight: expected finite weights"):
        to_graph(network)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0)),
        nn.Conv2d(3, 6, (3, 5), stride=(1, 2), padding=(0, 2), dilation=(2, 1), groups=3),
        nn.PReLU(),
        nn.PReLU(3),
        nn.Sigmoid(),
        nn.Identity(),
        nn.Dropout(0.9),
    ],
    ids=repr,
)
def test_layers_with_unequal_sides(layer: nn.Module) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), layer, nn.Flatten()).eval()
    graph = to_graph(network)
    faces = FACES - 0.5
    assert_same(network, faces, OnnxModule(graph)(faces), run(graph, faces))


def test_every_kind_of_layer_is_written_in_some_family() -> None:
    with torch.device("meta"):
        used = {type(module) for make in MAKE.values() for module in make().modules()}
    assert set(LAYERS) <= used | {nn.Identity}

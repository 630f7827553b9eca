"""The native families: their papers' counts, their shapes, and what all of them promise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facemin.train.families import FAMILIES, iresnet, mobilefacenet, mobilenet, resnet50, sphereface20, stages
from facemin.train.families.layers import CentreCrop, Residual, Scale, SqueezeExcite


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def published(build: Callable[..., nn.Sequential], **settings: object) -> nn.Sequential:
    """At full size, without memory or time."""
    with torch.device("meta"):
        return build(**settings)


def multiplications(network: nn.Sequential, side: int) -> int:
    """Multiply-accumulates of convolutions and matrices for one image: outputs times weights an output."""
    total = 0

    def count(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, Tensor)
        total += output.numel() * layer.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.eval()(torch.empty(1, 3, side, side, device="meta"))
    return total


class TestPublishedCounts:
    """All counts are of learnt parameters: BN's factor and offset count, its running mean and variance do not."""

    def test_mobilefacenet(self) -> None:
        # Chen et al. 2018: 0.99 million and 4.0 MB, 128-d matrix included. The paper does not say how BN counts: to
        # 0.99 it rounds where each BN is one bias, as in the deployed network; with both of BN's it is 1.00 million.
        network = published(mobilefacenet)
        normalised = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
        assert parameters(network) == 1_003_136
        assert parameters(network) - normalised == 993_344
        assert sum(p.numel() for p in network.parameters() if p.dim() > 1) == 976_000
        # 221 million multiply-adds, as SeesawFaceNets (arXiv 1908.09124), section 1, counts it
        assert round(multiplications(network, 112) / 1e6) == 221

    @pytest.mark.parametrize(("depth", "millions"), [(34, 34.129), (100, 65.132)])
    def test_iresnet(self, depth: int, millions: float) -> None:
        # the ArcFace authors' LResNet34E-IR and LResNet100E-IR as OpenVINO's model zoo counts them, with the 512-d
        # embedding; BN is partly folded away there, so ours has a few thousand more
        count = parameters(published(iresnet, depth=depth))
        assert millions * 1e6 < count < millions * 1e6 * 1.001

    @pytest.mark.parametrize(("depth", "gflops"), [(34, 8.934), (100, 24.2115)])
    def test_iresnet_operations(self, depth: int, gflops: float) -> None:
        # the same source; it counts a multiply-accumulate as two, and small layers that we leave out
        counted = 2 * multiplications(published(iresnet, depth=depth), 112) / 1e9
        assert gflops * 0.998 < counted < gflops

    def test_ir50_by_hand(self) -> None:
        def unit(fan_in: int, fan_out: int, first: bool) -> int:
            weights = 9 * fan_in * fan_out + 9 * fan_out * fan_out
            normalisations, prelu = 2 * fan_in + 2 * fan_out + 2 * fan_out, fan_out
            shortcut = fan_in * fan_out + 2 * fan_out if first else 0
            return weights + normalisations + prelu + shortcut

        total = 3 * 64 * 9 + 2 * 64 + 64
        for fan_in, fan_out, units in ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3)):
            total += unit(fan_in, fan_out, True) + (units - 1) * unit(fan_out, fan_out, False)
        total += 2 * 512 + 512 * 7 * 7 * 512 + 512 + 2 * 512
        assert total == 43_590_848
        assert parameters(published(FAMILIES["ir50"])) == total

    def test_squeeze_excite_adds_two_matrices_a_unit(self) -> None:
        added = sum(units * 2 * c * c // 16 for c, units in ((64, 3), (128, 4), (256, 14), (512, 3)))
        plain, gated = (parameters(published(FAMILIES[name])) for name in ("ir50", "irse50"))
        assert gated - plain == added

    def test_resnet50(self) -> None:
        # 25.56 million is what everyone counts for He et al. 2015's network, classifier for 1000 included; the paper
        # itself says 3.8 billion multiply-adds (table 1)
        network = published(resnet50, embedding_size=1000, faces=False)
        assert parameters(network) == 25_557_032
        assert 3.8e9 <= multiplications(network, 224) < 3.9e9

    def test_mobilenet(self) -> None:
        # Howard et al. 2017, table 4: 4.2 million parameters, 569 million multiply-adds, classifier included
        network = published(mobilenet, embedding_size=1000, faces=False)
        assert parameters(network) == 4_231_976
        assert round(parameters(network) / 1e6, 1) == 4.2
        assert round(multiplications(network, 224) / 1e6) == 569

    @pytest.mark.parametrize("width", [0.75, 0.5, 0.25])
    def test_mobilenet_narrow(self, width: float) -> None:
        # table 6: 2.6, 1.3 and 0.5 million; 325, 149 and 41 million multiply-adds
        millions, operations = {0.75: (2.6, 325), 0.5: (1.3, 149), 0.25: (0.5, 41)}[width]
        network = published(mobilenet, embedding_size=1000, faces=False, width=width)
        assert round(parameters(network) / 1e6, 1) == millions
        assert round(multiplications(network, 224) / 1e6) == operations

    @pytest.mark.parametrize("size", [(112, 112), (112, 96)])
    def test_sphereface20(self, size: tuple[int, int]) -> None:
        # Liu et al. 2017 state no count; by hand from table 2, with PReLU's slopes, the embedding's matrix, and
        # biases outside residual units only
        total, before = 0, 3
        for channels, units in ((64, 1), (128, 2), (256, 4), (512, 1)):
            total += 9 * before * channels + 2 * channels
            total += units * 2 * (9 * channels * channels + channels)
            before = channels
        total += 512 * (size[0] // 16) * (size[1] // 16) * 512 + 512
        network = published(sphereface20, input_size=size)
        assert parameters(network) == total
        assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 20


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("mobilefacenet", {"conv1": (64, 56, 56), "bottleneck1_5": (64, 28, 28), "bottleneck3_6": (128, 14, 14)}),
        (
            "ir50",
            {"stem": (64, 112, 112), "block1_3": (64, 56, 56), "block2_1": (128, 28, 28), "block4_3": (512, 7, 7)},
        ),
        ("resnet50", {"conv1": (64, 112, 112), "conv2_3": (256, 56, 56), "conv5_3": (2048, 7, 7), "pooled": (2048,)}),
        ("mobilenet", {"conv1": (32, 112, 112), "separable6": (512, 14, 14), "separable13": (1024, 7, 7)}),
        (
            "sphereface20",
            {"conv1": (64, 56, 56), "res2_2": (128, 28, 28), "res3_4": (256, 14, 14), "res4_1": (512, 7, 7)},
        ),
    ],
)
def test_stages_have_the_papers_sizes(name: str, places: dict[str, tuple[int, ...]]) -> None:
    network = published(FAMILIES[name]).eval()
    value, shapes = torch.empty(1, 3, 112, 112, device="meta"), {}
    for stage, module in network.named_children():
        value = module(value)
        shapes[stage] = tuple(value.shape[1:])
    assert {stage: shapes[stage] for stage in places} == places
    assert tuple(shapes) == stages(network)
    assert shapes["embedding"] == (128 if name == "mobilefacenet" else 512,)


def test_improved_residual_unit_is_in_arcfaces_order() -> None:
    unit = published(FAMILIES["ir50"]).get_submodule("block2_2.body")
    kinds = [nn.BatchNorm2d, nn.Conv2d, nn.BatchNorm2d, nn.PReLU, nn.Conv2d, nn.BatchNorm2d]
    assert [type(module) for module in unit.children()] == kinds


@pytest.mark.parametrize("name", FAMILIES)
class TestEveryFamily:
    def test_embeds_faces(self, name: str) -> None:
        network = FAMILIES[name](embedding_size=24, width=1 / 16)
        rows = network(torch.rand(2, 3, 112, 112))
        assert rows.shape == (2, 24)
        assert bool(rows.isfinite().all())

    def test_every_weight_learns(self, name: str) -> None:
        torch.manual_seed(0)
        network = FAMILIES[name](embedding_size=8, width=1 / 16)
        faces = torch.rand(4, 3, 112, 112)
        (network(faces) * torch.randn(4, 8)).sum().backward()
        still = [path for path, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
        # PReLU passes nothing on where all it sees is positive, so a few slopes may rest; no other weight does
        assert not [path for path in still if "prelu" not in path]

    def test_signal_keeps_its_size_when_training_begins(self, name: str) -> None:
        torch.manual_seed(0)
        network = FAMILIES[name](width=1 / 4)
        value = torch.rand(4, 3, 112, 112)
        with torch.no_grad():
            for module in network.children():
                value = module(value)
                assert 1e-3 < float(value.std()) < 1e2

    def test_state_holds_weights_alone(self, name: str) -> None:
        names = set(FAMILIES[name](width=1 / 16).state_dict())
        assert not [path for path in names if path.startswith(("scaled", "cropped"))]

    @pytest.mark.parametrize(
        ("setting", "value"), [("width", 0.0), ("width", float("nan")), ("width", 5.0), ("embedding_size", 0)]
    )
    def test_refuses_settings_out_of_range(self, name: str, setting: str, value: float) -> None:
        with pytest.raises(ValueError, match=rf"{setting}: expected .*got {value}"):
            FAMILIES[name](**{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("depth", 51), ("dropout", 1.0), ("dropout", -0.1)])
def test_iresnet_refuses_settings_out_of_range(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{setting}: expected .*got {value}"):
        iresnet(**{setting: value})  # type: ignore[arg-type]


def test_scale_is_spherefaces() -> None:
    levels = torch.tensor([0.0, 127.5, 255.0])
    torch.testing.assert_close(Scale()(levels / 255), (levels - 127.5) / 128)
    assert Scale().double().factor.dtype == torch.float64


def test_centre_crop_takes_eight_columns_off_each_side() -> None:
    faces = torch.arange(112.0).expand(1, 3, 112, 112)
    cropped = CentreCrop((112, 96))(faces)
    assert cropped.shape == (1, 3, 112, 96)
    assert (float(cropped[0, 0, 0, 0]), float(cropped[0, 0, 0, -1])) == (8.0, 103.0)
    for size in ((112, 95), (114, 96), (0, 96)):
        with pytest.raises(ValueError, match="input_size"):
            sphereface20(input_size=size)


def test_narrow_sphereface_does_not_see_the_outer_columns() -> None:
    network = sphereface20(width=1 / 16, input_size=(112, 96)).eval()
    faces = torch.rand(1, 3, 112, 112)
    other = faces.clone()
    other[..., :8] = other[..., -8:] = 0
    assert torch.equal(network(faces), network(other))
    other[..., 8] = 0
    assert not torch.equal(network(faces), network(other))


def test_residual_and_squeeze_excite_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    assert torch.equal(Residual(nn.ReLU())(-x), -x)
    assert torch.equal(Residual(nn.ReLU(), nn.ReLU())(x), 2 * x)
    layer = SqueezeExcite(2)
    convolutions = [module for module in layer.modules() if isinstance(module, nn.Conv2d)]
    nn.init.constant_(convolutions[0].weight, 1.0)
    with torch.no_grad():
        convolutions[1].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    # the means are 1.5 and 3.5, so the hidden unit is 5
    gates = torch.tensor([5.0, -5.0]).sigmoid().view(1, 2, 1, 1)
    torch.testing.assert_close(layer(x), x * gates)

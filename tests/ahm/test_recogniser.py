"""The network of masked faces: shapes, what it refuses, and the contract of a recogniser around it."""

import pytest
import torch
from torch.nn import functional as F

from facemin.ahm.masking.mask import choose_channels, make_mask, measure_statistics
from facemin.ahm.recogniser import MaskedRecogniser, masked_resnet
from facemin.train.families.layers import LAST_SIDE
from tests.pictures import smooth_faces


@pytest.mark.parametrize("side", [7, 14, 28, 56])
def test_every_side_comes_to_seven_by_the_last_groups(side: int) -> None:
    network = masked_resnet((5, side, side), embedding_size=6, widths=(4, 6, 8)).eval()
    seen: list[int] = []
    features = torch.randn(2, 5, side, side)
    for name, stage in network.named_children():
        if name == "embedding":
            assert features.shape[2] == LAST_SIDE
        features = stage(features)
        seen.append(features.shape[-1])
    assert features.shape == (2, 6)
    assert seen[:3] == sorted(seen[:3], reverse=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (5, 112, 112)}, "widths"),
        ({"shape": (5, 30, 30)}, "30"),
        ({"dropout": 1.0}, "dropout"),
        ({"widths": (4, 0, 8)}, "widths"),
        ({"embedding_size": 0}, "embedding_size"),
    ],
)
def test_refuses(changes: dict[str, object], words: str) -> None:
    settings: dict[str, object] = {"embedding_size": 6, "widths": (4, 6, 8), "dropout": 0.1} | changes
    shape = settings.pop("shape", (5, 28, 28))
    with pytest.raises(ValueError, match=words):
        masked_resnet(shape, **settings)  # type: ignore[arg-type]


def test_recogniser_is_mask_and_network_and_stays_as_it_is() -> None:
    faces = smooth_faces(3, cells=9, generator=torch.Generator().manual_seed(0), mode="bilinear")
    statistics = measure_statistics([faces], every=4)
    mask = make_mask(choose_channels("zigzag", statistics, kept=2), statistics, secret=1, every=4)
    network = masked_resnet(mask.shape, embedding_size=6, widths=(4, 8))
    recogniser = MaskedRecogniser(mask, network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    faces.requires_grad_()
    rows = recogniser.train()(faces)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows, F.normalize(network.eval()(mask(faces))))
    (gradient,) = torch.autograd.grad(rows[:, 0].sum(), faces)
    assert float(gradient.abs().sum()) > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(weight.requires_grad for weight in recogniser.parameters())

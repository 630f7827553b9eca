"""The training module: families with heads, losses, weight decay, mirroring and memory layout."""

import pytest
import torch
from torch import nn

from facemin.train.config import Head, Model, Optimiser
from facemin.train.families import FAMILIES
from facemin.train.training_module import TrainingModule, build, faces_of, layout, make_optimiser


def trainee(**model: object) -> TrainingModule:
    settings = {"family": "mobilefacenet", "width": 0.0625, **model}
    return TrainingModule(Model.model_validate(settings), Head(kind="arcface"), classes=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_fits_every_family(family: str) -> None:
    found = trainee(family=family, embedding_size=24)
    assert found.head.weight.shape == (5, 24)
    assert found.training
    assert trainee(family=family).head.weight.shape[1] in (128, 512)


def test_the_loss_is_the_heads_mean() -> None:
    torch.manual_seed(0)
    found = trainee().eval()
    faces, labels = torch.rand(4, 3, 112, 112), torch.tensor([0, 1, 4, 4])
    losses = found.head(found.network(faces), labels)
    assert torch.equal(found(faces, labels), losses.mean())


def test_refuses_a_setting_that_the_family_does_not_take() -> None:
    with pytest.raises(ValueError, match=r"model: expected settings that mobilefacenet takes, got .*dropout"):
        build(Model(family="mobilefacenet", dropout=0.1))


def test_decay_may_leave_out_what_has_one_dimension() -> None:
    found = trainee()
    groups = make_optimiser(found, Optimiser(rate=0.1, weight_decay=0.01, decay_all=False)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    spared = {id(weight) for weight in groups[1]["params"]}
    for module in found.modules():
        own = {id(weight) for weight in module.parameters(recurse=False)}
        assert own <= spared or not own & spared
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.PReLU) == bool(own & spared)
    assert len(make_optimiser(found, Optimiser(rate=0.1)).param_groups) == 1


def test_faces_are_mirrored_where_asked() -> None:
    pixels = torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8)
    faces = faces_of(pixels, torch.tensor([True, False, True]), memory_format=torch.channels_last)
    expected = torch.stack([pixels[0].flip(2), pixels[1], pixels[2].flip(2)]).float() / 255
    assert torch.equal(faces, expected)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"family": "mobilefacenet", "width": 0.0625}, torch.channels_last),
        ({"family": "ir18", "width": 0.25}, torch.channels_last),
        ({"family": "ir18", "width": 0.125}, torch.contiguous_format),
    ],
    ids=str,
)
def test_layout_keeps_clear_of_what_corrupts_memory(model: dict[str, object], expected: torch.memory_format) -> None:
    assert layout(build(Model.model_validate(model))) == expected

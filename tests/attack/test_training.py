"""Training on pairs: what is kept, what is refused, and that an interruption changes no bit."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facemin.attack.datasets import HeldPairs
from facemin.attack.training import Epoch, Fitting, batch_of, fit, weights_drawn_from

SETTINGS = Fitting(epochs=4, batch=4, rate=1e-2, flip=True)


def net(seed: int = 0) -> nn.Module:
    return weights_drawn_from(
        seed, lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
    )


def pairs(count: int = 10, seed: int = 0) -> HeldPairs:
    images = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return HeldPairs(images, 1 - images)


def error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean((1, 2, 3))


def likeness(outputs: Tensor, targets: Tensor) -> Tensor:
    return -error(outputs, targets)


def trained(network: nn.Module, *, settings: Fitting = SETTINGS, **options: object) -> dict[str, Tensor]:
    fit(network, pairs(), settings=settings, loss=error, score=likeness, **options)  # type: ignore[arg-type]
    return network.state_dict()


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_learns_and_tells() -> None:
    told: list[Epoch] = []
    settings = Fitting(epochs=60, batch=5, rate=2e-2)
    network = net()
    trained(network, settings=settings, on_epoch=told.append, validation=pairs(4, seed=1))
    assert [epoch.done for epoch in told] == list(range(1, 61))
    assert told[-1].loss < 0.2 * told[0].loss
    assert told[-1].best == max(epoch.score for epoch in told)
    assert not network.training


def test_same_seed_same_bits_and_another_another() -> None:
    assert equal(trained(net()), trained(net()))
    assert not equal(trained(net()), trained(net(), settings=Fitting(epochs=4, batch=4, rate=1e-2, seed=1)))


@pytest.mark.parametrize("at", [1, 3])
def test_resumed_is_bit_equal(tmp_path: Path, at: int) -> None:
    whole = trained(net(), validation=pairs(4, seed=1))
    path = tmp_path / "run" / "checkpoint.pt"
    asked = iter([False] * (at - 1) + [True])
    trained(net(), validation=pairs(4, seed=1), checkpoint=path, stop=lambda: next(asked))
    told: list[Epoch] = []
    resumed = trained(net(), validation=pairs(4, seed=1), checkpoint=path, on_epoch=told.append)
    assert [epoch.done for epoch in told] == list(range(at + 1, 5))
    assert equal(whole, resumed)
    assert not [file for file in path.parent.iterdir() if file != path]


def test_finished_checkpoint_gives_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    first = trained(net(), checkpoint=path)
    assert equal(first, trained(net(), checkpoint=path))


def test_keeps_the_best_epoch_for_the_attacker() -> None:
    seen: list[dict[str, Tensor]] = []
    network = net()
    scores = iter([0.1, 0.9, 0.5, 0.3])

    def score(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append({name: weight.clone() for name, weight in network.state_dict().items()})
        return torch.full((len(outputs),), next(scores))

    fit(network, pairs(), settings=SETTINGS, loss=error, score=score, validation=pairs(4))
    assert equal(network.state_dict(), seen[1])


def test_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    trained(net())
    assert torch.equal(before, torch.get_rng_state())


def test_bytes_stand_for_the_unit_range() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8)
    inputs, targets = batch_of(HeldPairs(image[None], image.float()[None] / 255), [0], torch.device("cpu"))
    torch.testing.assert_close(inputs, torch.tensor([[0, 0.2, 1]]))
    torch.testing.assert_close(targets, inputs)


def test_refuses_a_checkpoint_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trained(net(), checkpoint=path)
    for network, settings in ((net(1), SETTINGS), (net(), Fitting(epochs=5, batch=4, rate=1e-2))):
        with pytest.raises(ValueError, match="same data, settings and network"):
            trained(network, settings=settings, checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"], ids=["empty", "text"])
def test_refuses_a_damaged_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: expected a checkpoint of an attack's training"):
        trained(net(), checkpoint=path)


def test_refuses_a_loss_that_is_not_finite() -> None:
    with pytest.raises(ValueError, match="epoch 1: expected a finite loss, got nan"):
        fit(net(), pairs(), settings=SETTINGS, loss=lambda a, b: error(a, b) * math.nan, score=likeness)


def test_refuses_a_single_pair() -> None:
    with pytest.raises(ValueError, match="at least 2 to train on, got 1"):
        fit(net(), pairs(1), settings=SETTINGS, loss=error, score=likeness)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": math.nan}, {"decay": -1.0}])
def test_refuses_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fitting(**wrong)  # type: ignore[arg-type]


def test_pairs_refuse_two_lengths() -> None:
    with pytest.raises(ValueError, match="expected 2, one an input, got 3"):
        HeldPairs(torch.zeros(2, 3, 8, 8), torch.zeros(3, 3, 8, 8))

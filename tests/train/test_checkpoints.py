"""Training checkpoints: read back bit by bit, or refused."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facemin.train.checkpoints import Checkpoint, read_checkpoint, restore

COURSE: dict[str, Any] = {"seed": 1, "data": {"held_out": [3, 4]}, "head": {"kind": "arcface"}}


def network() -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(4, 3)).square().sum().backward()
    optimiser.step()
    return module, optimiser


def checkpoint(**changes: Any) -> Checkpoint:
    module, optimiser = network()
    fields: dict[str, Any] = {
        "step": 7,
        "course": COURSE,
        "data": "abc",
        "weights": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "loss": 1 / 3,
        "seconds": 2.5,
    }
    return Checkpoint(**(fields | changes))


def test_what_is_written_is_read_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint().write(path)
    found = read_checkpoint(path, course=COURSE, data="abc")
    assert (found.step, found.loss, found.seconds) == (7, 1 / 3, 2.5)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimiser = torch.optim.SGD(module.parameters(), lr=0.5, momentum=0.9)
    restore(found, module, optimiser, name="x")
    before, momentum = network()
    for name, weight in before.state_dict().items():
        assert torch.equal(module.state_dict()[name], weight)
    for old, new in zip(momentum.state.values(), optimiser.state.values(), strict=True):
        assert torch.equal(old["momentum_buffer"], new["momentum_buffer"])


@pytest.mark.parametrize(
    ("course", "data", "said"),
    [
        (COURSE | {"seed": 2}, "abc", "another seed"),
        (COURSE | {"data": {"held_out": [3, 5]}}, "abc", r"another data\.held_out"),
        (COURSE | {"head": {"kind": "arcface", "margin": 1}}, "abc", r"another head\.margin"),
        ({"seed": 1}, "abc", r"another data\.held_out, head\.kind"),
        (COURSE, "abd", "same faces and people"),
    ],
)
def test_refuses_another_run(tmp_path: Path, course: dict[str, Any], data: str, said: str) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint().write(path)
    with pytest.raises(ValueError, match=rf"checkpoint\.pt: expected .*{said}"):
        read_checkpoint(path, course=course, data=data)


class Call:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("called"),)


@pytest.mark.parametrize("kind", ["truncated", "empty", "hostile", "foreign", "later version"])
def test_refuses_a_damaged_or_hostile_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    checkpoint().write(path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "hostile":
        path.write_bytes(pickle.dumps({"version": 1, "step": Call()}))
    elif kind == "foreign":
        torch.save({"state_dict": {}}, path)
    else:
        torch.save({"version": 2}, path)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: expected a checkpoint of a training run"):
        read_checkpoint(path, course=COURSE, data="abc")
    assert not (tmp_path / "called").exists()


def test_refuses_weights_of_another_network(tmp_path: Path) -> None:
    other = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="x: expected this run's weights"):
        restore(checkpoint(), other, torch.optim.SGD(other.parameters(), lr=0.1), name="x")


def test_never_writes_weights_that_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    weights = {"linear": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match=r"step 7: expected finite weights.*linear; a lower optimiser\.rate"):
        checkpoint(weights=weights).write(path)
    assert not path.exists()

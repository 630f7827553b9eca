"""Foreign checkpoints: what PyTorch wrote is read, what was made to harm is refused quickly and with flat memory."""

import io
import os
import pickle
import resource
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facemin.train.families.pytorch_checkpoint import PICKLE_BYTES, fit, read_checkpoint


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4))


def saved(path: Path, value: Any, *, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_as_people_save_them(tmp_path: Path, zipped: bool) -> None:
    state = network().state_dict()
    parallel = OrderedDict((f"module.{key}", value) for key, value in state.items())
    optimiser = torch.optim.SGD(network().parameters(), lr=0.1, momentum=0.9).state_dict()
    parameters = dict(network().named_parameters())
    for number, value in enumerate(
        (state, parallel, {"state_dict": parallel, "epoch": 3, "optimizer": optimiser, "loss": 0.5}, {"model": state})
    ):
        assert same(read_checkpoint(saved(tmp_path / f"{number}.pt", value, zipped=zipped)), dict(state))
    found = read_checkpoint(saved(tmp_path / "parameters.pt", parameters, zipped=zipped))
    assert same(found, {key: value.detach() for key, value in parameters.items()})


def test_tensors_that_share_memory_become_whole_ones(tmp_path: Path) -> None:
    weights = torch.arange(12.0).view(3, 4)
    found = read_checkpoint(saved(tmp_path / "a.pt", {"a": weights, "b": weights[1], "c": weights.T}))
    assert same(found, {"a": weights, "b": weights[1], "c": weights.T})
    assert all(value.is_contiguous() for value in found.values())
    found["a"].zero_()
    assert torch.equal(found["b"], weights[1])


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def archive(path: Path, payload: bytes, *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", payload)
        file.writestr("archive/version", b"3\n")
    return path


def legacy(path: Path, payload: bytes) -> Path:
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    path.write_bytes(head + payload + pickle.dumps([], 2))
    return path


def huge() -> bytes:
    """A float tensor of 2^40 elements that lie on a storage of one."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    with zipfile.ZipFile(buffer) as file:
        payload = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    shape = b"K\x01\x85q"
    assert payload.count(shape) >= 1
    return payload.replace(shape, b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85q")


HOSTILE = {
    "a call": pickle.dumps(Call(os.system, "touch pwned"), 2),
    "a new-style call": pickle.dumps(Call(os.system, "touch pwned"), 4),
    "eval": pickle.dumps({"a": Call(eval, "open('pwned', 'w')")}, 2),
    "a gigabyte array": pickle.dumps({"a": Call(bytearray, 2**34)}, 2),
    "a huge tensor": pickle.dumps({"a": Call(torch.Tensor, 2**20, 2**20)}, 2),
    "no dict": pickle.dumps([1, 2, 3], 2),
    "no tensors": pickle.dumps({"a": 1}, 2),
    "empty": pickle.dumps({}, 2),
    "long": pickle.dumps({"a": "x" * PICKLE_BYTES}, 2),
    "many opcodes": b"\x80\x02" + b"N0" * (PICKLE_BYTES // 2 - 8) + b"N.",
    "cut off": pickle.dumps({"a": 1}, 2)[:-3],
    "nothing": b"",
}


@pytest.mark.parametrize("form", [archive, legacy], ids=["archive", "legacy"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickles_are_refused_quickly(kind: str, form: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = form(tmp_path / "hostile.pt", HOSTILE[kind])
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError, match=r"hostile\.pt: expected a PyTorch checkpoint"):
        read_checkpoint(path)
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert not (tmp_path / "pwned").exists()


def test_archives_that_lie_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lies.pt"
    good = saved(tmp_path / "good.pt", network().state_dict()).read_bytes()
    bomb = archive(path, b"\x80\x02" + b"N0" * 5_000_000 + b"N.", compression=zipfile.ZIP_DEFLATED).read_bytes()
    for data in (b"", b"PK", b"garbage" * 100, bomb, good + b"behind", b"before" + good, good[:-22] + bytes(22)):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"lies\.pt"):
            read_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "missing.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_no_part_of_a_checkpoint_is_taken_for_the_whole(tmp_path: Path, zipped: bool) -> None:
    good = saved(tmp_path / "good.pt", network().state_dict(), zipped=zipped).read_bytes()
    path = tmp_path / "part.pt"
    for length in range(0, len(good), 97):
        path.write_bytes(good[:length])
        with pytest.raises(ValueError, match=r"part\.pt"):
            read_checkpoint(path)


def test_a_declared_size_beyond_the_file_costs_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, buffer)
    path = tmp_path / "huge.pt"
    path.write_bytes(buffer.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="1099511627776 elements"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", huge())
        file.writestr("archive/version", b"3\n")
        file.writestr("archive/data/0", bytes(4))
    with pytest.raises(ValueError, match=r"huge\.pt"):
        read_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor([1.0, float("nan")]), "not finite"),
        (torch.eye(2).to_sparse(), "_rebuild_sparse_tensor"),
    ],
)
def test_only_dense_finite_tensors(tmp_path: Path, value: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_checkpoint(saved(tmp_path / "a.pt", {"a": value}))


def test_weights_have_to_fit_exactly() -> None:
    module, state = network(), network().state_dict()
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    fit(module, {key: value + 1 for key, value in state.items() if key not in counters}, name="m")
    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"] + 1)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    changed = {key: value for key, value in state.items() if key != "2.weight"}
    changed |= {"head.weight": torch.ones(2), "0.bias": torch.ones(5)}
    with pytest.raises(
        ValueError, match=r"^m: .*missing \(1\) 2\.weight; unexpected \(1\) head\.weight; shape \(1\) 0"
    ):
        fit(module, changed, name="m")
    with pytest.raises(ValueError, match=r"unexpected \(9\) a0, a1, a2, a3, a4 and 4 more"):
        fit(module, state | {f"a{number}": torch.ones(1) for number in range(9)}, name="m")
    assert same(module.state_dict(), before)

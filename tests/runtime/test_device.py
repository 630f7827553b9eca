"""Choosing a device."""

import pytest
import torch

from facemin.runtime.compute import Precision
from facemin.runtime.device import choose_device, choose_precision, describe


def test_auto_takes_the_best_there_is() -> None:
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99", ""])
def test_refuses_what_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        choose_device(name)


def test_precision_is_the_one_asked_for() -> None:
    for device in (torch.device("cpu"), torch.device("cuda:0"), torch.device("mps")):
        assert choose_precision("float32", device) == torch.float32
        assert choose_precision("bfloat16", device) == torch.bfloat16


@pytest.mark.parametrize(("amx", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(
    amx: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert choose_precision("auto", torch.device("cpu")) == expected
    assert choose_precision("auto", torch.device("mps")) == torch.float32


def test_auto_is_float32_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert choose_precision("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)]
)
def test_auto_on_a_gpu_follows_its_capability(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda:0")) == expected


@pytest.mark.parametrize("name", ["float16", "", "BFLOAT16"])
def test_refuses_another_precision(name: Precision) -> None:
    with pytest.raises(ValueError, match=f"precision: .*{name!r}"):
        choose_precision(name, torch.device("cpu"))


def test_description_names_the_device() -> None:
    assert describe(torch.device("cpu")).startswith("cpu (")

"""Choosing a device."""

import pytest
import torch

from facemin.device import choose_device, describe


def test_auto_takes_the_best_there_is() -> None:
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99", ""])
def test_refuses_what_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match="device"):
        choose_device(name)


def test_description_names_the_device() -> None:
    assert describe(torch.device("cpu")).startswith("cpu (")

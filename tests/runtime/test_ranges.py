"""Ranges of settings: what lies in them, and what a refusal says."""

from dataclasses import dataclass
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from facemin.runtime.ranges import ranges


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, 1)": "share", "(0, inf)": "rate", "integer [1, inf)": "count", "(-inf, inf)": "mean"})
class Settings:
    share: float = 0.5
    rate: float = 1.0
    count: int = 3
    mean: float = 0.0


@pytest.mark.parametrize(
    "given",
    [
        {"share": 0},
        {"share": 0.99},
        {"rate": 1e-9},
        {"count": 1},
        {"mean": -1e9},
        {"count": np.int64(2)},
        {"rate": np.float32(2)},
    ],
)
def test_what_lies_in_its_range_is_taken(given: dict[str, Any]) -> None:
    assert Settings(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"share": 1}, "Settings share: expected in [0, 1), got 1"),
        ({"share": -0.1}, "Settings share: expected in [0, 1), got -0.1"),
        ({"share": nan}, "Settings share: expected in [0, 1), got nan"),
        ({"rate": 0}, "Settings rate: expected a finite number above 0, got 0"),
        ({"rate": inf}, "Settings rate: expected a finite number above 0, got inf"),
        ({"count": 0}, "Settings count: expected an integer of at least 1, got 0"),
        ({"count": 1.5}, "Settings count: expected an integer of at least 1, got 1.5"),
        ({"count": "3"}, "Settings count: expected an integer of at least 1, got '3'"),
        ({"rate": None}, "Settings rate: expected a finite number above 0, got None"),
        ({"mean": inf}, "Settings mean: expected a finite number, got inf"),
        ({"rate": "1"}, "Settings rate: expected a finite number above 0, got '1'"),
        ({"share": None}, "Settings share: expected in [0, 1), got None"),
    ],
)
def test_what_lies_outside_is_refused_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        Settings(**given)
    assert str(refused.value) == said

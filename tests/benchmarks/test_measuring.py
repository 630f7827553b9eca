"""Parts that benchmarks share: interleaved medians, a process's memory, records."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/measuring.py`, which its scripts import from beside them."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    monkeypatch.delitem(sys.modules, "measuring", raising=False)
    import measuring

    return measuring


def test_works_take_turns_and_warm_up_rounds_do_not_count(
    measuring: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    seconds = iter([(9.0, 9.0), (9.0, 9.0), (1.0, 0.1), (5.0, 0.5), (3.0, 0.3), (6.0, 0.4), (2.0, 0.2), (7.0, 0.6)])

    def timed(work: object) -> tuple[float, float]:
        assert callable(work)
        work()
        return next(seconds)

    monkeypatch.setattr(measuring, "timed", timed)
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    assert measuring.medians(works, rounds=3) == {"a": (2.0, 0.2), "b": (6.0, 0.5)}
    assert calls == ["a", "b"] * 4


def test_a_share_is_of_both_clocks(measuring: ModuleType) -> None:
    assert measuring.Spent(8.0, 4.0).per(4) == (2.0, 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_has_a_peak_no_lower_than_what_is_held(measuring: ModuleType) -> None:
    # what is held first: it may grow from one look to the next
    held = measuring.mebibytes("VmRSS")
    assert measuring.mebibytes("VmHWM") >= held > 10
    with pytest.raises(RuntimeError, match="expected VmNone"):
        measuring.mebibytes("VmNone")


def test_a_record_holds_rows_load_and_conditions(measuring: ModuleType, tmp_path: Path) -> None:
    measuring.write_record(tmp_path / "r.json", "facemin test 1", [{"value": 1}], more=2)
    record = json.loads((tmp_path / "r.json").read_text())
    assert (record["format"], record["rows"], record["more"]) == ("facemin test 1", [{"value": 1}], 2)
    assert len(record["load"]) == 3
    assert {"commit", "versions", "hardware"} <= set(record)
    measuring.write_record(None, "facemin test 1", [])
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]

"""Core-hours: each run once, and what states no time named."""

import json
from pathlib import Path
from typing import Any

import pytest

from facemin.experiments.store.core_hours import Spending, hours_by_folder, spendings, stated_times
from facemin.experiments.store.documents import read_documents
from tests.conftest import REPOSITORY


def write(folder: Path, name: str, *records: Any) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def spent_in(folder: Path) -> tuple[Spending, ...]:
    return spendings(read_documents(folder))


def test_images_that_experiments_share_count_once(tmp_path: Path) -> None:
    shared = {"cell": "a", "spent": {"steps": [40], "seconds": 84.10031275899928}}
    write(tmp_path, "pmt/table3.jsonl", shared, {"cell": "b", "spent": {"seconds": 10.000001}})
    write(tmp_path, "pmt/table4.jsonl", shared)
    assert spent_in(tmp_path) == (
        Spending("pmt/table3.jsonl", 84.10031275899928 + 10.000001, stated=True),
        Spending("pmt/table4.jsonl", 0.0, stated=True),
    )


def test_a_training_that_several_records_judge_counts_once(tmp_path: Path) -> None:
    write(tmp_path, "attacks/table6.jsonl", *({"row": row, "seconds": 116.6889527530002} for row in "abc"))
    assert spent_in(tmp_path)[0].seconds == 116.6889527530002


def test_a_training_whose_rows_state_their_own_time_with_it_counts_once(tmp_path: Path) -> None:
    trained = {"column": "black box", "keyed": "a", "cut": "end", "settings": {"fitting": {"epochs": 3}}, "commit": "1"}
    rows = [
        trained | {"row": row, "seconds": 620.0593500109972 + more}
        for row, more in zip("abc", (0, 0.1, 0.2), strict=True)
    ]
    other = trained | {"row": "a", "keyed": "b", "seconds": 680.5216193249944}
    white = [{"column": "white box", "settings": {"steps": 3}, "seconds": seconds} for seconds in (47.5537, 47.0703)]
    write(tmp_path, "attacks/table6.jsonl", *rows, other, *white)
    expected = 620.0593500109972 + 0.2 + 680.5216193249944 + 47.5537 + 47.0703
    assert spent_in(tmp_path)[0].seconds == pytest.approx(expected)
    # the same again is another run
    write(tmp_path, "attacks/table6.jsonl", *rows, trained | {"row": "a", "seconds": 600.123456})
    assert spent_in(tmp_path)[0].seconds == pytest.approx(620.0593500109972 + 0.2 + 600.123456)


def test_two_runs_of_the_same_rounded_time_both_count(tmp_path: Path) -> None:
    write(tmp_path, "ahm/settled.jsonl", {"seed": 0, "seconds": 36.5}, {"seed": 1, "seconds": 36.5})
    assert spent_in(tmp_path)[0].seconds == 73.0


def test_a_log_counts_by_its_last_line_and_its_sum_not_again(tmp_path: Path) -> None:
    write(tmp_path, "one_pass/fit-log-1.jsonl", {"seconds": 18.8}, {"seconds": 34.7})
    write(tmp_path, "one_pass/fit.json", {"seconds": 34.7, "earlier": []})
    assert spent_in(tmp_path) == (Spending("one_pass/fit-log-1.jsonl", 34.7, stated=True),)


def test_what_states_no_time_is_there_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "attacks/table8.jsonl", {"row": "plain", "seconds": None, "n": 104})
    write(tmp_path, "pmt/table3.header.json", {"name": "table3", "seconds": 5})
    assert spent_in(tmp_path) == (Spending("attacks/table8.jsonl", 0, stated=False),)
    assert hours_by_folder(spent_in(tmp_path)) == {}


@pytest.mark.parametrize(
    ("record", "times"),
    [
        ({"run": {"seconds": 200.5}, "log": [{"seconds": 10.0}, {"seconds": 200.5}]}, [(200.5,)]),
        ({"white box": {"seconds": 2.5}, "shown": {"seconds": 1}, "n": 24}, [(2.5,), (1.0,)]),
        ({"seconds": 9.0, "rows": [{"seconds": 4.0}, {"seconds": 5.0}]}, [(9.0,)]),
        ({"fit_seconds": [1.5, 2.5], "people": 2}, [(1.5, 2.5)]),
        ({"CPU minutes": 14.5}, [(870.0,)]),
        ({"rows": [{"seconds": 6011.4, "processor_seconds": 897.0}]}, [(897.0,)]),
        ({"arguments": {"minutes": 9.0, "seconds": 3.0}, "settings": {"second": 0.25}}, []),
    ],
)
def test_times_are_found_wherever_a_record_states_them(record: Any, times: list[tuple[float, ...]]) -> None:
    assert list(stated_times(record)) == times


def test_of_the_repository_each_distinct_time_of_pmt_counts_once() -> None:
    times = {
        json.loads(line)["spent"]["seconds"]
        for file in (REPOSITORY / "results" / "pmt").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    found = [one for one in spent_in(REPOSITORY / "results" / "pmt") if one.file.endswith(".jsonl")]
    assert sum(one.seconds for one in found) == pytest.approx(sum(times))

"""Training logs: rewound to a step, a torn last line forgotten."""

from pathlib import Path

import pytest

from facemin.train import log


def test_rewinds_to_a_step_and_forgets_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for step in (0, 1, 1, 2, 3):
        log.append(path, {"step": step, "loss": step / 3})
    with path.open("a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in log.read(path)] == [0, 1, 1, 2, 3]
    log.rewind(path, 2)
    assert log.read(path) == [{"step": step, "loss": step / 3} for step in (0, 1, 1, 2)]
    log.rewind(path, -1)
    assert log.read(path) == []


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert log.read(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize("line", ["[]\n", "{}\n", "{\n", '{"step": "1"}\n'])
def test_refuses_a_foreign_file(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n' + line)
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2: expected a JSON object with a step"):
        log.read(path)

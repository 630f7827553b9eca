"""Protected images that cells share: what is used again, and what is not."""

from pathlib import Path

import pytest

from facemin.evaluation import provenance
from facemin.experiments import Place, Record, read_experiment, read_records, run
from facemin.experiments.store.kept import read_kept
from tests.experiments.conftest import TOML

CLEAN = provenance.CodeState("a" * 40, False)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def measured(world: Path, kept: Path, out: Path, text: str) -> list[Record]:
    file = world / "kept.toml"
    file.write_text(text)
    place = Place("faces", world / "faces", None, None)
    done = run(
        read_experiment(file), name=out.name, place=place, models=world / "models", out=out, device="cpu", kept=kept
    )
    return read_records(done.file)


def at(monkeypatch: pytest.MonkeyPatch, code: provenance.CodeState) -> None:
    monkeypatch.setattr(provenance, "code_state", lambda: code)


def test_a_second_file_takes_them_from_there(
    world: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, CLEAN)
    first = measured(world, kept, tmp_path / "first", TOML)
    assert len(list(kept.iterdir())) == 2
    # other operations, other judges: the images are the same, and so is what they cost
    second = measured(world, kept, tmp_path / "second", TOML.replace('"blur-1", "jpeg-75"', '"blur-2"'))
    assert [record.spent for record in second] == [record.spent for record in first]
    assert [record.protected["two"]["none"] for record in second] == [
        record.protected["two"]["none"] for record in first
    ]
    assert second[0].identity != first[0].identity


def test_others_are_made_anew(world: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, CLEAN)
    measured(world, kept, tmp_path / "first", TOML)
    measured(world, kept, tmp_path / "second", TOML.replace("steps = 8", "steps = 9"))
    assert len(list(kept.iterdir())) == 3
    measured(world, kept, tmp_path / "third", TOML.replace("genuine = 6", "genuine = 5", 1))
    assert len(list(kept.iterdir())) == 5
    at(monkeypatch, provenance.CodeState("b" * 40, False))
    measured(world, kept, tmp_path / "fourth", TOML)
    assert len(list(kept.iterdir())) == 7


@pytest.mark.parametrize("code", [provenance.CodeState("a" * 40, True), provenance.CodeState(None, None)])
def test_of_changed_code_nothing_is_kept(
    world: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: provenance.CodeState
) -> None:
    at(monkeypatch, code)
    measured(world, kept, tmp_path / "first", TOML)
    assert not kept.exists()


def test_a_damaged_file_is_named(kept: Path) -> None:
    kept.mkdir()
    (kept / "x.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"x\.safetensors: expected protected images"):
        read_kept(kept, "x")
    assert read_kept(kept, "y") is None

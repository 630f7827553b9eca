"""audit, end to end: one photo, photos with what they became, people in folders."""

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.conftest import Call, Run
from tests.pictures import encode_tensor


@pytest.fixture
def photo(photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photos / "one.png", folder / "me.png")
    return folder


def cpu_seconds() -> float:
    """Of the processes that were started here and have ended: unlike the clock's, no busy machine makes them more."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@pytest.mark.long
def test_quick_look_at_one_photo(facemin: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = cpu_seconds()
    done = facemin("audit", photo / "me.png", "--quick", "--minutes", 0.7, "--seed", 1, "--out", "audit")
    assert done.returncode == 0, done.stderr
    assert cpu_seconds() - before < 90
    values = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert values["faces"] == 1
    assert values["compared_with_own_photo"]
    by_row = {row["row"]: row for row in values["rows"]}
    assert by_row["T0"]["outcome"] == "look"
    assert {by_row[row]["outcome"] for row in ("T1", "T2", "T4", "T5")} == {"not tested"}
    assert "facemin model add" in by_row["T1"]["verdict"]
    assert "at least 100; 0 were given" in by_row["T4"]["verdict"]
    assert "floor" in by_row["T3"]["verdict"]
    assert [figure["hits"] for figure in values["authorised"]["figures"]] == [1]
    page = (tmp_path / "audit" / "audit.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    assert str(tmp_path) not in page + json.dumps(values)
    assert (tmp_path / "audit" / "protected" / "me.protected.png").is_file()
    assert "T3: A white box" in done.stderr
    assert "bounded" not in done.stdout.lower()


def test_photos_and_what_they_became(call: Call, photo: Path, tmp_path: Path) -> None:
    assert call("protect", photo, "--out", tmp_path / "protected", "--seed", 2, "--no-pseudonym").returncode == 0
    done = call("audit", photo, "protected", "--rows", "T0", "--minutes", 0.5, "--out", "audit", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert "Protected images were given: 1 of 1 are audited." in values["remarks"]
    assert values["authorised"]["figures"][0]["hits"] == 1
    assert not (tmp_path / "audit" / "protected").exists()
    assert values["files"] == ["audit/audit.html", "audit/audit.json"]
    assert any("It was not asked for" in text for text in values["untested"])
    # a protected image whose photo is not there cannot be audited, which is listed
    stray = tmp_path / "protected" / "nobody.protected.png"
    shutil.copy(tmp_path / "protected" / "me.protected.png", stray)
    rest = call(
        "audit", photo, tmp_path / "protected", "--rows", "T0", "--minutes", 0.5, "--out", tmp_path / "rest", "--json"
    )
    assert rest.returncode == 1, rest.stderr
    assert any("nobody" in text for text in json.loads(rest.stdout)["untested"])
    stray.unlink()
    # what is no protection of this face: somebody's noise
    noise = torch.rand(3, 112, 112, generator=torch.Generator().manual_seed(0))
    (tmp_path / "protected" / "me.protected.png").write_bytes(encode_tensor(noise))
    options = ("--rows", "T0", "--minutes", 0.5, "--out", tmp_path / "audit", "--json")
    refused = call("audit", photo, tmp_path / "protected", *options)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["authorised"]["figures"][0]["hits"] == 0


def test_people_in_folders_and_another_recogniser(call: Call, faces: Path, file: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(file, models / "other.onnx")
    (models / "broken.onnx").write_bytes(b"no graph")
    people = tmp_path / "people"
    for person in sorted(faces.iterdir())[:3]:
        shutil.copytree(person, people / person.name)
    options = (
        "--models",
        models,
        "--train",
        faces,
        "--rows",
        "T1",
        "--far",
        0.05,
        "--minutes",
        2,
        "--out",
        tmp_path / "audit",
    )
    done = call("audit", people, *options, "--seed", 3, "--json")
    values = json.loads(done.stdout)
    assert values["people"] == 3
    assert values["pairs"] == 3
    assert not values["compared_with_own_photo"]
    other = next(one for one in values["recognisers"] if one["name"] == "other")
    assert "pairs of different people's plain faces" in other["measured_on"]
    assert any(text.startswith("broken.onnx: expected a recogniser") for text in values["untested"])
    row = next(row for row in values["rows"] if row["row"] == "T1")
    assert row["outcome"] != "bounded"
    assert {figure["where"] for figure in row["figures"]} >= {
        "plain, plain",
        "protected, plain",
        "protected, protected",
    }
    with Image.open(tmp_path / "audit" / "protected" / "person 0" / "0.protected.png") as image:
        assert image.size == (112, 112)


def test_wrong_input_is_named(call: Call, photo: Path, tmp_path: Path) -> None:
    cases = [
        ((), "inputs: expected at least one photo or folder, got none"),
        ((photo, "--rows", "T7"), "rows: expected some of T0, T1, T2, T3, T4, T5, T6, got T7"),
        ((photo, "--minutes", 0), "--minutes: expected a number above 0, got 0"),
        ((photo, "--most", 0), "most, far: expected at least 1"),
        ((tmp_path / "nothere",), "nothere: expected a photo or a folder, found nothing there"),
        ((photo, "--key", photo / "me.png"), "me.png: expected"),
    ]
    for arguments, message in cases:
        done = call("audit", *arguments, "--out", tmp_path / "audit")
        assert done.returncode == 2
        assert message in done.stderr
    assert not (tmp_path / "audit").exists()

"""Killed, told to end, backed up and restored."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from facemin.service.backup import back_up, restore
from facemin.service.crypto import VARIABLE, Secrets
from facemin.service.database import Database
from facemin.service.provider import Provider
from facemin.service.settings import read_settings, write_settings
from facemin.service.tables import templates
from tests.conftest import REPOSITORY
from tests.service.running import Running, noise, running


def test_killed_in_the_middle_of_enrolments_it_loses_nothing() -> None:
    script = REPOSITORY / "experiments" / "service" / "kill.py"
    done = subprocess.run([sys.executable, str(script), "--kills", "1"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check: all is whole; ended gracefully: True; wrong: []" in done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled") / "home"
    with running(home) as server:
        body = {"person": "a", "uploads": [server.upload(noise(1)), server.upload(noise(2))]}
        assert server("POST", "/v1/collections/main/persons", body).status == 201
    return home


def test_a_back_up_is_restored_with_everybody_in_it(filled: Path, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "b.tar", with_secrets=True)
    assert restore(tmp_path / "b.tar", tmp_path / "new") == []
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    provider = Provider.open(tmp_path / "new")
    try:
        with provider.database.reading() as connection:
            place = provider.store.collection(connection, "main")
            person = provider.store.person(connection, place, "a")
        assert [template.row is not None for template in person.templates] == [True, True]
    finally:
        provider.close()


def test_a_back_up_without_secrets_needs_them_from_elsewhere(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(filled, tmp_path / "b.tar", with_secrets=False)
    assert (filled / "master.key").read_bytes().strip() not in (tmp_path / "b.tar").read_bytes()
    assert restore(tmp_path / "b.tar", tmp_path / "new") == ["master.key", "signing.pem"]
    with pytest.raises(FileNotFoundError):
        Provider.open(tmp_path / "new")
    monkeypatch.setenv(VARIABLE, Secrets.new().master.hex())
    with pytest.raises(ValueError, match="master key"):
        Provider.open(tmp_path / "new")
    monkeypatch.setenv(VARIABLE, (filled / "master.key").read_text())
    Provider.open(tmp_path / "new").close()


def test_a_back_up_can_be_made_while_the_service_runs(server: Running, tmp_path: Path) -> None:
    server("POST", "/v1/collections/main/persons", {"person": "running", "uploads": [server.upload(noise(3))]})
    back_up(server.home, tmp_path / "b.tar", with_secrets=True)
    restore(tmp_path / "b.tar", tmp_path / "new")
    database = Database(f"sqlite:///{tmp_path / 'new' / 'provider.sqlite'}")
    with database.reading() as connection:
        assert (connection.scalar(select(func.count()).select_from(templates)) or 0) >= 1
    database.close()


@pytest.mark.parametrize("change", ["cut off", "no tar", "damaged"])
def test_a_bad_back_up_is_refused_and_leaves_no_provider(filled: Path, tmp_path: Path, change: str) -> None:
    file = tmp_path / "b.tar"
    back_up(filled, file, with_secrets=True)
    data = bytearray(file.read_bytes())
    if change == "cut off":
        del data[len(data) // 2 :]
    elif change == "no tar":
        data = bytearray(b"no tar" * 1000)
    else:
        data[512 + 4096 * 3 : 512 + 4096 * 9] = b"\xaa" * (4096 * 6)
    file.write_bytes(data)
    with pytest.raises(ValueError, match="expected a"):
        restore(file, tmp_path / "new")
    assert not (tmp_path / "new" / "provider.json").exists()


def test_a_provider_is_not_overwritten(filled: Path, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "b.tar", with_secrets=True)
    with pytest.raises(ValueError, match="without a provider"):
        restore(tmp_path / "b.tar", filled)


def test_another_recogniser_of_the_same_name_is_refused(filled: Path, tmp_path: Path) -> None:
    back_up(filled, tmp_path / "b.tar", with_secrets=True)
    restore(tmp_path / "b.tar", tmp_path / "new")
    settings = read_settings(tmp_path / "new")
    write_settings(tmp_path / "new", settings.model_copy(update={"fingerprint": "0" * 64}))
    with pytest.raises(ValueError, match="expected the recogniser that the provider was made for"):
        Provider.open(tmp_path / "new")


@pytest.mark.parametrize(
    ("change", "words"), [({"batch": 0}, "batch"), ({"unknown": 1}, "unknown"), ({"far": "x"}, "far")]
)
def test_wrong_settings_name_the_field(filled: Path, tmp_path: Path, change: dict[str, object], words: str) -> None:
    values = json.loads((filled / "provider.json").read_text()) | change
    (tmp_path / "provider.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=words):
        read_settings(tmp_path)

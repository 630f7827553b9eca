"""Killed, told to end, backed up and restored."""

import itertools
import json
import os
import random
import shutil
import signal
import time
import warnings
from pathlib import Path

import pytest
from sqlalchemy import func, select

from facemin.service.api.errors import ServiceError
from facemin.service.provider import Provider
from facemin.service.provider_keys import Keyring
from facemin.service.settings import read_settings, write_settings
from facemin.service.storage.backup import back_up, restore
from facemin.service.storage.crypto import VARIABLE, Secrets
from facemin.service.storage.database import Database
from facemin.service.storage.records import Kind
from facemin.service.storage.tables import persons, templates
from tests.service.conftest import memory_store, unit_rows
from tests.service.running import Running, noise, running

FACES = 3


def enrol_for_ever(url: str, pipe: int, seed: int) -> None:
    """Enrol people and tell the pipe of each that is on the disk."""
    database = Database(url)
    store = memory_store(database)
    kinds: list[Kind] = ["protected"] * FACES
    for number in itertools.count():
        name = f"p{seed}-{number}"
        with database.writing() as connection:
            place = store.collection(connection, "main")
            rows = unit_rows(FACES, seed=seed)
            store.enrol(connection, place, name, rows, kinds=kinds, key_ids=["k"] * FACES)
        os.write(pipe, f"{name}\n".encode())


def kill_while_enrolling(url: str, seed: int, after: float) -> set[str]:
    """Whose enrolment was acknowledged by a process that is killed so many seconds after the first one."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # the child never returns to Python's threads
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            enrol_for_ever(url, writing, seed)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        first = pipe.readline()
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return {line.decode().strip() for line in [first, *pipe] if line.endswith(b"\n")}


def test_killed_in_the_middle_of_enrolments_it_loses_nothing(url: str) -> None:
    """The whole server's version, with a hundred kills: experiments/service/kill.py."""
    database = Database(url)
    store = memory_store(database)
    with database.writing() as connection:
        store.make_collection(connection, "main", accept_plain=False, far=1e-3)
    database.close()
    chance, acknowledged = random.Random(0), set()
    for seed in range(8):
        acknowledged |= kill_while_enrolling(url, seed, chance.uniform(0, 0.05))
        database = Database(url)
        assert database.check() == []
        with database.reading() as connection:
            counted = select(persons.c.name, func.count(templates.c.id)).outerjoin(templates).group_by(persons.c.name)
            found: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
        database.close()
        assert acknowledged <= set(found)
        assert set(found.values()) == {FACES}
    assert len(acknowledged) >= 8


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
    server("POST", "/v1/collections/main/persons", {"person": "running", "uploads": [server.upload(noise(77_003))]})
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


@pytest.mark.parametrize("left", ["master.key", "provider.sqlite", "provider.sqlite-wal"])
def test_nothing_that_a_provider_left_behind_is_overwritten(filled: Path, tmp_path: Path, left: str) -> None:
    back_up(filled, tmp_path / "b.tar", with_secrets=True)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / left).write_bytes(b"what was there")
    with pytest.raises(ValueError, match=f"found {left}"):
        restore(tmp_path / "b.tar", tmp_path / "new")
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "new").iterdir()] == [(left, b"what was there")]


@pytest.mark.parametrize("left", ["provider.json", "master.key", "signing.pem", "provider.sqlite"])
def test_making_a_provider_spares_the_keys_to_another_ones_templates(filled: Path, tmp_path: Path, left: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / left).write_bytes((filled / left).read_bytes())
    with pytest.raises(ValueError, match=f"without a provider, found {left}"), running(home):
        pass
    assert {file.name: file.read_bytes() for file in home.iterdir()} == {left: (filled / left).read_bytes()}


def test_a_provider_that_could_not_be_made_can_be_made_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(ServiceError), running(home, database="postgresql://nobody@127.0.0.1:9/none"):
        pass
    assert not [file.name for file in home.iterdir() if file.suffix in (".key", ".pem")]
    with running(home) as made:
        assert made("GET", "/v1/ready").status == 200


@pytest.mark.parametrize("damage", ["missing", "empty", "torn"])
def test_a_good_back_up_is_not_replaced_by_nothing(filled: Path, tmp_path: Path, damage: str) -> None:
    home, file = tmp_path / "home", tmp_path / "b.tar"
    shutil.copytree(filled, home)
    back_up(home, file, with_secrets=True)
    good, database = file.read_bytes(), home / "provider.sqlite"
    data = database.read_bytes()
    database.unlink()
    if damage != "missing":
        database.write_bytes(b"" if damage == "empty" else data[:8192] + b"\xaa" * (len(data) - 8192))
    with pytest.raises(ValueError, match=r"provider\.sqlite: expected"):
        back_up(home, file, with_secrets=True)
    assert file.read_bytes() == good
    assert database.exists() == (damage != "missing")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_master_key_of_the_environment_goes_into_a_back_up_with_secrets(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    master = (home / "master.key").read_text()
    (home / "master.key").unlink()
    with pytest.raises(FileNotFoundError, match=r"master\.key"):
        back_up(home, tmp_path / "b.tar", with_secrets=True)
    monkeypatch.setenv(VARIABLE, master)
    back_up(home, tmp_path / "b.tar", with_secrets=True)
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    assert restore(tmp_path / "b.tar", tmp_path / "new") == []
    assert (tmp_path / "new" / "master.key").read_text().strip() == master.strip()


def test_keys_of_another_recogniser_have_ended(filled: Path) -> None:
    provider = Provider.open(filled)
    try:
        (key,) = [key for key, state in provider.keyring.all() if state == "current"]
        changed = Keyring(provider.database, "0" * 64)
        assert [state for _, state in changed.all()] == ["ended"]
        with pytest.raises(ServiceError, match="rotate"):
            changed.current()
        with pytest.raises(ServiceError, match="which is ended"):
            changed.manifest(key.key_id)
    finally:
        provider.close()


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

"""Storage of secrets: private, atomic, never replaced, and the keyring's."""

import json
import os
import stat
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError

from facemin.pseudonym import SecretStore, read_exported
from tests.conftest import PATIENCE
from tests.pseudonym.conftest import a_secret

posix = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(root=tmp_path / "secrets")


class Memory(KeyringBackend):  # type: ignore[misc]
    """A keyring in memory: the library's own interface, without a desktop."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def memory() -> Iterator[Memory]:
    before, backend = keyring.get_keyring(), Memory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_made_at_first_use_and_said_so(store: SecretStore) -> None:
    assert store.names() == []
    secret, made = store.load_or_make()
    assert made
    assert store.load_or_make() == (secret, False)
    assert SecretStore(root=store.root).load() == secret
    assert store.names() == ["default"]


@posix
def test_only_the_owner_may_read(store: SecretStore, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.load_or_make()
        store.export("default", tmp_path / "copy.json")
    finally:
        os.umask(before)
    for file in (store.root / "default.json", tmp_path / "copy.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o610])
def test_a_file_that_others_may_read_is_refused(store: SecretStore, mode: int) -> None:
    store.load_or_make()
    file = store.root / "default.json"
    file.chmod(mode)
    for use in (store.load, store.entry, store.load_or_make):
        with pytest.raises(ValueError, match=f"mode 0600.*{mode:04o}.*chmod 600"):
            use()
    with pytest.raises(ValueError, match="chmod 600"):
        read_exported(file)
    file.chmod(0o600)
    store.load()


@posix
def test_a_folder_that_others_may_write_in_is_refused(store: SecretStore) -> None:
    store.load_or_make()
    store.root.chmod(0o770)
    with pytest.raises(ValueError, match="chmod 700"):
        store.load()


def test_nothing_half_written_stays(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        store.load_or_make()
    monkeypatch.undo()
    assert [file.name for file in store.root.iterdir()] == [".lock"]
    assert store.load_or_make()[1]


def test_of_several_at_once_one_makes_it(store: SecretStore) -> None:
    start = threading.Barrier(4)

    def make(_: int) -> tuple[str, bool]:
        start.wait(PATIENCE)
        secret, made = SecretStore(root=store.root).load_or_make()
        return secret.fingerprint, made

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(make, range(4)))
    assert len({fingerprint for fingerprint, _ in results}) == 1
    assert sum(made for _, made in results) == 1


def test_several_by_name(store: SecretStore) -> None:
    for name in ("work", "ann-2", "a"):
        store.add(a_secret(name), name)
    assert store.names() == ["a", "ann-2", "work"]
    assert store.load("work") == a_secret("work")
    assert store.entry("work").fingerprint == a_secret("work").fingerprint
    assert store.entry("work").kept == "file"
    assert a_secret("work").data.hex() not in repr(store.entry("work"))


def test_none_is_replaced_or_kept_twice(store: SecretStore) -> None:
    store.add(a_secret())
    with pytest.raises(ValueError, match="never replaced"):
        store.add(a_secret("bob"))
    with pytest.raises(ValueError, match="that of 'default'"):
        store.add(a_secret(), "again")
    assert store.load() == a_secret()


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", ".lock", "a.json", "-a", "x" * 65, "ä", "a\n"])
def test_wrong_names_are_refused(store: SecretStore, name: str) -> None:
    for use in (store.load, store.load_or_make, store.entry, store.remove, lambda name: store.add(a_secret(), name)):
        with pytest.raises(ValueError, match="name of a secret"):
            use(name)


def test_one_that_is_missing_is_named(store: SecretStore) -> None:
    with pytest.raises(ValueError, match=r"there are none.*'work'"):
        store.load("work")
    store.load_or_make()
    with pytest.raises(ValueError, match=r"\(default\).*'work'"):
        store.remove("work")


def test_removed_is_gone(store: SecretStore) -> None:
    store.add(a_secret())
    assert store.remove("default").fingerprint == a_secret().fingerprint
    assert store.names() == []
    store.add(a_secret())


def test_out_and_in_again(store: SecretStore, tmp_path: Path) -> None:
    store.add(a_secret())
    copy = tmp_path / "copy.json"
    store.export("default", copy)
    assert read_exported(copy) == a_secret()
    before = copy.read_bytes()
    with pytest.raises(ValueError, match="does not exist yet"):
        store.export("default", copy)
    assert copy.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secret": "00" * 32}, "again and again"),
        ({"secret": a_secret("bob").data.hex()}, "fingerprint"),
        ({"secret": "ab"}, "secret:"),
        ({"secret": None}, "expected a secret in it"),
        ({"fingerprint": "0" * 16}, "fingerprint"),
        ({"name": "other"}, "that of 'other'"),
        ({"version": 2}, "version"),
        ({"extra": 1}, "extra"),
        ({"kept": "cloud"}, "kept"),
    ],
)
def test_damaged_files_are_refused_and_tell_nothing(store: SecretStore, change: dict[str, object], said: str) -> None:
    store.add(a_secret())
    file = store.root / "default.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=said) as refusal:
        store.load()
    told = f"{refusal.value!r} {refusal.value.__cause__!r}"
    assert a_secret().data.hex() not in told
    assert a_secret("bob").data.hex() not in told


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", a_secret().data.hex().encode()])
def test_other_files_are_refused_and_tell_nothing(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(ValueError, match="expected a secret of facemin") as refusal:
        read_exported(file)
    assert a_secret().data.hex() not in str(refusal.value)


def test_the_keyring_keeps_it_and_the_file_does_not(store: SecretStore, memory: Memory, tmp_path: Path) -> None:
    secret, made = store.load_or_make("work", kept="keyring")
    assert made
    assert list(memory.kept.values()) == [secret.data.hex()]
    assert secret.data.hex() not in (store.root / "work.json").read_text()
    assert store.load("work") == secret
    assert store.load_or_make("work") == (secret, False)
    assert store.entry("work").kept == "keyring"
    store.export("work", tmp_path / "copy.json")
    assert read_exported(tmp_path / "copy.json") == secret
    with pytest.raises(ValueError, match="in a keyring"):
        read_exported(store.root / "work.json")
    store.remove("work")
    assert memory.kept == {}
    assert store.names() == []


def test_a_keyring_that_lost_or_changed_it_is_noticed(store: SecretStore, memory: Memory) -> None:
    store.add(a_secret(), kept="keyring")
    [place] = memory.kept
    memory.kept[place] = a_secret("bob").data.hex()
    with pytest.raises(ValueError, match="it was changed"):
        store.load()
    del memory.kept[place]
    with pytest.raises(ValueError, match="restore it from its words"):
        store.load()
    store.remove("default")


def test_a_keyring_is_never_overwritten(store: SecretStore, memory: Memory, tmp_path: Path) -> None:
    store.add(a_secret(), kept="keyring")
    with pytest.raises(ValueError, match="not in this folder"):
        SecretStore(root=tmp_path / "other").add(a_secret("bob"), kept="keyring")
    assert store.load() == a_secret()


def test_a_keyring_that_fails_is_named(store: SecretStore, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*arguments: object) -> str:
        raise KeyringError("it is locked")

    monkeypatch.setattr(memory, "set_password", locked)
    with pytest.raises(ValueError, match="it is locked"):
        store.load_or_make(kept="keyring")
    assert store.names() == []


def test_without_the_extra_it_says_how(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ValueError, match=r"facemin\[keyring\]"):
        store.load_or_make(kept="keyring")
    assert store.load_or_make()[1]


@posix
def test_a_file_of_another_user_is_refused(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = store.load_or_make()[0]
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ValueError, match="a file of your own") as refusal:
        store.load()
    assert secret.data.hex() not in str(refusal.value)

"""Atomic and private files, appended lines, locks, and what an interrupted write leaves."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from facemin.runtime import files
from facemin.runtime.files import (
    PRIVATE,
    append_json,
    locked,
    private_folder,
    read_private,
    remove_abandoned,
    remove_leftovers,
    write_atomically,
)


def _entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for data in (b"first", b"", b"\x00\xff" * 100_000):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert _entries(tmp_path) == ["a.bin"]


def test_makes_parents(tmp_path: Path) -> None:
    path = tmp_path / "x" / "y" / "a.bin"
    write_atomically(path, b"1")
    assert path.read_bytes() == b"1"


def test_takes_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"1")
    assert path.read_bytes() == b"1"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_the_umasks(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.bin", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == mode


def test_failing_midway_leaves_the_old_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="a file-size limit is POSIX's")
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            write_atomically(path, bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert _entries(tmp_path) == ["a.bin"]


def test_a_folder_in_the_way_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError, match="folder"):
        write_atomically(path, b"1")
    assert _entries(tmp_path) == ["folder"]
    assert _entries(path) == ["inside"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    wholes = {bytes([value]) * 300_000 for value in range(4)}
    write_atomically(path, next(iter(wholes)))

    def write(data: bytes) -> None:
        for _ in range(10):
            write_atomically(path, data)

    writers = [threading.Thread(target=write, args=(data,)) for data in wholes]
    for writer in writers:
        writer.start()
    seen = {path.read_bytes() for _ in range(100)}
    for writer in writers:
        writer.join()
    assert seen <= wholes
    assert _entries(tmp_path) == ["a.bin"]


def test_lines_of_json_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    append_json(path, {"name": "é", "values": [1, None]})
    append_json(path, {"name": "b"})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"name": "é", "values": [1, None]}, {"name": "b"}]


posix = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@posix
def test_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "a.bin", b"1", mode=PRIVATE)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert read_private(tmp_path / "a.bin") == b"1"


@posix
def test_what_others_may_read_or_exchange_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    private_folder(folder)
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    write_atomically(folder / "a.bin", b"1", mode=PRIVATE)
    (folder / "a.bin").chmod(0o640)
    with pytest.raises(ValueError, match="chmod 600"):
        read_private(folder / "a.bin")
    (folder / "a.bin").chmod(0o600)
    folder.chmod(0o777)
    with pytest.raises(ValueError, match="chmod 700"):
        read_private(folder / "a.bin")
    # as /tmp is: others may add files there, and not exchange this one
    folder.chmod(0o1777)
    assert read_private(folder / "a.bin") == b"1"


@pytest.mark.skipif(os.name != "posix", reason="a device without end")
def test_no_more_is_read_than_may_be(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert files.read_at_most(path, 5) == b"12345"
    with pytest.raises(ValueError, match=r"^f: expected at most 4 bytes, got 5$"):
        files.read_at_most(path, 4, expected="f: expected")
    with pytest.raises(ValueError, match="expected at most 4 bytes, got more"):
        files.read_at_most(Path("/dev/zero"), 4)
    path.write_bytes(b"")
    assert files.read_at_most(path, 4) == b""


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    """Four threads count in a file, each reading, waiting and writing: no step is lost."""
    path = tmp_path / "count"
    path.write_text("0")

    def count() -> None:
        for _ in range(10):
            with locked(tmp_path / "locks" / "lock"):
                value = int(path.read_text())
                threading.Event().wait(0.001)
                path.write_text(str(value + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "40"


def test_a_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock"):
        raise ZeroDivisionError
    with locked(tmp_path / "lock"):
        pass


def test_leftovers_of_one_process_are_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom facemin.runtime import files\n"
        "os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(Path(sys.argv[1]) / 'result', b'half')"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    child.wait()
    (leftover,) = tmp_path.iterdir()
    remove_leftovers([tmp_path, tmp_path], child.pid + 1)
    assert leftover.exists()
    remove_leftovers([tmp_path, tmp_path], child.pid)
    assert not list(tmp_path.iterdir())


def test_abandoned_files_are_removed_and_no_others(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    ours, other, end = files._machine(), "0" * 8, f"{7:016x}.tmp"
    dead, alive = f".{child.pid:x}-{ours}-{end}", f".{os.getpid():x}-{ours}-{end}"
    elsewhere, old = f".{child.pid:x}-{other}-{end}", f".{os.getpid():x}-{other}-{end}"
    strangers = [".x.tmp", f".{child.pid:x}-{ours}.tmp", f"{child.pid:x}-{ours}-{end}", f".g-{ours}-{end}"]
    for name in (dead, alive, elsewhere, old, *strangers):
        (tmp_path / name).touch()
    os.utime(tmp_path / old, (1, 1))
    assert remove_abandoned([tmp_path, tmp_path, tmp_path / "none"]) == (2 if os.name == "posix" else 1)
    assert _entries(tmp_path) == sorted([alive, elsewhere, *strangers])

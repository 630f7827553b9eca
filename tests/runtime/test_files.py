import json
import os
import threading
from pathlib import Path

import pytest

from facemin.runtime.files import append_json, write_atomically


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

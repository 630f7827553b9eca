"""Captures: copies are refused, new photos pass, and the file is silent, whole and private."""

import hashlib
import io
import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from facemin.image import Pixels
from facemin.pseudonym import captures
from facemin.pseudonym.captures import CaptureLog, CaptureReused
from facemin.pseudonym.sealing import unseal
from tests.conftest import PATIENCE
from tests.pseudonym.conftest import a_secret

HERE, THERE = "0" * 15 + "1", "f" * 16


def photo(left: int = 170, top: int = 60, side: int = 112) -> Pixels:
    """A part of the astronaut's photo; parts far apart stand for different captures."""
    return np.ascontiguousarray(data.astronaut()[top : top + side, left : left + side])


FACE, OTHER = photo(), photo(330, 300)


def changed(face: Pixels, *, quality: int = 95, size: int = 112) -> Pixels:
    small = Image.fromarray(face).resize((size, size), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=quality)
    return np.array(Image.open(encoded).resize((112, 112), Image.Resampling.BICUBIC))


COPIES = {
    "same": FACE,
    "JPEG 60": changed(FACE, quality=60),
    "JPEG 95": changed(FACE),
    "half": changed(FACE, size=56),
    "double": changed(FACE, size=224),
    "moved": photo(171, 60),
    "brighter": np.minimum(FACE * 1.1, 255).astype(np.uint8),
    "mirrored": FACE[:, ::-1],
}


@pytest.fixture
def log(tmp_path: Path) -> CaptureLog:
    return CaptureLog(secret=a_secret(), root=tmp_path / "captures")


@pytest.mark.parametrize("copy", COPIES)
def test_nothing_is_sent_twice(log: CaptureLog, copy: str) -> None:
    log.claim(FACE, HERE)
    with pytest.raises(CaptureReused, match="nothing is sent twice") as refusal:
        log.claim(COPIES[copy], HERE)
    assert refusal.value.same
    assert refusal.value.sent.pseudonym == HERE
    log.claim(OTHER, HERE)


@pytest.mark.parametrize("copy", COPIES)
def test_nothing_is_sent_under_two_rotations(log: CaptureLog, copy: str) -> None:
    log.claim(FACE, HERE)
    with pytest.raises(CaptureReused, match="links them") as refusal:
        log.claim(COPIES[copy], THERE)
    assert not refusal.value.same
    log.claim(COPIES[copy], THERE, linkable=True)
    with pytest.raises(CaptureReused, match="nothing is sent twice"):
        log.claim(FACE, THERE, linkable=True)


def test_found_without_being_noted(log: CaptureLog) -> None:
    assert log.find(FACE) == []
    assert log.find(FACE) == []
    log.claim(FACE, HERE)
    assert log.find(FACE) == [(HERE, 0.0)]
    assert log.find(OTHER) == []
    assert log.find(np.stack([OTHER, FACE])) == [(HERE, 0.0)]


def test_frames_of_one_upload_may_be_alike_and_all_or_none_is_noted(log: CaptureLog) -> None:
    log.claim(np.stack([FACE, FACE[:, ::-1]]), HERE)
    with pytest.raises(CaptureReused):
        log.claim(np.stack([OTHER, FACE]), HERE)
    assert log.find(OTHER) == []


def test_other_secrets_count_as_well(log: CaptureLog) -> None:
    log.claim(FACE, HERE)
    alone = CaptureLog(secret=a_secret("new"), root=log.root)
    assert alone.find(FACE) == []
    both = CaptureLog(secret=a_secret("new"), others=[a_secret("new"), a_secret()], root=log.root)
    with pytest.raises(CaptureReused, match="links them"):
        both.claim(FACE, THERE)


def test_carried_over_to_a_new_secret(log: CaptureLog) -> None:
    log.claim(FACE, HERE)
    new = CaptureLog(secret=a_secret("new"), root=log.root)
    new.carry_over(a_secret())
    assert new.find(FACE) == [(HERE, 0.0)]
    assert log.find(FACE) == []
    with pytest.raises(ValueError, match="another secret"):
        new.carry_over(a_secret("new"))


def test_the_file_is_private_and_silent(log: CaptureLog) -> None:
    """Lines of one length and no bytes in common, whether captures are alike or not."""
    log.claim(np.stack([FACE, FACE, OTHER]), HERE)
    [file] = log.root.glob("*.jsonl")
    lines = file.read_bytes().splitlines()
    assert len({len(line) for line in lines}) == 1
    sealed = [json.loads(line)["sealed"] for line in lines]
    assert len({text[:16] for text in sealed} | {text[-16:] for text in sealed}) == 6
    assert HERE not in file.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o640)
        with pytest.raises(ValueError, match="chmod 600"):
            log.claim(OTHER, THERE)


def test_a_line_cut_off_by_a_crash_is_written_over(log: CaptureLog) -> None:
    log.claim(FACE, HERE)
    [file] = log.root.glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    assert log.find(FACE) == [(HERE, 0.0)]
    log.claim(OTHER, THERE)
    assert len(file.read_bytes()) == 2 * len(whole)
    assert log.find(OTHER) == [(THERE, 0.0)]


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"v": 2, "sealed": ""}', b'{"v": 1, "sealed": 5}', b"\xff"])
def test_a_damaged_line_is_named(log: CaptureLog, line: bytes) -> None:
    log.claim(FACE, HERE)
    [file] = log.root.glob("*.jsonl")
    file.write_bytes(file.read_bytes() + line + b"\n")
    with pytest.raises(ValueError, match="line 2"):
        log.claim(OTHER, HERE)


def test_another_secrets_lines_are_refused(log: CaptureLog) -> None:
    log.claim(FACE, HERE)
    [file] = log.root.glob("*.jsonl")
    file.rename(file.with_name(f"{a_secret('bob').fingerprint}.jsonl"))
    with pytest.raises(ValueError, match=r"line 1: .*another's or a changed one"):
        CaptureLog(secret=a_secret("bob"), root=log.root).find(FACE)


def test_of_several_at_once_one_may_send(log: CaptureLog) -> None:
    start = threading.Barrier(4)

    def claim(_: int) -> bool:
        start.wait(PATIENCE)
        try:
            CaptureLog(secret=a_secret(), root=log.root).claim(FACE, HERE)
        except CaptureReused:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == [False, False, False, True]


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((112, 112), np.uint8),
        np.zeros((112, 112, 4), np.uint8),
        np.zeros((3, 112, 112), np.uint8),
        np.zeros((0, 112, 112, 3), np.uint8),
        np.zeros((112, 112, 3), np.float32),
    ],
)
def test_other_faces_are_named(log: CaptureLog, faces: Pixels) -> None:
    with pytest.raises(ValueError, match=r"faces: expected uint8 \(112, 112, 3\)"):
        log.claim(faces, HERE)


@pytest.mark.parametrize("name", ["", "zz" * 8, "00" * 7, "00" * 9, "AB" * 8, hashlib.sha256(b"").hexdigest()])
def test_other_fingerprints_are_named(log: CaptureLog, name: str) -> None:
    with pytest.raises(ValueError, match="pseudonym: expected a fingerprint"):
        log.claim(FACE, name)
    assert log.find(FACE) == []


def test_a_log_that_has_read_its_file_sees_what_others_do_to_it(tmp_path: Path) -> None:
    """Of a file that grew only new lines are opened; one that was cut, replaced or deleted is read anew."""
    first, second = (CaptureLog(secret=a_secret(), root=tmp_path) for _ in range(2))
    first.claim(FACE, HERE)
    assert len(second.find(FACE)) == 1
    first.claim(OTHER, HERE)
    assert len(second.find(OTHER)) == 1
    (file,) = tmp_path.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[1])
    assert (second.find(FACE), len(second.find(OTHER))) == ([], 1)
    file.write_bytes(lines[1] + lines[0][: len(lines[0]) // 2] + b"\n")
    with pytest.raises(ValueError, match="line 2"):
        second.find(FACE)
    file.unlink()
    assert second.find(OTHER) == []
    first.claim(FACE, THERE)
    assert second.find(FACE)[0].pseudonym == THERE


def test_a_long_file_is_decrypted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of 20,000 photos claims as many captures; each claim must not open all that came before."""
    opened: list[int] = []

    def counted(*given: Any, use: str) -> bytes:
        opened.append(1)
        return unseal(*given, use=use)

    log = CaptureLog(secret=a_secret(), root=tmp_path)
    monkeypatch.setattr(captures, "unseal", counted)
    for number in range(30):
        log.claim(np.random.default_rng(number).integers(0, 256, FACE.shape, dtype=np.uint8), HERE)
    assert len(opened) == 29


@pytest.mark.parametrize("copy", COPIES)
def test_a_capture_goes_plainly_or_under_a_pseudonym(log: CaptureLog, copy: str) -> None:
    log.claim(FACE, HERE)
    with pytest.raises(CaptureReused, match="without one it would say"):
        log.claim_plain(COPIES[copy])
    for _ in range(2):
        log.claim_plain(OTHER)
    assert [sent.pseudonym for sent in log.find(OTHER)] == [captures.PLAIN]
    with pytest.raises(CaptureReused, match="under one it would say"):
        log.claim(OTHER, HERE)
    with pytest.raises(CaptureReused, match=HERE):
        captures.check_apart(COPIES[copy], np.stack([OTHER, FACE]), HERE)
    captures.check_apart(FACE, OTHER, HERE)

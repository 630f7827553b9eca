"""The mask's file: what is written comes back, and nothing else is taken."""

import stat
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facemin.cloak.mask_file import MAGIC, InvalidMask, Mask, Surrogate

SIZE = len(MAGIC)


def parts(mask: Mask) -> tuple[bytes, bytes]:
    data = mask.data
    size = int.from_bytes(data[SIZE : SIZE + 4], "little")
    return data[SIZE + 4 : SIZE + 4 + size], data[SIZE + 4 + size :]


def file_of(manifest: bytes, change: bytes) -> bytes:
    return MAGIC + len(manifest).to_bytes(4, "little") + manifest + change


def test_a_mask_comes_back_and_only_its_owner_may_read_it(mask: Mask, mask_file: Path) -> None:
    again = Mask.load(mask_file)
    assert again.manifest == mask.manifest
    np.testing.assert_array_equal(again.change, mask.change)
    assert stat.S_IMODE(mask_file.stat().st_mode) == 0o600
    assert mask_file.stat().st_size < 50_000


def test_a_file_that_others_may_read_is_refused(mask_file: Path) -> None:
    mask_file.chmod(0o644)
    with pytest.raises(InvalidMask, match="chmod 600"):
        Mask.load(mask_file)


REFUSED: dict[str, tuple[Callable[[bytes, bytes], bytes], str]] = {
    "another file": (lambda m, c: b"\x89PNG" + m + c, "expected a mask"),
    "nothing after the magic": (lambda m, c: MAGIC, "a whole mask"),
    "a manifest longer than the file": (lambda m, c: MAGIC + (1 << 30).to_bytes(4, "little") + m, "a whole mask"),
    "cut off": (lambda m, c: file_of(m, c[:-9]), "values"),
    "something after the change": (lambda m, c: file_of(m, c + b"x"), "values"),
    "no deflated change": (lambda m, c: file_of(m, b"change"), "deflated"),
    "a bomb": (lambda m, c: file_of(m, zlib.compress(bytes(1 << 22))), "values"),
    "another change": (lambda m, c: file_of(m, zlib.compress(bytes(112 * 112 * 3))), "was changed"),
    "a newer version": (lambda m, c: file_of(m.replace(b'"version":1', b'"version":2'), c), "version 1, got 2"),
    "a manifest that is a list": (lambda m, c: file_of(b"[]", c), "version 1"),
    "no manifest": (lambda m, c: file_of(b"{", c), "JSON"),
    "a manifest nested too deeply": (lambda m, c: file_of(b"[" * 60_000, c), "JSON"),
    "a field too many": (lambda m, c: file_of(m.replace(b"{", b'{"extra":1,', 1), c), "extra"),
    "a smaller bound than its values": (lambda m, c: file_of(m.replace(b'"epsilon":16', b'"epsilon":8'), c), "8 grey"),
    "a bound that is no cloak": (lambda m, c: file_of(m.replace(b'"epsilon":16', b'"epsilon":99'), c), "epsilon"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what: str, mask: Mask) -> None:
    change, said = REFUSED[what]
    with pytest.raises(InvalidMask, match=said):
        Mask.from_bytes(change(*parts(mask)), name="me.mask")


def test_the_largest_magnitude_of_int8_is_not_taken_for_a_small_one() -> None:
    change = np.full((112, 112, 3), -128, np.int8)
    with pytest.raises(InvalidMask, match="got 128"):
        Mask.make(change, method="p3-mask", epsilon=16, photos=1, surrogates=[Surrogate(name="a", fingerprint="b")])


def test_removing_is_exact_where_nothing_was_clipped(mask: Mask) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    cloaked = mask(faces)
    assert np.abs(cloaked.astype(int) - faces).max() == 16
    unclipped = (cloaked > 0) & (cloaked < 255)
    np.testing.assert_array_equal(mask.remove(cloaked)[unclipped], faces[unclipped])

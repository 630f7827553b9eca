"""The canonical encoding by hand and as an injection; key derivation against RFC 5869's own construction."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemin.pseudonym import derive_key, encode_fields

FIELDS = st.lists(st.one_of(st.binary(max_size=6), st.text(max_size=4), st.integers(0, 2**64 - 1)), max_size=4)


def plain(field: bytes | str | int) -> bytes:
    if isinstance(field, int):
        return field.to_bytes(8, "big")
    return field.encode() if isinstance(field, str) else field


def test_encoding_by_hand() -> None:
    assert encode_fields("ä", b"", 258) == (b"\0\0\0\2\xc3\xa4" + b"\0\0\0\0" + b"\0\0\0\x08" + b"\0\0\0\0\0\0\1\2")
    assert encode_fields() == b""


@given(FIELDS)
def test_encoding_can_be_read_back(fields: list[bytes | str | int]) -> None:
    """A reader who knows nothing but the rule finds every field again, so no two lists share their bytes."""
    data, found = encode_fields(*fields), []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        assert len(found[-1]) == length
        data = data[4 + length :]
    assert found == [plain(field) for field in fields]


def test_a_moved_boundary_shows() -> None:
    assert (
        len({encode_fields("ab", "c"), encode_fields("a", "bc"), encode_fields("abc", ""), encode_fields("abc")}) == 4
    )


@pytest.mark.parametrize(("field", "said"), [(-1, "2\\^64"), (2**64, "2\\^64"), ("\ud800", "surrogate")])
def test_bad_fields_are_named(field: str | int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        encode_fields(field)


def test_derived_keys_are_hkdf() -> None:
    secret, info = bytes(range(32)), b"bound to"
    pseudorandom = hmac.digest(b"a use", secret, hashlib.sha256)
    first = hmac.digest(pseudorandom, info + b"\1", hashlib.sha256)
    second = hmac.digest(pseudorandom, first + info + b"\2", hashlib.sha256)
    assert derive_key(secret, salt="a use", info=info, length=40) == (first + second)[:40]

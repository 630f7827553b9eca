"""Possession: who can sign, for what, and what a changed field does."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from facemin.pseudonym import PossessionKey, Secret, UploadStatement, derive_key, encode_fields, verify_upload
from tests.pseudonym.conftest import a_secret

STATEMENT = UploadStatement(
    challenge=hashlib.sha256(b"challenge").digest(),
    operation="verify",
    purpose="main",
    upload=hashlib.sha256(b"upload").digest(),
    person="ann",
    epoch=3,
)


def key(word: str = "ann", *, origin: str = "https://id.example", purpose: str = "main") -> PossessionKey:
    return PossessionKey(secret=a_secret(word), origin=origin, purpose=purpose)


def test_signed_and_verified() -> None:
    signature = key().sign(STATEMENT)
    assert len(signature) == 64
    assert verify_upload(key().public, signature, STATEMENT)
    assert key().sign(STATEMENT) == signature


def test_the_key_is_derived_as_the_spec_says() -> None:
    seed = derive_key(
        a_secret().data, salt="facemin possession v1", info=encode_fields(1, "https://id.example", "main")
    )
    private = Ed25519PrivateKey.from_private_bytes(seed)
    assert key().public == private.public_key().public_bytes_raw()
    assert key().sign(STATEMENT) == private.sign(STATEMENT.encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"challenge": hashlib.sha256(b"another").digest()},
        {"challenge": STATEMENT.challenge[:31]},
        {"operation": "renew"},
        {"purpose": "other"},
        {"upload": hashlib.sha256(b"injected").digest()},
        {"person": "bob"},
        {"person": ""},
        {"epoch": 4},
    ],
)
def test_any_other_statement_is_not_signed(changes: dict[str, Any]) -> None:
    assert not verify_upload(key().public, key().sign(STATEMENT), replace(STATEMENT, **changes))


def test_fields_cannot_flow_into_one_another() -> None:
    moved = replace(STATEMENT, operation="verif", purpose="ymain")
    assert moved.encode() != STATEMENT.encode()
    assert not verify_upload(key().public, key().sign(STATEMENT), moved)


@pytest.mark.parametrize(
    "other",
    [key("bob"), key(origin="https://other.example"), key(origin="http://id.example"), key(purpose="other")],
)
def test_keys_differ_by_secret_origin_and_purpose(other: PossessionKey) -> None:
    assert other.public != key().public
    assert not verify_upload(other.public, key().sign(STATEMENT), STATEMENT)


def test_one_spelling_of_origin() -> None:
    assert key(origin="HTTPS://Id.Example:443/v1").public == key().public


@pytest.mark.parametrize("spoil", [lambda s: s[:63], lambda s: s + b"\0", lambda s: b"", lambda s: bytes(64)])
def test_what_is_no_signature_is_refused(spoil: Any) -> None:
    assert not verify_upload(key().public, spoil(key().sign(STATEMENT)), STATEMENT)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    signature = key().sign(STATEMENT)
    for bit in range(0, 512, 7):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not verify_upload(key().public, bytes(flipped), STATEMENT)


def test_a_key_signs_for_its_own_purpose_only() -> None:
    with pytest.raises(ValueError, match="'other'"):
        key().sign(replace(STATEMENT, purpose="other"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"challenge": b"short"}, "challenge: expected 16 to 64 bytes, got 5 bytes"),
        ({"challenge": bytes(65)}, "challenge"),
        ({"challenge": "x" * 32}, "challenge: .* got str"),
        ({"operation": ""}, "operation"),
        ({"operation": "x" * 257}, "operation"),
        ({"purpose": ""}, "purpose"),
        ({"upload": bytes(20)}, "upload: .*20 bytes"),
        ({"person": "ä" * 129}, "person"),
        ({"person": None}, "person"),
        ({"person": "\ud800"}, "surrogate"),
        ({"epoch": -1}, "epoch"),
    ],
)
def test_bad_statements_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(STATEMENT, **changes)


def test_another_public_key_size_is_named() -> None:
    with pytest.raises(ValueError, match="32 bytes, got 31"):
        verify_upload(bytes(31), bytes(64), STATEMENT)


def test_it_never_shows_itself() -> None:
    secret = Secret.new()
    made = PossessionKey(secret=secret, origin="local", purpose="files")
    assert secret.data.hex() not in repr(made)
    assert made.public.hex() in repr(made)

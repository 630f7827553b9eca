"""Derivation: every bit of every input counts, and the stream is what the spec says."""

import hashlib
import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from facemin.pseudonym import Context, Secret, derive_seed
from facemin.pseudonym.derivation import normals, uniforms
from tests.pseudonym.conftest import CONTEXT, a_context, a_secret

SEED = hashlib.sha256(b"seed").digest()


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


VARIED: dict[str, list[Any]] = {
    "origin": [
        "http://id.example",
        "https://id.example:8443",
        "https://ie.example",
        "https://id.exampld",
        "local",
    ],
    "signer": [b"", *(flipped(CONTEXT.signer, bit) for bit in range(256))],
    "space": [flipped(CONTEXT.space, bit) for bit in range(256)],
    "dimension": [63, 65, 2, 1024, *(64 ^ 1 << bit for bit in range(10) if bit != 6)],
    "purpose": ["maim", "Main", "main ", "m\u0101in", "mai", "main2"],
    "epoch": [3 ^ 1 << bit for bit in range(53)],
}


def test_every_field_is_varied() -> None:
    assert set(VARIED) == {field.name for field in fields(Context)}


@pytest.mark.parametrize("field", VARIED)
def test_every_bit_of_every_field_counts(field: str) -> None:
    seeds = {derive_seed(a_secret(), a_context(**{field: value})) for value in VARIED[field]}
    assert len(seeds | {derive_seed(a_secret(), CONTEXT)}) == len({*VARIED[field], getattr(CONTEXT, field)})


def test_every_bit_of_the_secret_counts() -> None:
    data = a_secret().data
    seeds = {derive_seed(Secret(flipped(data, bit)), CONTEXT) for bit in range(256)}
    assert len(seeds | {derive_seed(a_secret(), CONTEXT)}) == 257


def test_a_changed_bit_changes_half_of_the_seed() -> None:
    base = int.from_bytes(derive_seed(a_secret(), CONTEXT), "big")
    changed = [
        (
            base ^ int.from_bytes(derive_seed(a_secret(), a_context(space=flipped(CONTEXT.space, bit))), "big")
        ).bit_count()
        for bit in range(256)
    ]
    # the mean of 256 counts of 128 expected, each with a deviation of 8: 128 +- 0.5
    assert np.mean(changed) == pytest.approx(128, abs=2.5)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=8)


@given(TEXT, TEXT, st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None)
def test_contexts_share_a_seed_only_if_they_are_equal(a: str, b: str, first: int, second: int) -> None:
    one, other = a_context(purpose=a, epoch=first), a_context(purpose=b, epoch=second)
    assert (one.encode() == other.encode()) == (one == other)
    assert (derive_seed(a_secret(), one) == derive_seed(a_secret(), other)) == (one == other)


def test_one_spelling_of_origin_and_purpose() -> None:
    assert a_context(origin="HTTPS://ID.example:443/path") == CONTEXT
    assert a_context(purpose="Bu\u0308ro") == a_context(purpose="B\u00fcro")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"origin": "id.example"}, "origin"),
        ({"signer": bytes(31)}, "signer: expected 32 bytes or none, got 31 bytes"),
        ({"signer": "00" * 32}, "signer: .* got str"),
        ({"space": b""}, "space: .* got 0 bytes"),
        ({"space": bytes(64)}, "space: .* got 64 bytes"),
        ({"dimension": 1}, "dimension: .*2..1024, got 1"),
        ({"dimension": 1025}, "dimension"),
        ({"dimension": 64.0}, "dimension"),
        ({"dimension": True}, "dimension"),
        ({"purpose": ""}, "purpose"),
        ({"purpose": "a\nb"}, "purpose: .*control"),
        ({"purpose": "a\0"}, "purpose: .*control"),
        ({"purpose": "\ud800"}, "purpose"),
        ({"purpose": "ä" * 129}, "purpose: .*258"),
        ({"purpose": b"main"}, "purpose: expected text"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": 2**53}, "epoch"),
        ({"epoch": 1.0}, "epoch"),
    ],
)
def test_bad_contexts_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        a_context(**changes)


def test_uniforms_by_hand() -> None:
    """Counter mode by its definition: block n of the stream is the encrypted number n."""
    blocks = [Cipher(AES(SEED), ECB()).encryptor().update(n.to_bytes(16, "big")) for n in range(3)]
    stream = b"".join(blocks)
    numbers = [int.from_bytes(stream[8 * i : 8 * i + 8], "big") for i in range(6)]
    assert uniforms(SEED, 6).tolist() == [((n >> 11) + 1) / 2**53 for n in numbers]
    assert uniforms(SEED, 0).shape == (0,)


def test_normals_by_hand() -> None:
    u = uniforms(SEED, 4)
    expected = [
        part(2 * math.pi * u[i + 1]) * math.sqrt(-2 * math.log(u[i])) for i in (0, 2) for part in (math.cos, math.sin)
    ]
    assert normals(SEED, 4).tolist() == pytest.approx(expected, abs=1e-15)
    assert normals(SEED, 3).tolist() == normals(SEED, 4).tolist()[:3]


def test_normals_are_normal_and_finite() -> None:
    drawn = normals(SEED, 200_000)
    assert np.isfinite(drawn).all()
    assert kstest(drawn, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn[::2], drawn[1::2])[0, 1]) < 0.01


def test_bad_seeds_are_refused() -> None:
    for seed, count in ((bytes(31), 1), (bytes(32), -1)):
        with pytest.raises(ValueError, match="seed, count"):
            uniforms(seed, count)

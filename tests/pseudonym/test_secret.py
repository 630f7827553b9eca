"""Secrets: drawn by the system, weak ones refused, and their words."""

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemin.pseudonym import Secret
from tests.pseudonym.conftest import a_secret

# BIP-39's own test vector for this entropy (trezor/python-mnemonic, vectors.json)
KNOWN = "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f"
KNOWN_WORDS = (
    "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group "
    "space point ten exist slush involve unfold"
)


def test_new_secrets_differ() -> None:
    assert len({Secret.new().data for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "data",
    [
        bytes(32),
        b"\xff" * 32,
        bytes(range(16)) * 2,
        hashlib.md5(b"x").digest() * 2,
        b"\x01\x9c\xf3" * 10 + b"\x01\x9c",
        bytes(range(32)),
        bytes(range(200, 168, -1)),
        bytes(7 * i % 256 for i in range(32)),
        bytes([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7, 9, 5]),
        b"correct horse battery staple, ok",
        hashlib.sha256(b"x").hexdigest()[:32].encode(),
    ],
)
def test_weak_ones_are_refused_and_not_repeated(data: bytes) -> None:
    with pytest.raises(ValueError, match="random bytes") as refusal:
        Secret(data)
    assert data.hex() not in str(refusal.value)
    assert repr(data) not in str(refusal.value)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), hashlib.sha512(b"x").digest(), "x" * 32, None])
def test_another_size_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected 32 bytes"):
        Secret(data)


def test_it_never_shows_itself(secret: Secret) -> None:
    for shown in (repr(secret), str(secret), f"{secret}", secret.fingerprint):
        assert secret.data.hex()[:8] not in shown
        assert repr(secret.data) not in shown
    assert secret.fingerprint in repr(secret)
    assert len(bytes.fromhex(secret.fingerprint)) == 8


def test_equality_is_of_the_bytes(secret: Secret) -> None:
    assert secret == a_secret()
    assert hash(secret) == hash(a_secret())
    assert secret != a_secret("bob")
    assert secret != secret.data
    assert pickle.loads(pickle.dumps(secret)) == secret


def test_words_are_bip39s() -> None:
    assert Secret(bytes.fromhex(KNOWN)).words == KNOWN_WORDS
    assert Secret.from_words(KNOWN_WORDS).data.hex() == KNOWN


@given(st.binary(min_size=8, max_size=8))
def test_words_and_back(data: bytes) -> None:
    secret = Secret(hashlib.sha256(data).digest())
    assert Secret.from_words(secret.words) == secret


def test_words_in_any_case_spacing_and_by_four_letters() -> None:
    secret = Secret(bytes.fromhex(KNOWN))
    assert Secret.from_words("\n ".join(KNOWN_WORDS.upper().split())) == secret
    assert Secret.from_words(" ".join(word[:4] for word in KNOWN_WORDS.split())) == secret


def test_a_wrong_word_is_named_by_its_place() -> None:
    words = KNOWN_WORDS.split()
    words[6], words[23] = "warriorr", "xyzzy"
    with pytest.raises(ValueError, match=r"as word 7, 24$") as refusal:
        Secret.from_words(" ".join(words))
    assert "warrior" not in str(refusal.value)


def test_words_that_do_not_belong_together_are_refused() -> None:
    words = KNOWN_WORDS.split()
    words[0], words[1] = words[1], words[0]
    with pytest.raises(ValueError, match="checksum"):
        Secret.from_words(" ".join(words))


@pytest.mark.parametrize("words", ["", "void come", KNOWN_WORDS + " void", " ".join(KNOWN_WORDS.split()[:12])])
def test_another_number_of_words_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=f"expected 24, got {len(words.split())}"):
        Secret.from_words(words)


def test_words_of_a_weak_secret_are_refused() -> None:
    with pytest.raises(ValueError, match="again and again"):
        Secret.from_words("abandon " * 23 + "art")

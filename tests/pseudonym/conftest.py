"""Secrets and contexts for the tests of pseudonyms: hashes of words, never one of the system's."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from facemin.pseudonym import Context, Secret

CONTEXT = Context(
    origin="https://id.example",
    signer=hashlib.sha256(b"signer").digest(),
    space=hashlib.sha256(b"space").digest(),
    dimension=64,
    purpose="main",
    epoch=3,
)


def a_secret(word: str = "ann") -> Secret:
    return Secret(hashlib.sha256(word.encode()).digest())


def a_context(**changes: Any) -> Context:
    return replace(CONTEXT, **changes)


@pytest.fixture
def secret() -> Secret:
    return a_secret()

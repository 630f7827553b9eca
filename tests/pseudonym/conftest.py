"""Secrets and contexts for the tests of pseudonyms: hashes of words and those of spec/, never one of the system's."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from facemin.pseudonym import Context, Secret
from tests.conftest import REPOSITORY

SPEC = REPOSITORY / "spec"
DOCUMENT = json.loads((SPEC / "vectors" / "pseudonym.json").read_text(encoding="utf-8"))


def context_of(values: dict[str, Any]) -> Context:
    """A context as the test vectors write it."""
    return Context(**values | {name: bytes.fromhex(values[name]) for name in ("signer", "space")})


CONTEXT = replace(context_of(DOCUMENT["vectors"][0]["context"]), epoch=3)


def a_secret(word: str = "ann") -> Secret:
    return Secret(hashlib.sha256(word.encode()).digest())


def a_context(**changes: Any) -> Context:
    return replace(CONTEXT, **changes)


@pytest.fixture
def secret() -> Secret:
    return a_secret()

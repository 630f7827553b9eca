"""Test vectors of pseudonyms, written anew: only when the format's version changes.

    python spec/make_pseudonym_vectors.py spec/vectors/pseudonym.json

Secrets and embeddings in it are hashes of public words, for tests only.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facemin.pseudonym import (
    Context,
    PossessionKey,
    Pseudonym,
    Secret,
    UploadStatement,
    derive_seed,
    normalise_origin,
    score_preserving,
)
from facemin.pseudonym.derivation import normals, uniforms
from facemin.pseudonym.rotation import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTEXTS = {
    "a collection of a signed provider": Context(
        origin="https://id.example",
        signer=hashlib.sha256(b"signer").digest(),
        space=hashlib.sha256(b"space").digest(),
        dimension=64,
        purpose="main",
        epoch=0,
    ),
    "odd dimension, epoch, port, no signer": Context(
        origin="https://id.example:8443",
        space=hashlib.sha256(b"another space").digest(),
        dimension=7,
        purpose="Zutritt Büro",
        epoch=2**40 + 3,
    ),
    "local, largest usual dimension": Context(
        origin="local", space=hashlib.sha256(b"wide space").digest(), dimension=128, purpose="files", epoch=1
    ),
}
URLS = (
    "https://Example.COM:443/path?query#fragment",
    "http://example.com:80",
    "http://localhost:8000/",
    "https://Bücher.example",
    "https://faß.example",
    "https://例え.テスト:8443",
    "https://192.0.2.1:444",
    "http://[2001:DB8:0:0:1:0:0:1]:8080",
    "https://[::ffff:192.0.2.1]",
    "https://[1:0:0:2:0:0:0:3]",
    "http://[::]",
    "https://a_b.example",
    "local",
)


MOST = 0.3
"""Of the best cosine, in a probe that keeps no more than a decision needs."""


def probes(embedding: NDArray[np.float64]) -> dict[str, Any]:
    """What is left of an embedding where two others, near it, are enrolled."""
    dimension = len(embedding)
    drawn = [normals(hashlib.sha256(word).digest(), dimension).round(6) for word in (b"first", b"second")]
    templates = np.stack([embedding + 0.8 * drawn[0], 0.5 * embedding + drawn[1]]).round(6)
    seed = hashlib.sha256(b"remainder").digest()
    made = {
        name: score_preserving(embedding[None], templates, [seed], most=most)[0].tolist()
        for name, most in (("scores", None), ("decision", MOST))
    }
    return {"templates": templates.tolist(), "remainder_seed": seed.hex(), "most": MOST, **made}


def vector(name: str, context: Context) -> dict[str, Any]:
    """All that follows from one secret and context."""
    secret = Secret(hashlib.sha256(f"test vector: {name}".encode()).digest())
    pseudonym = Pseudonym(secret=secret, context=context)
    seed = derive_seed(secret, context)
    dimension = context.dimension
    embedding = normals(hashlib.sha256(b"embedding").digest(), dimension).round(6)
    target = unit_rows(unit_rows(embedding[None], "embedding") @ pseudonym.matrix.T, "target")[0]
    key = PossessionKey(secret=secret, origin=context.origin, purpose=context.purpose)
    statement = UploadStatement(
        challenge=hashlib.sha256(b"challenge").digest(),
        operation="verify",
        purpose=context.purpose,
        upload=hashlib.sha256(np.asarray(target, "<f4").tobytes()).digest(),
        person="ann",
        epoch=context.epoch,
    )
    return {
        "name": name,
        "secret": secret.data.hex(),
        "words": secret.words,
        "secret_fingerprint": secret.fingerprint,
        "context": {
            "origin": context.origin,
            "signer": context.signer.hex(),
            "space": context.space.hex(),
            "dimension": dimension,
            "purpose": context.purpose,
            "epoch": context.epoch,
        },
        "encoded_context": context.encode().hex(),
        "seed": seed.hex(),
        "pseudonym_fingerprint": pseudonym.fingerprint,
        "uniforms": uniforms(seed, 8).tolist(),
        "normals": normals(seed, 8).tolist(),
        "rotation_rows": [
            {"row": row, "values": pseudonym.matrix[row].tolist()} for row in (0, dimension // 2, dimension - 1)
        ],
        "embedding": embedding.tolist(),
        "target": target.tolist(),
        "probes": probes(embedding),
        "possession_public": key.public.hex(),
        "statement": {
            "challenge": statement.challenge.hex(),
            "operation": statement.operation,
            "upload": statement.upload.hex(),
            "person": statement.person,
        },
        "encoded_statement": statement.encode().hex(),
        "signature": key.sign(statement).hex(),
    }


def main() -> None:
    """Write the file."""
    document = {
        "format": "facemin pseudonym test vectors",
        "version": 1,
        "vectors": [vector(name, context) for name, context in CONTEXTS.items()],
        "origins": [{"url": url, "origin": normalise_origin(url)} for url in URLS],
    }
    Path(sys.argv[1]).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

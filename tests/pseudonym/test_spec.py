"""The test vectors of spec/, computed again here and by the JavaScript beside them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facemin.pseudonym import (
    PossessionKey,
    Pseudonym,
    Secret,
    UploadStatement,
    derive_seed,
    normalise_origin,
    score_preserving,
    verify_upload,
)
from facemin.pseudonym.derivation import normals, uniforms
from tests.pseudonym.conftest import DOCUMENT, SPEC, context_of


@pytest.mark.parametrize("vector", DOCUMENT["vectors"], ids=lambda vector: vector["name"])
def test_python_computes_the_test_vectors(vector: dict[str, Any]) -> None:
    secret, bound = Secret(bytes.fromhex(vector["secret"])), context_of(vector["context"])
    made = Pseudonym(secret=secret, context=bound)
    seed = derive_seed(secret, bound)
    assert Secret.from_words(vector["words"]) == secret
    assert secret.words == vector["words"]
    assert secret.fingerprint == vector["secret_fingerprint"]
    assert bound.encode().hex() == vector["encoded_context"]
    assert seed.hex() == vector["seed"]
    assert made.fingerprint == vector["pseudonym_fingerprint"]
    assert uniforms(seed, 8).tolist() == vector["uniforms"]
    assert normals(seed, 8).tolist() == pytest.approx(vector["normals"], abs=1e-14)
    for line in vector["rotation_rows"]:
        assert np.abs(made.matrix[line["row"]] - line["values"]).max() < 1e-11
    assert np.abs(made.targets([vector["embedding"]])[0] - vector["target"]).max() < 1e-7
    made_of = vector["probes"]
    for name, most in (("scores", None), ("decision", made_of["most"])):
        seeds = [bytes.fromhex(made_of["remainder_seed"])]
        found = score_preserving([vector["embedding"]], made_of["templates"], seeds, most=most)
        assert np.abs(found[0] - made_of[name]).max() < 1e-11
    key = PossessionKey(secret=secret, origin=bound.origin, purpose=bound.purpose)
    said = vector["statement"]
    statement = UploadStatement(
        challenge=bytes.fromhex(said["challenge"]),
        operation=said["operation"],
        purpose=bound.purpose,
        upload=bytes.fromhex(said["upload"]),
        person=said["person"],
        epoch=bound.epoch,
    )
    assert key.public.hex() == vector["possession_public"]
    assert statement.encode().hex() == vector["encoded_statement"]
    assert key.sign(statement).hex() == vector["signature"]
    assert verify_upload(key.public, bytes.fromhex(vector["signature"]), statement)


@pytest.mark.parametrize("line", DOCUMENT["origins"], ids=lambda line: line["url"])
def test_python_normalises_the_origins_of_the_vectors(line: dict[str, str]) -> None:
    assert normalise_origin(line["url"]) == line["origin"]


def test_the_vectors_are_what_the_script_writes(tmp_path: Path) -> None:
    """Words and structure; last digits of the numbers may differ with the machine's mathematics."""
    subprocess.run([sys.executable, SPEC / "make_pseudonym_vectors.py", tmp_path / "new.json"], check=True)
    new = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    numeric = {
        "normals",
        "rotation_rows",
        "target",
        "embedding",
        "probes",
        "statement",
        "encoded_statement",
        "signature",
    }
    assert new["origins"] == DOCUMENT["origins"]
    assert [{k: v for k, v in line.items() if k not in numeric} for line in new["vectors"]] == [
        {k: v for k, v in line.items() if k not in numeric} for line in DOCUMENT["vectors"]
    ]


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else "v0"
    if not found or int(version[1:].split(".")[0]) < 20:
        pytest.skip("needs Node.js 20 or later")
    return found


def test_javascript_meets_them(node: str) -> None:
    done = subprocess.run([node, SPEC / "check_pseudonym.mjs"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(DOCUMENT["vectors"])


def test_javascript_would_notice(node: str, tmp_path: Path) -> None:
    changed = json.loads(json.dumps(DOCUMENT))
    changed["vectors"][0]["rotation_rows"][1]["values"][5] += 2e-9
    changed["vectors"][1]["signature"] = "00" * 64
    changed["vectors"][2]["probes"]["decision"][3] += 3e-9
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "pseudonym.json").write_text(json.dumps(changed))
    shutil.copy(SPEC / "check_pseudonym.mjs", tmp_path)
    done = subprocess.run([node, tmp_path / "check_pseudonym.mjs"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "signature differs" in done.stdout
    assert "2.00e-9" in done.stdout
    assert "3.00e-9" in done.stdout

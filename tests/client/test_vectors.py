"""The vectors of spec/vectors/client, computed again here; web/test holds the TypeScript client to the same."""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

from facemin.client.pins import Pins
from facemin.face import Detector, align, similarity
from facemin.image import decode
from facemin.keys.default import default_key
from facemin.keys.key import Key
from facemin.keys.trust import shipped_graphs
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import Context, PossessionKey, Pseudonym, Secret, UploadStatement, verify_upload
from facemin.pseudonym.capture_hash import capture_hashes
from facemin.pseudonym.possession import renewal_digest
from facemin.pseudonym.sealing import unseal
from facemin.runtime.errors import KeyChanged

SPEC = Path(__file__).resolve().parents[2] / "spec"
FOLDER = SPEC / "vectors" / "client"
DOCUMENT = json.loads((FOLDER / "client.json").read_text(encoding="utf-8"))
KEYS = json.loads((FOLDER / "keys.json").read_text(encoding="utf-8"))
NOW = datetime.fromisoformat(KEYS["now"])
CHAIN = DOCUMENT["chain"]


def picture(name: str) -> NDArray[np.uint8]:
    return decode(FOLDER / name).pixels


def composed(recipe: dict[str, Any]) -> NDArray[np.uint8]:
    part = picture(DOCUMENT["photo"]).repeat(recipe["repeat"], 0).repeat(recipe["repeat"], 1)
    part = part[:, recipe.get("cut_left", 0) :]
    if "places" not in recipe:
        return np.ascontiguousarray(part)
    made = np.full((recipe["height"], recipe["width"], 3), 128, np.uint8)
    for x, y in recipe["places"]:
        made[y : y + part.shape[0], x : x + part.shape[1]] = part
    return made


def differs(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    return int(np.abs(first.astype(int) - second).max())


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(threads=1)


@pytest.mark.parametrize("scene", DOCUMENT["scenes"], ids=lambda scene: scene["name"])
def test_faces_are_detected_as_in_the_vectors(scene: dict[str, Any], detector: Detector) -> None:
    photo = composed(scene["recipe"])
    found = detector(photo)
    assert len(found) == len(scene["faces"])
    for face, expected in zip(found, scene["faces"], strict=True):
        assert np.abs(face.points - expected["points"]).max() < 0.1
        assert np.abs(np.subtract(face.box, expected["box"])).max() < 0.1
        points = np.array([expected["points"]])
        assert np.abs(similarity(points)[0] - expected["similarity"]).max() < 1e-9
        crop = align(photo, points)[0]
        assert differs(crop, picture(expected["crop"])) <= 1
        assert capture_hashes(picture(expected["crop"]))[0].tobytes().hex() == expected["capture_hash"]


def test_a_photo_becomes_the_upload_of_the_vectors() -> None:
    key, protector = default_key(), shipped_protector(SPACE_MODEL)
    assert key.space is not None
    assert protector is not None
    assert (key.fingerprint, key.manifest.sha256) == (CHAIN["key_sha256"], CHAIN["graph_sha256"])
    assert (key.space.id.hex(), protector.fingerprint) == (CHAIN["space"], CHAIN["protector_sha256"])
    run = FaceRunner(key.graph)
    embedding = key.space.embed(run, picture(CHAIN["crop"])[None])[0]
    assert embedding @ CHAIN["embedding"] > 0.9999
    secret = Secret(bytes.fromhex(CHAIN["secret"]))
    context = Context(
        origin=CHAIN["origin"],
        space=key.space.id,
        dimension=key.space.dimension,
        purpose=CHAIN["purpose"],
        epoch=CHAIN["epoch"],
    )
    made = Pseudonym(secret=secret, context=context)
    assert made.fingerprint == CHAIN["pseudonym_fingerprint"]
    assert np.abs(made.matrix[0] - CHAIN["rotation_first_row"]).max() < 1e-9
    assert np.abs(made.targets([CHAIN["embedding"]])[0] - CHAIN["target"]).max() < 1e-7
    blurred = run(CHECKS["blur-1"](picture(CHAIN["painted"])[None]))[0]
    residual = np.linalg.norm(blurred / np.linalg.norm(blurred) - CHAIN["target"])
    assert residual == pytest.approx(CHAIN["residual_after_blur"], abs=1e-4)
    feature = load(base64.b64decode(CHAIN["feature"]))["feature"]
    assert feature.tolist() == pytest.approx(CHAIN["target"], abs=1e-7)
    sealed = base64.b64decode(CHAIN["sealed"])
    assert unseal(secret, sealed, use="facemin captures v1").hex() == CHAIN["unsealed"]


@pytest.mark.parametrize("upload", DOCUMENT["statements"]["uploads"], ids=lambda upload: upload["operation"])
def test_uploads_are_signed_as_in_the_vectors(upload: dict[str, Any]) -> None:
    secret = Secret(bytes.fromhex(CHAIN["secret"]))
    key = PossessionKey(secret=secret, origin=CHAIN["origin"], purpose=CHAIN["purpose"])
    digest = hashlib.sha256((FOLDER / upload["data"]).read_bytes()).digest()
    if upload["replaced_by"]:
        others = [hashlib.sha256(bytes.fromhex(data)).digest() for data in upload["replaced_by"]]
        digest = renewal_digest(digest, others, key.public)
    statement = UploadStatement(
        challenge=DOCUMENT["statements"]["challenge"].encode(),
        operation=upload["operation"],
        purpose=CHAIN["purpose"],
        upload=digest,
        person=upload["person"],
        epoch=CHAIN["epoch"],
    )
    proof = upload["body"]["possession"]
    assert proof["public_key"] == key.public.hex()
    assert verify_upload(key.public, bytes.fromhex(proof["signature"]), statement)


def packed(name: str, kind: str = "files") -> bytes:
    return gzip.decompress(base64.b64decode(KEYS[kind][name]["data"]))


@pytest.mark.parametrize("name", KEYS["files"])
def test_keys_are_read_as_in_the_vectors(name: str) -> None:
    said = KEYS["files"][name]
    if said["refused"]:
        with pytest.raises(ValueError, match=said["refused"]):
            Key.load(packed(name), now=NOW)
        return
    key = Key.load(packed(name), now=NOW)
    assert key.space is not None
    assert (key.fingerprint, key.space.id.hex()) == (said["sha256"], said["space"])
    assert (key.signer.hex() if key.signer else None) == said["signer"]
    assert json.loads(key.manifest.model_dump_json()) == said["manifest"]


@pytest.mark.parametrize("name", KEYS["spoilt"])
def test_spoilt_keys_are_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the words for each are the other client's
        Key.load(packed(name, "spoilt"), now=NOW)


@pytest.mark.parametrize("pair", KEYS["pins"], ids=lambda pair: f"{pair['first']}, then {pair['then']}")
def test_pins_accept_and_refuse_as_in_the_vectors(pair: dict[str, Any], tmp_path: Path) -> None:
    pins, url = Pins(root=tmp_path), "https://id.example"
    pins.accept(url, packed(pair["first"]), now=NOW)
    if pair["taken"]:
        pins.accept(url, packed(pair["then"]), now=NOW)
    else:
        with pytest.raises(KeyChanged):
            pins.accept(url, packed(pair["then"]), now=NOW)


def test_the_published_list_is_the_one_of_the_vectors() -> None:
    assert [graph.graph_sha256 for graph in shipped_graphs()] == [CHAIN["graph_sha256"]]


def test_the_vectors_are_what_the_script_writes(tmp_path: Path) -> None:
    """Structure and what is exact on every machine; last digits of the rest may differ."""
    subprocess.run([sys.executable, SPEC / "make_client_vectors.py", tmp_path], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in FOLDER.iterdir())
    assert (differs(decode(tmp_path / "photo.png").pixels, picture("photo.png"))) == 0
    new, keys = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("client.json", "keys.json"))
    assert [scene["recipe"] for scene in new["scenes"]] == [scene["recipe"] for scene in DOCUMENT["scenes"]]
    assert new["chain"]["space"] == CHAIN["space"]
    assert keys["pins"] == KEYS["pins"]
    assert {name: file["sha256"] for name, file in keys["files"].items()} == {
        name: file["sha256"] for name, file in KEYS["files"].items()
    }


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1 << 20

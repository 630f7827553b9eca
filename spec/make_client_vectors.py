"""Test vectors of a client: photo, landmarks, crop, embedding, target, image, upload; and key files that are refused.

    python spec/make_client_vectors.py spec/vectors/client

The photo is a part of scikit-image's astronaut (NASA, public domain); secrets and signing keys are hashes of public
words. Written anew only when what a client computes changes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import ModelProto, TensorProto, helper, numpy_helper

from facemin.data import data_file
from facemin.face import Detector, align, similarity
from facemin.image import decode, encode
from facemin.keys.default import default_key
from facemin.keys.key import Key, export_key, renew_key
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.models.recogniser import RecogniserGraph
from facemin.models.space import Isotropy, SpaceDeclaration
from facemin.models.space_fit import SpaceMap, append_space
from facemin.protection.one_pass.painter import CHECKS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import Context, PossessionKey, Pseudonym, Secret, UploadStatement
from facemin.pseudonym.capture_hash import capture_hashes
from facemin.pseudonym.possession import renewal_digest
from facemin.pseudonym.sealing import seal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.image import Pixels


CORNER, SIDE = (20, 110), 230
"""Top, left and side of the part of the astronaut that is the photo."""
ORIGIN, COLLECTION, PERSON, EPOCH = "https://id.example", "main", "ann", 3
MADE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
D = 12


def photo() -> Pixels:
    """The part of the astronaut, from scikit-image's PNG."""
    path = data_file("", package="skimage", path="data/astronaut.png")
    if path is None:
        raise SystemExit("expected scikit-image to be installed")
    top, left = CORNER
    return np.ascontiguousarray(decode(path).pixels[top : top + SIDE, left : left + SIDE])


def scenes(base: Pixels) -> dict[str, tuple[Pixels, dict[str, Any]]]:
    """Photos made of the base, each with its recipe: every pixel repeated, then put on grey at places (x, y)."""
    recipes: dict[str, dict[str, Any]] = {
        "as it is": {"repeat": 1},
        "large: shrunk for the first look": {"repeat": 4},
        "two faces on a wide picture": {"repeat": 1, "width": 1900, "height": 1000, "places": [[90, 40], [1500, 700]]},
        "at the left edge": {"repeat": 1, "cut_left": 96},
        "no face": {"repeat": 1, "width": 700, "height": 300, "places": []},
    }
    return {name: (compose(base, recipe), recipe) for name, recipe in recipes.items()}


def compose(base: Pixels, recipe: dict[str, Any]) -> Pixels:
    """The photo of a recipe."""
    part = base.repeat(recipe["repeat"], 0).repeat(recipe["repeat"], 1)[:, recipe.get("cut_left", 0) :]
    if "places" not in recipe:
        return np.ascontiguousarray(part)
    made = np.full((recipe["height"], recipe["width"], 3), 128, np.uint8)
    for x, y in recipe["places"]:
        made[y : y + len(part), x : x + part.shape[1]] = part
    return made


def detections(base: Pixels, folder: Path) -> list[dict[str, Any]]:
    """What the detector finds in each scene; the crops lie beside."""
    detector, made = Detector(threads=1), []
    for number, (name, (pixels, recipe)) in enumerate(scenes(base).items()):
        found = detector(pixels)
        points = np.array([face.points for face in found], np.float32).reshape(-1, 5, 2)
        crops = align(pixels, points)
        files = [f"crop-{number}-{place}.png" for place in range(len(found))]
        for file, crop in zip(files, crops, strict=True):
            (folder / file).write_bytes(encode(crop))
        made.append(
            {
                "name": name,
                "recipe": recipe,
                "faces": [
                    {
                        "box": list(face.box),
                        "score": face.score,
                        "points": face.points.tolist(),
                        "similarity": matrix.tolist(),
                        "crop": file,
                        "capture_hash": bits.tobytes().hex(),
                    }
                    for face, matrix, file, bits in zip(
                        found,
                        similarity(points),
                        files,
                        capture_hashes(crops) if len(crops) else (),
                        strict=True,
                    )
                ],
            }
        )
    return made


def chain(folder: Path) -> dict[str, Any]:
    """From the first scene's crop to what is sent of it."""
    key, crop = default_key(), decode(folder / "crop-0-0.png").pixels
    space, protector = key.space, shipped_protector(SPACE_MODEL)
    assert space is not None
    assert protector is not None
    run = FaceRunner(key.graph)
    embedding = space.embed(run, crop[None])
    secret = Secret(hashlib.sha256(b"test vector: client").digest())
    context = Context(
        origin=ORIGIN, signer=b"", space=space.id, dimension=space.dimension, purpose=COLLECTION, epoch=EPOCH
    )
    pseudonym = Pseudonym(secret=secret, context=context)
    target = pseudonym.targets(embedding)
    noise = np.random.default_rng(5).standard_normal(protector.manifest.noise).astype(np.float32)
    painted = paint(protector.graph, target, noise[None])
    (folder / "painted.png").write_bytes(encode(painted[0]))
    blurred = run(CHECKS["blur-1"](painted))
    blurred /= np.linalg.norm(blurred, axis=1, keepdims=True)
    rows = run(np.stack([crop, crop[:, ::-1]]))
    return {
        "crop": "crop-0-0.png",
        "key_sha256": key.fingerprint,
        "graph_sha256": key.manifest.sha256,
        "space": space.id.hex(),
        "views": [row.tolist() for row in rows],
        "embedding": embedding[0].tolist(),
        "secret": secret.data.hex(),
        "origin": ORIGIN,
        "purpose": COLLECTION,
        "epoch": EPOCH,
        "rotation_first_row": pseudonym.matrix[0].tolist(),
        "pseudonym_fingerprint": pseudonym.fingerprint,
        "target": target[0].tolist(),
        "feature": base64.b64encode(feature(target[0], key)).decode(),
        "protector_sha256": protector.fingerprint,
        "noise": noise.tolist(),
        "painted": "painted.png",
        "residual_after_blur": float(np.linalg.norm(blurred - target)),
        "sealed": base64.b64encode(seal(secret, b"what was kept", use="facemin captures v1")).decode(),
        "unsealed": b"what was kept".hex(),
    }


def feature(target: NDArray[np.float32], key: Key) -> bytes:
    """A target as a safetensors file, whose header a writer may order as it likes: here as named."""
    header = {
        "__metadata__": {"format": "facemin-feature-1", "key_id": key.manifest.key_id, "cut": key.manifest.cut},
        "feature": {"dtype": "F32", "shape": [len(target)], "data_offsets": [0, 4 * len(target)]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + target.astype("<f4").tobytes()


def paint(graph: ModelProto, target: NDArray[np.float32], noise: NDArray[np.float32]) -> Pixels:
    """The decoder's images on the 8-bit grid."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"target": target, "noise": noise})
    return np.ascontiguousarray(np.rint(images * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def uploads(folder: Path) -> dict[str, Any]:
    """Bodies of every operation, each signed, over the bytes of the painted image."""
    key = default_key()
    assert key.space is not None
    secret = Secret(hashlib.sha256(b"test vector: client").digest())
    possession = PossessionKey(secret=secret, origin=ORIGIN, purpose=COLLECTION)
    data, other = (folder / "painted.png").read_bytes(), b"the upload that replaces it"
    challenge = "c" * 43
    made = []
    for operation in ("enrol", "verify", "identify", "renew"):
        person = "" if operation == "identify" else PERSON
        digest = hashlib.sha256(data).digest()
        if operation == "renew":
            digest = renewal_digest(digest, [hashlib.sha256(other).digest()], possession.public)
        statement = UploadStatement(
            challenge=challenge.encode(),
            operation=operation,
            purpose=COLLECTION,
            upload=digest,
            person=person,
            epoch=EPOCH,
        )
        made.append(
            {
                "operation": operation,
                "person": person,
                "data": "painted.png",
                "replaced_by": [other.hex()] if operation == "renew" else None,
                "body": {
                    "kind": "image",
                    "key_id": key.manifest.key_id,
                    "pseudonym": {"space": key.space.id.hex(), "epoch": EPOCH},
                    "possession": {
                        "public_key": possession.public.hex(),
                        "signature": possession.sign(statement).hex(),
                    },
                },
            }
        )
    return {"challenge": challenge, "uploads": made}


def signing(word: str) -> Ed25519PrivateKey:
    """A signing key of a public word."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"test vector: {word}".encode()).digest())


def small_key(**settings: Any) -> Key:
    """A key of a random network that ends in a space of twelve dimensions."""
    matrix = np.random.default_rng(0).standard_normal((48, 16)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 16])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    fitted = SpaceMap(mean=np.zeros(16, np.float32), matrix=np.eye(D, 16, dtype=np.float32))
    isotropy = Isotropy(mean=0.1, last_over_first=0.5, effective_dimension=9.0, faces=100)
    space = SpaceDeclaration(dimension=D, isotropy=isotropy, fitted="random numbers", views="face")
    name = settings.pop("recogniser", "small")
    recogniser = RecogniserGraph(append_space(model, fitted), name=name, space=space)
    values = {"provider": "Acme", "residual": 0.3, "created": MADE, "signing_key": signing("Acme")} | settings
    return export_key(recogniser, "space", **values)


def keys() -> dict[str, Key]:
    """Key files, all of them whole."""
    first = small_key()
    day = timedelta(days=1)
    protector = hashlib.sha256(b"a protector").hexdigest()
    return {
        "signed": first,
        "unsigned": small_key(signing_key=None),
        "successor": renew_key(first, key_id="second", created=MADE + day, signing_key=signing("Acme")),
        "successor with a protector": renew_key(
            first, key_id="third", created=MADE + 2 * day, protector=protector, signing_key=signing("Acme")
        ),
        "older": renew_key(first, key_id="older", created=MADE - day, signing_key=signing("Acme")),
        "other signer": renew_key(first, key_id="second", created=MADE + day, signing_key=signing("Mallory")),
        "signature taken away": renew_key(first, key_id="second", created=MADE + day),
        "other recogniser": small_key(recogniser="another", created=MADE + day),
        "other provider": small_key(provider="Acne", created=MADE + day),
        "other residual": small_key(residual=1.0, created=MADE + day),
        "expired": small_key(expires=MADE + day),
        "from the future": small_key(created=NOW + 3 * day),
    }


PINS = {
    ("signed", "signed"): True,
    ("signed", "successor"): True,
    ("signed", "successor with a protector"): True,
    ("successor", "signed"): False,
    ("signed", "older"): False,
    ("signed", "other signer"): False,
    ("signed", "signature taken away"): False,
    ("signed", "other recogniser"): False,
    ("signed", "other provider"): False,
    ("signed", "other residual"): False,
    ("unsigned", "unsigned"): True,
    ("unsigned", "signed"): False,
}
"""Whether, with the first key pinned, the second is taken."""


def spoilt(data: bytes) -> dict[str, tuple[bytes, str]]:
    """Files that are refused, each with a word of the reason."""
    text = data.find(b'"residual":0.3')
    signature = data.find(b"facemin.signature")
    flipped = bytearray(data)
    flipped[200] ^= 1
    resigned = bytearray(data)
    resigned[signature + 30] ^= 1
    return {
        "a byte of the graph": (bytes(flipped), "changed"),
        "a figure of the manifest": (data[:text] + data[text:].replace(b":0.3", b":0.4", 1), "signature"),
        "a letter of the signature": (bytes(resigned), "signature"),
        "bytes after the metadata": (data + data[-4:], "key"),
        "half of it": (data[: len(data) // 2], "key"),
        "nothing": (b"", "key"),
    }


def key_files() -> dict[str, Any]:
    """The keys as gzip in base64, and what is made of them."""
    made = keys()
    bad = {name: ("expired" if name == "expired" else "made") for name in ("expired", "from the future")}
    return {
        "now": NOW.isoformat(),
        "files": {
            name: {
                "data": packed(key.data),
                "sha256": key.fingerprint,
                "signer": key.signer.hex() if key.signer is not None else None,
                "space": key.space.id.hex() if key.space is not None else None,
                "manifest": json.loads(key.manifest.model_dump_json()),
                "refused": bad.get(name),
            }
            for name, key in made.items()
        },
        "spoilt": {
            name: {"data": packed(data), "refused": word} for name, (data, word) in spoilt(made["signed"].data).items()
        },
        "pins": [{"first": first, "then": then, "taken": taken} for (first, then), taken in PINS.items()],
        "outputs": {
            "key": "signed",
            "crop": "crop-0-0.png",
            "embedding": FaceRunner(made["signed"].graph)(_crop())[0].tolist(),
        },
    }


def _crop() -> Pixels:
    return decode(Path(sys.argv[1]) / "crop-0-0.png").pixels[None]


def packed(data: bytes) -> str:
    """Bytes as gzip in base64, the same on every machine."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    base = photo()
    (folder / "photo.png").write_bytes(encode(base))
    document = {
        "format": "facemin client test vectors",
        "version": 1,
        "photo": "photo.png",
        "scenes": detections(base, folder),
        "chain": chain(folder),
        "statements": uploads(folder),
    }
    for name, content in (("client.json", document), ("keys.json", key_files())):
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

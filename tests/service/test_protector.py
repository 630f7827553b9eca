"""The one-pass protector that a provider offers beside its key, and images painted by it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import facemin
from facemin.client.client import KeyChanged
from facemin.client.pseudonymous import Faces, NotReached, Sender
from facemin.image import decode
from facemin.keys.key import Key
from facemin.protection import decode_feature, encode_pseudonym
from facemin.protection.one_pass import protector as one_pass_protector
from facemin.protection.one_pass.decoder_graph import DecoderSize, decoder_graph, weight_shapes
from facemin.protection.one_pass.painter import PAINTED_RESIDUAL
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.protection.revealing.by_digest import key_runner
from facemin.pseudonym import Secret
from facemin.service.making import rotate
from tests.service.device import SPACE, face
from tests.service.running import Running, running
from tests.service.test_cli import run

SIZE = DecoderSize(widths=(16, 8, 8, 4), blocks=(1, 1, 0, 0), style=16, layers=2)


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("spaced") / "home", **SPACE) as made:
        yield made


def protector(space: str) -> bytes:
    """One that was never trained."""
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(max(int(np.prod(shape[1:])), 1))).astype(np.float32)
        for name, shape in weight_shapes(SIZE, target=66, noise=4).items()
    }
    return ProtectorFile.make(decoder_graph(SIZE, weights, target=66, noise=4), SIZE, space=space).data


def test_a_protector_is_served_beside_the_key_that_names_it(spaced: Running, tmp_path: Path) -> None:
    before = Key.load(spaced("GET", "/v1/key").data)
    assert before.manifest.protector is None
    assert before.space is not None
    data = protector(before.space.id.hex())
    path = tmp_path / "protector.onnx"
    path.write_bytes(data)
    assert run("provider", "protector", path, "--home", spaced.home) == 0
    after = Key.load(spaced("GET", "/v1/key").data)
    assert after.manifest.protector == hashlib.sha256(data).hexdigest()
    assert after.signer == before.signer
    assert after.space == before.space
    served = spaced("GET", "/v1/key/protector", token=None)
    assert served.data == data
    assert served.headers["etag"] == f'"{after.manifest.protector}"'
    known = {"If-None-Match": served.headers["etag"]}
    assert spaced("GET", "/v1/key/protector", headers=known).status == 304
    # the next rotation offers it still
    provider = spaced.provider
    rotate(provider.database, spaced.home, provider.settings, provider.recogniser)
    assert Key.load(spaced("GET", "/v1/key").data).manifest.protector == after.manifest.protector
    path.write_bytes(protector("0" * 64))
    with pytest.raises(ValueError, match="one of the key's space"):
        run("provider", "protector", path, "--home", spaced.home)
    client = facemin.Client(spaced.url, spaced.admin, secret=None)
    client.key()
    found = client._protector("image")
    assert found is not None
    assert found.data == data


def test_another_protector_than_the_key_names_is_refused(spaced: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Key.load(spaced("GET", "/v1/key").data)
    assert key.space is not None
    rotate(
        spaced.provider.database,
        spaced.home,
        spaced.provider.settings,
        spaced.provider.recogniser,
        protector=protector(key.space.id.hex()),
    )
    client = facemin.Client(spaced.url, spaced.admin, secret=None)
    client.key()
    named = spaced.provider.keyring.manifest(spaced.key_id).protector
    assert named is not None
    monkeypatch.setitem(spaced.provider.keyring._files, named, b"another")
    with pytest.raises(KeyChanged, match="protector"):
        client._protector("image")


@pytest.fixture
def sender(spaced: Running) -> Sender:
    key = Key.load(spaced("GET", "/v1/key").data)
    return Sender(secret=Secret.new(), origin=spaced.url, collection="main", key=key)


FACES = [Faces(crops=np.zeros((1, 112, 112, 3), np.uint8), embeddings=face(1)[None])]


def untrained(sender: Sender) -> ProtectorFile:
    return ProtectorFile.load(protector(sender.space.id.hex()))


def test_an_image_that_misses_its_target_is_not_sent(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass_protector, "torch_is_there", lambda: False)
    with pytest.raises(NotReached, match="nothing was sent"):
        sender.encode(FACES, 0, "image", untrained(sender))


def test_what_one_pass_misses_is_optimised_where_torch_is_there(sender: Sender) -> None:
    (image,) = sender.encode(FACES, 0, "image", untrained(sender))
    target = sender.pseudonym(0).targets(FACES[0].embeddings)[0]
    # the image as it is: a space's own embedding averages it with its mirror image
    made = key_runner(sender.key)(decode(image).pixels[None])[0]
    assert float(np.linalg.norm(made - target)) <= max(sender.key.manifest.residual, PAINTED_RESIDUAL)


def test_a_feature_is_what_the_provider_s_reader_reads(sender: Sender) -> None:
    (data,) = sender.encode(FACES, 0, "feature", None)
    target = sender.pseudonym(0).targets(FACES[0].embeddings)[0]
    assert np.array_equal(decode_feature(data, sender.key.manifest), target)
    # and so is what `protect --upload features` writes to a file
    assert np.array_equal(decode_feature(encode_pseudonym(target, sender.key, epoch=7), sender.key.manifest), target)

"""The provider key: what it holds, and every way of refusing one."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import ModelProto, StringStringEntryProto, helper

from facemin.autograd.distance import relative_distance
from facemin.keys.key import Key, export_key, read_signing_key, renew_key
from facemin.keys.wire import MANIFEST, SIGNATURE, metadata
from facemin.models import Recogniser, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import Isotropy, SpaceDeclaration
from facemin.models.space_fit import SpaceMap, append_space
from facemin.runtime.inference_session import inference_session
from tests.models.test_store import tiny_graph

CUT, LATER = "conv32.1", "conv32.3"
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = SIGNING.public_key().public_bytes_raw()
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return load_recogniser("dlib-resnet29")


@pytest.fixture(scope="module")
def key(recogniser: Recogniser) -> Key:
    return export_key(recogniser, CUT, provider="Acme", residual=0.2, created=NOW)


@pytest.fixture(scope="module")
def signed(recogniser: Recogniser) -> Key:
    expires = NOW + timedelta(days=30)
    return export_key(recogniser, CUT, provider="Acme", residual=0.2, created=NOW, expires=expires, signing_key=SIGNING)


def test_manifest_says_what_was_asked(key: Key, recogniser: Recogniser) -> None:
    manifest = key.manifest
    assert (manifest.provider, manifest.recogniser, manifest.cut) == ("Acme", "dlib-resnet29", CUT)
    assert manifest.features == (32, 35, 35)
    assert manifest.layers == (CUT,)
    assert manifest.residual == 0.2
    assert manifest.key_id == manifest.sha256[:16]
    assert key.signer is None


def test_file_is_read_back_and_is_the_same_each_time(key: Key, recogniser: Recogniser, tmp_path: Path) -> None:
    key.save(tmp_path / "acme.key.onnx")
    again = Key.load(tmp_path / "acme.key.onnx")
    assert again.manifest == key.manifest
    assert again.fingerprint == key.fingerprint
    other = export_key(recogniser, CUT, provider="Acme", residual=0.2, created=NOW)
    assert other.data == key.data


def test_shallow_model_is_the_recognisers_and_onnxruntimes(key: Key, recogniser: Recogniser) -> None:
    faces = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    features = key.shallow(faces)
    assert torch.equal(features, recogniser.front(CUT)(faces))
    session = inference_session(key.data, threads=1)
    (oracle,) = session.run(None, {session.get_inputs()[0].name: faces.numpy()})
    np.testing.assert_allclose(features.numpy(), oracle, atol=1e-4)


def test_shallow_model_passes_gradients_to_the_image_only(key: Key) -> None:
    faces = torch.rand(2, 3, 112, 112).requires_grad_()
    (slope,) = torch.autograd.grad(key.shallow(faces).sum(), faces)
    assert slope.abs().sum() > 0
    assert not any(buffer.requires_grad for buffer in key.shallow.buffers())


def test_rest_of_the_recogniser_is_not_in_the_key(key: Key, recogniser: Recogniser) -> None:
    assert len(key.data) < 300_000
    kept = {tensor.name for tensor in ModelProto.FromString(key.data).graph.initializer}
    whole = {tensor.name for tensor in recogniser.graph.graph.initializer}
    assert len(kept) < len(whole) / 3


def test_relative_distance_by_hand() -> None:
    targets = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    features = torch.tensor([[3.0, 5.0], [0.0, 2.0]])
    torch.testing.assert_close(relative_distance(features, targets), torch.tensor([0.2, 0.0]), atol=1e-12, rtol=0)


def test_distance_has_a_finite_slope_where_it_is_zero() -> None:
    features = torch.ones(1, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(relative_distance(features, torch.ones(1, 4)).sum(), features)
    assert slope.isfinite().all()


def test_signed_key_names_its_signer(signed: Key) -> None:
    assert signed.signer == SIGNER
    assert Key.load(signed.data, signer=SIGNER, now=NOW).signer == SIGNER


@pytest.fixture(scope="module")
def layered(recogniser: Recogniser) -> Key:
    return export_key(recogniser, LATER, layers=("conv7", CUT), provider="Acme", residual=0.2, created=NOW)


def changed(data: bytes, change: Callable[[ModelProto], object]) -> bytes:
    model = ModelProto.FromString(data)
    change(model)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded


def manifest_with(**values: object) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == MANIFEST:
                entry.value = json.dumps(json.loads(entry.value) | values)

    return change


def twice(model: ModelProto) -> None:
    model.metadata_props.append(model.metadata_props[0])


def drop_metadata(model: ModelProto) -> None:
    del model.metadata_props[:]


def drop_signature(model: ModelProto) -> None:
    entries = [entry for entry in model.metadata_props if entry.key != SIGNATURE]
    del model.metadata_props[:]
    model.metadata_props.extend(entries)


def change_a_weight(model: ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda value: len(value.raw_data))
    tensor.raw_data = tensor.raw_data[:-1] + bytes([tensor.raw_data[-1] ^ 1])


def poison_a_weight(model: ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda value: len(value.raw_data))
    tensor.raw_data = np.float32(np.nan).tobytes() + tensor.raw_data[4:]


def external_data(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    tensor.external_data.append(StringStringEntryProto(key="location", value="../../etc/passwd"))


def foreign_operator(model: ModelProto) -> None:
    node = helper.make_node("Run", [model.graph.output[0].name], ["evil"], domain="com.example")
    model.graph.node.append(node)


REFUSALS: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "no manifest": (drop_metadata, "without the metadata"),
    "an entry twice": (twice, "twice"),
    "terminal escapes": (manifest_with(provider="Acme\x1b[2J"), "provider"),
    "another version": (manifest_with(version=2), "version"),
    "unknown field": (manifest_with(run="rm"), "run"),
    "residual out of range": (manifest_with(residual=-1), "residual"),
    "residual that is no number": (manifest_with(residual="nan"), "residual"),
    "bad key id": (manifest_with(key_id="../../x"), "key_id"),
    "other feature shape": (manifest_with(features=[32, 35, 36]), "36"),
    "other layers": (manifest_with(layers=["conv7"]), "conv7"),
    "other input": (manifest_with(input="bgr"), "input"),
    "changed weight": (change_a_weight, "SHA-256"),
    "weight that is not finite": (poison_a_weight, "finite"),
    "external data": (external_data, "external"),
    "foreign operator": (foreign_operator, "com.example|Run"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses(name: str, key: Key, tmp_path: Path) -> None:
    change, words = REFUSALS[name]
    path = tmp_path / "bad.key.onnx"
    path.write_bytes(changed(key.data, change))
    with pytest.raises(ValueError, match=words) as caught:
        Key.load(path)
    assert "bad.key.onnx" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.9, 0.999])
def test_refuses_a_truncated_file(keep: float, key: Key) -> None:
    length = int(keep * len(key.data)) if isinstance(keep, float) else keep
    with pytest.raises(ValueError, match="key"):
        Key.load(key.data[:length])


def test_refuses_bytes_after_the_metadata(key: Key) -> None:
    tail = ModelProto(producer_name="somebody else").SerializeToString()
    with pytest.raises(ValueError, match=r"end of the file|SHA-256"):
        Key.load(key.data + tail)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n", b"not a key at all" * 100])
def test_refuses_other_files(data: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        Key.load(data)


def test_refuses_a_changed_manifest_of_a_signed_key(signed: Key) -> None:
    data = changed(signed.data, manifest_with(provider="Mallory"))
    with pytest.raises(ValueError, match="signature"):
        Key.load(data, now=NOW)


def test_refuses_a_signature_without_its_twin(signed: Key) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Key.load(changed(signed.data, drop_signature), now=NOW)


def test_refuses_an_unsigned_key_where_a_signer_is_required(key: Key) -> None:
    with pytest.raises(ValueError, match="unsigned"):
        Key.load(key.data, signer=SIGNER)


def test_refuses_another_signer(signed: Key) -> None:
    with pytest.raises(ValueError, match=SIGNER.hex()):
        Key.load(signed.data, signer=bytes(32), now=NOW)


def test_refuses_an_expired_key_but_shows_it(signed: Key) -> None:
    after = NOW + timedelta(days=30)
    with pytest.raises(ValueError, match="expired"):
        Key.load(signed.data, now=after)
    assert Key.load(signed.data, now=after, allow_expired=True).manifest.expires == after
    assert Key.load(signed.data, now=after - timedelta(seconds=1))


def test_missing_file_is_pythons_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Key.load(tmp_path / "none.key.onnx")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cut": "conv999"}, "conv7, conv32.1"),
        ({"residual": float("nan")}, "nan"),
        ({"residual": 0.0}, "residual"),
        ({"key_id": "with space"}, "key_id"),
        ({"created": datetime(2026, 1, 1)}, "created"),
    ],
)
def test_export_refuses(settings: dict[str, object], words: str, recogniser: Recogniser) -> None:
    arguments = {"cut": CUT, "provider": "Acme", "residual": 0.2} | settings
    with pytest.raises(ValueError, match=words):
        export_key(recogniser, **arguments)  # type: ignore[arg-type]


class TestLayers:
    """A key whose earlier layers are matched as well (Algorithm 2)."""

    def test_are_in_the_manifest_and_come_back_from_the_file(self, layered: Key, tmp_path: Path) -> None:
        layered.save(tmp_path / "layers.key.onnx")
        again = Key.load(tmp_path / "layers.key.onnx")
        assert again.manifest == layered.manifest
        assert again.manifest.layers == ("conv7", CUT, LATER)
        assert again.manifest.features == (32, 35, 35)
        assert again.shallow.output_shapes == ((32, 72, 72), (32, 35, 35), (32, 35, 35))

    def test_each_is_what_the_recogniser_has_there(self, layered: Key, recogniser: Recogniser) -> None:
        faces = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
        layers = Key.load(layered.data).shallow.layers(faces)
        for layer, name in zip(layers, layered.manifest.layers, strict=True):
            torch.testing.assert_close(layer, recogniser.front(name)(faces), rtol=1e-5, atol=1e-5)
        assert torch.equal(layered.shallow(faces), layers[-1])

    def test_are_onnxruntimes_outputs(self, layered: Key) -> None:
        faces = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(1))
        session = inference_session(layered.data, threads=1)
        assert tuple(output.name for output in session.get_outputs()) == layered.manifest.layers
        for ours, oracle in zip(
            layered.shallow.layers(faces), session.run(None, {"faces": faces.numpy()}), strict=True
        ):
            np.testing.assert_allclose(ours.numpy(), oracle, atol=1e-4)

    def test_cost_no_weights(self, layered: Key, recogniser: Recogniser) -> None:
        plain = export_key(recogniser, LATER, provider="Acme", residual=0.2, created=NOW)
        assert len(layered.data) < len(plain.data) + 500

    @pytest.mark.parametrize(
        ("layers", "words"),
        [
            (["conv7", "conv32.2", "conv32.3"], "conv32.2"),
            (["conv32.1", "conv7", "conv32.3"], "conv7"),
            (["conv7", "conv32.3"], "conv32.1"),
            (["conv32.3"], "conv32.1"),
            (["conv7", "conv32.1", "conv32.1", "conv32.3"], "conv32.1"),
            ([], "layers"),
            (["conv7"] * 65, "layers"),
        ],
    )
    def test_other_names_in_the_manifest_are_refused(self, layers: list[str], words: str, layered: Key) -> None:
        with pytest.raises(ValueError, match=words):
            Key.load(changed(layered.data, manifest_with(layers=layers)))

    def test_other_outputs_of_the_graph_are_refused(self, layered: Key) -> None:
        def swap(model: ModelProto) -> None:
            first, second = (model.graph.output[place].name for place in (0, 1))
            model.graph.output[0].name, model.graph.output[1].name = second, first

        with pytest.raises(ValueError, match="SHA-256"):
            Key.load(changed(layered.data, swap))

    @pytest.mark.parametrize(
        ("layers", "words"),
        [
            (("conv32.3",), "conv32.3"),
            (("conv64.1",), "conv64.1"),
            (("conv7", "pooled"), "pooled"),
            (("conv7", "conv7"), "each once.*conv7"),
            (("conv999",), "conv999"),
        ],
    )
    def test_outside_the_cut_or_twice_are_refused_by_name(
        self, layers: tuple[str, ...], words: str, recogniser: Recogniser
    ) -> None:
        with pytest.raises(ValueError, match=words):
            export_key(recogniser, LATER, layers=layers, provider="Acme", residual=0.2)


def test_signing_key_is_read_from_pem(tmp_path: Path) -> None:
    def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    good, other, junk = tmp_path / "good.pem", tmp_path / "other.pem", tmp_path / "junk.pem"
    good.write_bytes(pem(SIGNING))
    other.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    junk.write_bytes(b"junk")
    assert read_signing_key(good).public_key().public_bytes_raw() == SIGNER
    for path in (other, junk):
        with pytest.raises(ValueError, match=path.name):
            read_signing_key(path)


@pytest.fixture(scope="module")
def spacious() -> Recogniser:
    graph = ModelProto.FromString(tiny_graph())
    fitted = SpaceMap(mean=np.full(16, 0.1, np.float32), matrix=np.eye(12, 16, dtype=np.float32))
    isotropy = Isotropy(mean=0.1, last_over_first=0.5, effective_dimension=9.0, faces=100)
    declaration = SpaceDeclaration(dimension=12, isotropy=isotropy, fitted="noise")
    return Recogniser(append_space(graph, fitted), name="tiny-space12", space=declaration)


def test_a_key_cut_at_a_space_declares_it(spacious: Recogniser) -> None:
    key = export_key(spacious, "space", provider="Acme", residual=0.2, created=NOW)
    assert (key.manifest.version, key.manifest.features, key.manifest.space) == (2, (12,), spacious.space)
    assert key.space is not None
    assert (key.space.dimension, key.space.graph_sha256, len(key.space.id)) == (12, key.manifest.sha256, 32)
    assert Key.load(key.data).space == key.space
    assert hashlib.sha256(key.graph).hexdigest() == key.manifest.sha256
    faces = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    wanted = key.shallow(torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255).numpy()
    assert np.allclose(FaceRunner(key.data)(faces), wanted, atol=1e-5)
    # a cut before the space, or another layer beside it, gives the face itself: no space
    for arguments in ({"cut": "embedding"}, {"cut": "space", "layers": ("embedding",)}):
        plain = export_key(spacious, provider="Acme", residual=0.2, created=NOW, **arguments)
        assert (plain.manifest.version, plain.space) == (1, None)


def test_a_key_without_a_space_is_written_as_version_1_was(key: Key) -> None:
    assert key.space is None
    text = json.loads(key.manifest.model_dump_json())
    assert (text["version"], "space" in text) == (1, False)
    assert key.manifest.model_dump(mode="json") == text


def test_what_is_declared_of_a_space_has_to_be_so(spacious: Recogniser, key: Key) -> None:
    made = export_key(spacious, "space", provider="Acme", residual=0.2, created=NOW)
    values = made.manifest.model_dump(mode="json")
    space = values["space"]
    for change, words in (
        ({"version": 1}, "version 2"),
        ({"space": None}, "version 2"),
        ({"version": 3}, "version"),
        ({"space": space | {"dimension": 13}}, "13 numbers"),
        ({"space": space | {"views": "many"}}, "views"),
        ({"space": space | {"more": 1}}, "more"),
        ({"space": space | {"fitted": "a\x1b[2J"}}, "fitted"),
        ({"layers": ["embedding", "space"]}, "only layer"),
    ):
        text = json.dumps(values | change)
        with pytest.raises(ValueError, match=words):
            Key.load(made.graph + metadata({MANIFEST: text}))
    # a graph that does not end in a normalisation, whatever its manifest says
    bare = export_key(spacious, "space.projected", provider="Acme", residual=0.2, created=NOW)
    claim = bare.manifest.model_dump(mode="json") | {"version": 2, "space": space}
    with pytest.raises(ValueError, match="unit length"):
        Key.load(bare.graph + metadata({MANIFEST: json.dumps(claim)}))


def test_a_renewed_key_keeps_its_graph_and_space(spacious: Recogniser, signed: Key) -> None:
    first = export_key(spacious, "space", provider="Acme", residual=0.2, created=NOW, signing_key=SIGNING)
    # the same graph in other bytes: repeated fields of a message may be split, which a serialiser would not write
    rewritten = first.graph + ModelProto(producer_name="facemin").SerializeToString()
    manifest = json.loads(first.manifest.model_dump_json()) | {"sha256": hashlib.sha256(rewritten).hexdigest()}
    old = Key.load(rewritten + metadata({MANIFEST: json.dumps(manifest)}))
    later = NOW + timedelta(days=90)
    new = renew_key(old, key_id="k2", created=NOW, expires=later, signing_key=SIGNING)
    assert new.graph == old.graph == rewritten
    assert new.space is not None
    assert old.space is not None
    assert new.space.id == old.space.id
    assert (new.manifest.key_id, new.manifest.expires, new.signer) == ("k2", later, SIGNER)
    assert new.fingerprint != old.fingerprint
    plain = renew_key(signed, key_id="k3", created=NOW)
    assert (plain.graph, plain.signer, plain.manifest.version) == (signed.graph, None, 1)
    for values, words in (({"key_id": "a b"}, "key_id"), ({"key_id": "k", "expires": NOW}, "expires")):
        with pytest.raises(ValueError, match=words):
            renew_key(old, created=NOW, **values)

"""Protection under a pseudonym: what reaches the result, whose face it is, and what is refused."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import facemin
from facemin.image import Pixels
from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.models.onnx.run import FaceRunner
from facemin.protection import (
    PMT,
    Check,
    Failure,
    FrequencyMask,
    OnePassProtector,
    Protected,
    ProtectedPhoto,
    decode_pseudonym,
    encode_pseudonym,
    protect_photos,
)
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import FolderResult, plan, protect_into
from facemin.protection.sources import open_method, open_secret
from facemin.pseudonym import CaptureReused, OtherPerson, Pseudonym, SecretStore
from facemin.runtime.files import write_atomically
from tests.pseudonym.conftest import a_secret
from tests.space_keys import D, person, protector_for, space_key

PACKAGE = Path(facemin.__file__).parent
SECRET, OTHER_SECRET = a_secret("ann"), a_secret("bob")


@pytest.fixture(scope="module")
def key() -> Key:
    return space_key()


@pytest.fixture(scope="module")
def painter(key: Key) -> OnePassProtector:
    return OnePassProtector(files=(protector_for(key),), fallback=False, tries=1)


@pytest.fixture
def trusted(key: Key) -> None:
    TrustLog().trust(key.manifest.sha256, name="tiny-space", reason="a test's")


def made(photo: Pixels, key: Key, painter: Any, **settings: Any) -> ProtectedPhoto:
    values: dict[str, Any] = {"keys": [key], "secret": SECRET, "method": painter, "aligned": True, "seed": 5}
    (result,) = protect_photos([photo], **values | {"keep_errors": False} | settings)
    assert isinstance(result, ProtectedPhoto)
    return result


def feature(photo: Pixels, key: Key, **settings: Any) -> NDArray[np.float32]:
    target = made(photo, key, None, upload="features", **settings).faces[0].target
    assert target is not None
    return target


class _SameTarget:
    """Answers every face with one embedding: two faces have the same target."""

    def __init__(self, graph: bytes) -> None:
        self.graph = graph

    def __call__(self, faces: Pixels) -> NDArray[np.float32]:
        return np.tile(np.linspace(1, 2, D, dtype=np.float32), (len(faces), 1))


@pytest.mark.usefixtures("trusted")
class TestWhatReachesTheResult:
    @pytest.mark.parametrize("optimised", [False, True])
    def test_two_faces_with_one_target_and_seed_give_the_same_bytes(
        self, key: Key, painter: OnePassProtector, monkeypatch: pytest.MonkeyPatch, optimised: bool
    ) -> None:
        method = PMT(steps=2) if optimised else painter
        monkeypatch.setattr("facemin.protection.targets.key_runner", lambda given: _SameTarget(given.graph))
        one = made(person(1), key, method)
        other = made(person(2), key, method)
        assert one.encoded(one.faces[0]) == other.encoded(other.faces[0])
        assert one.faces[0].done.steps == other.faces[0].done.steps
        another = made(person(2), key, method, seed=6)
        assert another.encoded(another.faces[0]) != one.encoded(one.faces[0])

    def test_a_method_is_given_targets_keys_and_seed_and_nothing_else(self, key: Key) -> None:
        given: list[Any] = []

        class Spy:
            def aim(self, targets: Any, keys: Any, *, seed: int, compute: Any, on_step: Any) -> Iterator[Protected]:
                given.extend([list(targets), list(keys), seed, on_step])
                pixels = np.zeros((112, 112, 3), np.uint8)
                yield Protected(index=0, pixels=pixels, seconds=0, check=Check(residuals=(0,), limits=(1,)))

        made(person(1), key, Spy())
        ((target,),), keys, seed, on_step = given
        assert (type(target), target.dtype, target.shape, keys, seed, on_step) == (
            np.ndarray,
            np.float32,
            (D,),
            [key],
            5,
            None,
        )

    def test_without_a_seed_no_two_images_are_alike(self, key: Key, painter: OnePassProtector) -> None:
        first, second = (made(person(1), key, painter, seed=None).faces[0].pixels for _ in range(2))
        assert not np.array_equal(first, second)

    def test_a_feature_is_the_rotated_embedding(self, key: Key) -> None:
        assert key.space is not None
        found = feature(person(1), key, purpose="door", origin="https://Acme.example/x", epoch=3)
        embedded = key.space.embed(FaceRunner(key.graph), person(1)[None])
        context = {"origin": "https://acme.example", "purpose": "door", "epoch": 3}
        pseudonym = Pseudonym(secret=SECRET, context=_context(key, **context))
        assert np.array_equal(found, pseudonym.targets(embedded)[0])

    def test_targets_agree_under_one_pseudonym_and_are_unrelated_under_others(self, key: Key) -> None:
        base = feature(person(1, 0), key)
        assert float(base @ feature(person(1, 1), key)) > 0.9
        others = [
            feature(person(1, 2), key, purpose="other"),
            feature(person(1, 3), key, origin="https://acme.example"),
            feature(person(1, 4), key, epoch=1),
            feature(person(1, 5), key, secret=OTHER_SECRET),
        ]
        # twelve dimensions: random points are seldom so near
        assert all(abs(float(base @ other)) < 0.9 for other in others)
        assert all(not np.allclose(one, other, atol=0.1) for one, other in pairwise([base, *others]))

    def test_a_pseudonym_has_no_exif(self, key: Key, painter: OnePassProtector, tmp_path: Path) -> None:
        result = made(person(1), key, painter)
        with pytest.raises(ValueError, match="EXIF"):
            result.save(tmp_path / "x.png", exif=True)
        with pytest.raises(ValueError, match="exif"):
            FolderJob(out=tmp_path, keys=[key], secret=SECRET, exif=True)


def _context(key: Key, **values: Any) -> Any:
    from facemin.pseudonym import Context

    assert key.space is not None
    return Context(space=key.space.id, dimension=D, **values)


@pytest.mark.usefixtures("trusted")
class TestWhoseFace:
    def test_the_first_face_is_remembered_and_another_is_refused(self, key: Key) -> None:
        feature(person(1, 0), key)
        feature(person(1, 1), key)
        with pytest.raises(OtherPerson, match="one secret is for one person"):
            feature(person(2), key)
        (failure,) = protect_photos(
            [person(2, 1)], keys=[key], secret=SECRET, upload="features", aligned=True, keep_errors=True
        )
        assert isinstance(failure, Failure)
        assert "one secret is for one person" in failure.reason

    def test_of_a_photo_the_largest_face_that_is_the_persons(self, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
        from facemin.face import Face, Faces
        from facemin.face.align import TEMPLATE

        def found(pixels: Pixels, detector: object) -> Faces:
            faces = [
                Face(
                    box=(0.0, 0.0, 112.0 - at, 112.0),
                    score=1.0,
                    points=(TEMPLATE + np.array([112 * at, 0])).astype(np.float32),
                )
                for at in range(pixels.shape[1] // 112)
            ]
            return Faces(faces=tuple(faces), inside=(1.0,) * len(faces), at_edge=())

        monkeypatch.setattr("facemin.protection.stream.faces_in", found)
        feature(person(1, 0), key)
        photo = np.concatenate([person(2), person(1, 1), person(3)], axis=1)
        result = made(photo, key, None, upload="features", aligned=False)
        (face,) = result.faces
        assert face.face.box == (0.0, 0.0, 111.0, 112.0)
        assert [other.box[2] for other in result.others] == [112.0, 110.0]
        assert result.verdict == "1 face protected, 2 left out (another person)"

    def test_a_capture_goes_under_one_pseudonym(self, key: Key) -> None:
        first = feature(person(1), key)
        # a folder may be finished, and what is sent at once is not sent twice
        assert np.array_equal(feature(person(1), key), first)
        with pytest.raises(CaptureReused) as twice:
            feature(person(1), key, once=True)
        assert twice.value.same
        for other in ({"purpose": "other"}, {"origin": "https://acme.example"}, {"epoch": 1}):
            with pytest.raises(CaptureReused, match="links them"):
                feature(person(1), key, **other)
        feature(person(1), key, purpose="other", linkable=True)

    def test_a_capture_goes_under_one_of_a_persons_secrets(self, key: Key) -> None:
        store = SecretStore()
        store.add(SECRET, "first")
        feature(person(1), key, secret="first")
        with pytest.raises(CaptureReused, match="links them"):
            feature(person(1), key, secret="second")


class TestKeys:
    def test_a_key_without_a_space_is_never_used_plainly(self, dlib_keys: dict[str, Key], home: Path) -> None:
        with pytest.raises(facemin.NoSpace, match="--no-pseudonym"):
            facemin.protect(person(1), keys=[dlib_keys["conv32.1"]])
        assert not (home / "secrets").exists()

    def test_an_unlisted_network_needs_consent_once(self, key: Key, home: Path) -> None:
        with pytest.raises(facemin.UntrustedKey, match="dishonest network can identify you from your second upload on"):
            feature(person(1), key)
        assert not (home / "secrets").exists()
        feature(person(1, 1), key, trust_key=True)
        feature(person(1, 2), key)
        (decision,) = TrustLog().decisions()
        assert (decision.action, decision.graph_sha256) == ("trust", key.manifest.sha256)

    @pytest.mark.usefixtures("trusted")
    def test_several_keys_link_and_have_to_be_asked_for(
        self, key: Key, painter: OnePassProtector, tmp_path: Path
    ) -> None:
        twin = space_key(seed=1, provider="Zeta")
        keys = [key, twin]
        both = replace(painter, files=(*painter.files, protector_for(twin)))
        with pytest.raises(ValueError, match="one person"):
            made(person(1), key, both, keys=keys, trust_key=True)
        result = made(person(1), key, both, keys=keys, linkable=True, trust_key=True)
        names = [path.name for path in result.save(tmp_path / "b.protected.png")]
        assert names == [f"b.{each.manifest.key_id}.protected.png" for each in keys]
        assert [face.keys for face in result.faces] == [(key,), (twin,)]
        assert not np.array_equal(result.faces[0].pixels, result.faces[1].pixels)
        assert result.verdict == "1 face protected"
        method = PMT(steps=1)
        one = made(person(1, 1), key, method, keys=keys, linkable=True, one_image=True)
        assert [path.name for path in one.save(tmp_path / "c.protected.png")] == ["c.protected.png"]
        assert len(one.faces[0].done.residuals) == 2
        with pytest.raises(ValueError, match="one key, got 2"):
            made(person(1, 2), key, both, keys=keys, linkable=True, one_image=True)

    def test_methods_that_need_the_face_serve_no_pseudonym(self, key: Key, painter: OnePassProtector) -> None:
        for method, words in (("frequency-mask", "takes targets"), ("pmt-enhanced", "without the face")):
            with pytest.raises(ValueError, match=words):
                open_method(method, [key], aimed=True)
        with pytest.raises(ValueError, match="takes faces"):
            open_method(painter, [key])
        assert isinstance(open_method("frequency-mask", [key]), FrequencyMask)
        with pytest.raises(ValueError, match="expected a protector for the space"):
            list(OnePassProtector().aim([(np.eye(D, dtype=np.float32)[0],)], [key], seed=1))


def test_a_secret_is_made_once_and_said(key: Key, painter: OnePassProtector, home: Path) -> None:
    first = made(person(1, 0), key, painter, secret="default", trust_key=True)
    second = made(person(1, 1), key, painter, secret="default")
    assert (first.secret_made, second.secret_made) == (True, False)
    assert first.secret == second.secret == SecretStore().load().fingerprint
    assert open_secret(None) == (None, (), False)


@pytest.mark.usefixtures("trusted")
def test_what_one_pass_misses_is_optimised_or_said(painter: OnePassProtector) -> None:
    strict = space_key(residual=0.3)
    TrustLog().trust(strict.manifest.sha256, name="tiny-space", reason="a test's")
    files = (protector_for(strict),)
    short = made(person(1), strict, replace(painter, files=files))
    assert short.unreached == {strict.manifest.key_id: 1}
    better = made(person(1, 1), strict, replace(painter, files=files, fallback=True))
    assert better.faces[0].done.steps > 0
    assert better.faces[0].done.residuals[0] < short.faces[0].done.residuals[0]


class TestFolders:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        from facemin.image import encode

        for number in range(2):
            write_atomically(tmp_path / "in" / f"{number}.png", encode(person(1, number)))
        return tmp_path / "in"

    @pytest.mark.usefixtures("trusted")
    def test_done_is_done_until_the_pseudonym_changes(
        self, photos: Path, key: Key, painter: OnePassProtector, tmp_path: Path
    ) -> None:
        values: dict[str, Any] = {"out": tmp_path / "out", "keys": [key], "method": painter, "aligned": True}
        job = FolderJob(**values, secret=SECRET)
        results = list(protect_into(plan([photos], job), job))
        assert all(isinstance(result, FolderResult) for result in results)
        assert len(plan([photos], FolderJob(**values, secret=SECRET, seed=3)).done) == 2
        for change in ({"secret": OTHER_SECRET}, {"purpose": "b"}, {"origin": "https://a.example"}, {"epoch": 1}):
            assert len(plan([photos], FolderJob(**values | {"secret": SECRET} | change)).todo) == 2, change
        record_file = tmp_path / "out" / "0.protected.json"
        record = json.loads(record_file.read_bytes())
        assert record["pseudonym"] == {"secret": SECRET.fingerprint, "purpose": "main", "origin": "local", "epoch": 0}
        assert SECRET.data.hex() not in record_file.read_text()
        assert record_file.stat().st_mode & 0o777 == 0o600
        # what was interrupted after a capture was noted is made by a rerun
        (tmp_path / "out" / "1.protected.png").unlink()
        (result,) = protect_into(plan([photos], job), job)
        assert isinstance(result, FolderResult)

    def test_plain_folders_keep_their_digest(self, key: Key, tmp_path: Path) -> None:
        """As it was before there were pseudonyms: the sum over the same texts."""
        import hashlib

        method = PMT(steps=1)
        job = FolderJob(out=tmp_path, keys=[key], method=method, secret=None)
        parts = [job.detector, "image", False, False, False]
        named = f"{repr(method)[:-1]}, batch=1, device='cpu', precision='auto')"
        text = "\n".join([named, *map(repr, parts), key.fingerprint])
        assert job.digest == hashlib.sha256(text.encode()).hexdigest()


class TestUploadedFeatures:
    def test_a_feature_comes_back(self, key: Key) -> None:
        target = np.eye(D, dtype=np.float32)[2]
        found = decode_pseudonym(encode_pseudonym(target, key, epoch=7), key)
        assert np.array_equal(found.values, target)
        assert found.epoch == 7

    def test_what_is_no_such_feature_is_refused(self, key: Key) -> None:
        from safetensors.numpy import load, save

        target = np.eye(D, dtype=np.float32)[2]
        data = encode_pseudonym(target, key, epoch=0)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        assert header["kind"] == "pseudonym"
        changes: list[tuple[dict[str, str], NDArray[np.float32], str]] = [
            ({"space": "0" * 64}, target, "space"),
            ({"epoch": "-1"}, target, "epoch"),
            ({"kind": "plain"}, target, "kind"),
            ({}, target * 2, "length"),
            ({}, target * np.float32(np.nan), "finite"),
            ({}, target[:5], r"\(5,\)"),
        ]
        for change, values, words in changes:
            with pytest.raises(ValueError, match=words):
                decode_pseudonym(save({"feature": values}, header | change), key)
        assert set(load(data)) == {"feature"}
        with pytest.raises(ValueError, match="length"):
            encode_pseudonym(target * 2, key, epoch=0)


WORKSHOP = {"protection/registry"}
EVERYDAY = [
    "__init__",
    *sorted(
        name
        for folder in ("protection", "protection/folder", "protection/one_pass", "protection/revealing")
        for path in (PACKAGE / folder).glob("*.py")
        if (name := path.relative_to(PACKAGE).with_suffix("").as_posix()) not in WORKSHOP
    ),
]


@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_modules_import_no_torch_when_they_are_loaded(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    heavy = ("torch", "facemin.autograd", "facemin.ahm", "facemin.protection.pmt", "facemin.protection.registry")
    assert not [each for each in named if each.startswith(heavy)]


def test_a_photo_is_protected_where_torch_cannot_be_imported(
    key: Key, painter: OnePassProtector, home: Path, tmp_path: Path
) -> None:
    able = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['torch'] = None; import facemin.keys.key"],
        capture_output=True,
        check=False,
    )
    if able.returncode:
        pytest.skip("needs keys that load without torch (facemin.keys.key)")
    key.save(tmp_path / "acme.key.onnx")
    painter.files[0].save(tmp_path / "acme.protector.onnx")
    code = """
import sys
sys.modules["torch"] = None
import numpy as np, facemin
from facemin.protection import OnePassProtector
from facemin.protection.one_pass.protector_file import ProtectorFile
photo, folder = np.load(sys.argv[1]), sys.argv[2]
method = OnePassProtector(files=(ProtectorFile.load(folder + "/acme.protector.onnx"),))
results = facemin.protect_photos([photo], keys=folder + "/acme.key.onnx", method=method, aligned=True, trust_key=True)
(out,) = results
print([path.name for path in out.save(folder + "/me.protected.png")], out.secret_made)
"""
    np.save(tmp_path / "face.npy", person(1))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "face.npy"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("['me.protected.png'] True\n", "")

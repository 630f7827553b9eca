"""The parts that stand alone: tokens, thresholds, the plain-face check, batching, metrics."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facemin.autograd.pixels import to_array
from facemin.keys.default import plain_key
from facemin.models import Recogniser, load_recogniser
from facemin.models.calibration import shipped_calibration
from facemin.service.api.errors import ServiceError
from facemin.service.recognition.decisions import judge
from facemin.service.recognition.embed import WHOLE, Embedder
from facemin.service.recognition.thresholds import (
    PairThreshold,
    ThresholdSet,
    impostor_scores,
    measure_pair,
    plain_thresholds,
    shipped_thresholds,
)
from facemin.service.recognition.unprotected_face import SCALES, PlainFaceCheck, coarse, framed, smoothness, views
from facemin.service.storage.database import Database
from facemin.service.storage.records import Kind, Person, Template
from facemin.service.telemetry import Telemetry
from facemin.service.token_authenticator import TokenAuthenticator
from facemin.service.tokens import list_tokens, make_token, parse_grant, revoke_token
from tests.conftest import PATIENCE, REPOSITORY
from tests.service.conftest import FINGERPRINT, unit_rows
from tests.service.running import noise

SHIPPED = sorted((REPOSITORY / "facemin" / "calibrations" / "protected").glob("*.json"))


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return load_recogniser("dlib-resnet29")


class TestTokens:
    def test_a_secret_is_nowhere_in_the_database(self, tmp_path: Path) -> None:
        database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
        with database.writing() as connection:
            token, text = make_token(connection, "app", frozenset({("verify", "main")}))
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        secret = text.split("_", 2)[2]
        assert secret.encode() not in (tmp_path / "x.sqlite").read_bytes()
        assert b"sha256$" in (tmp_path / "x.sqlite").read_bytes()
        assert token.id in text

    def test_a_remembered_token_is_refused_once_it_is_revoked(self, database: Database) -> None:
        with database.writing() as connection:
            token, text = make_token(connection, "app", frozenset({("verify", "main")}))
        door = TokenAuthenticator(database)
        for _ in range(2):
            assert door.admit(text).grants == {("verify", "main")}
        with database.writing() as connection:
            revoke_token(connection, token.id)
        with pytest.raises(ServiceError) as revoked:
            door.admit(text)
        with pytest.raises(ServiceError) as unknown:
            door.admit(f"fmt_{'0' * 16}_{'a' * 43}")
        # nothing tells a caller why
        assert (revoked.value.status, str(revoked.value)) == (401, str(unknown.value))
        with database.reading() as connection:
            assert [t.revoked is not None for t in list_tokens(connection)] == [True]

    def test_a_remembered_token_with_another_secret_is_refused(self, database: Database) -> None:
        with database.writing() as connection:
            _, text = make_token(connection, "app", frozenset({("verify", "main")}))
        door = TokenAuthenticator(database)
        door.admit(text)
        with pytest.raises(ServiceError):
            door.admit(text[:-1] + ("a" if text[-1] != "a" else "b"))

    @pytest.mark.parametrize("text", ["", "fly", "verify:", "verify:A", "verify:../x", "verify:a:b", "*"])
    def test_wrong_grants_are_refused(self, text: str) -> None:
        if text == "verify:":
            assert parse_grant(text) == ("verify", "*")
            return
        with pytest.raises(ValueError, match="expected one of enrol, verify, identify, admin"):
            parse_grant(text)


class TestThresholds:
    def test_measured_by_hand(self) -> None:
        genuine, impostor = torch.tensor([0.9, 0.8, 0.2]), torch.tensor([0.1, 0.3, 0.5, 0.7])
        (entry,) = measure_pair("plain-plain", genuine, impostor, [0.25, 1e-3])
        assert (entry.far, entry.far_measured, entry.impostor_pairs) == (0.25, 0.25, 4)
        assert entry.threshold == pytest.approx(0.5, abs=1e-6)
        assert entry.tar == pytest.approx(2 / 3)

    def test_impostors_are_different_people_each_pair_once(self) -> None:
        rows = torch.from_numpy(unit_rows(5))
        people = torch.tensor([0, 0, 1, 2, 2])
        products = rows @ rows.T
        expected = [products[i, j] for i in range(5) for j in range(i + 1, 5) if people[i] != people[j]]
        torch.testing.assert_close(impostor_scores(rows, rows, people, people), torch.stack(expected))
        assert len(impostor_scores(rows, rows.clone(), people, people)) == 2 * len(expected)

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_what_ships_is_for_the_shipped_recogniser_and_rises_with_strictness(
        self, recogniser: Recogniser, path: Path
    ) -> None:
        cut = path.name.removeprefix("dlib-resnet29.").removesuffix(".json")
        residual = json.loads(path.read_text(encoding="utf-8"))["residual"]
        found = shipped_thresholds(recogniser.name, recogniser.fingerprint, cut=cut, residual=residual)
        assert found is not None
        recogniser.cut(cut)
        for pair in ("protected-protected", "protected-plain", "plain-plain"):
            entries = sorted((e for e in found.thresholds if e.pair == pair), key=lambda e: -e.far)
            assert {1e-3, 1e-4} <= {entry.far for entry in entries}
            assert [e.threshold for e in entries] == sorted(e.threshold for e in entries)
            assert all(entry.impostor_pairs >= 1 / entry.far for entry in entries)
        assert shipped_thresholds(recogniser.name, "0" * 64, cut=cut, residual=residual) is None
        other = shipped_thresholds(recogniser.name, recogniser.fingerprint, cut=cut, residual=residual + 0.01)
        assert other is None

    def test_the_default_key_has_thresholds_for_protected_probes(self, recogniser: Recogniser) -> None:
        manifest = plain_key().manifest
        found = shipped_thresholds(
            recogniser.name, recogniser.fingerprint, cut=manifest.cut, residual=manifest.residual
        )
        assert found is not None
        assert found.find("protected", "plain", 1e-3).measured

    def test_plain_thresholds_say_what_was_not_measured(self, recogniser: Recogniser) -> None:
        calibration = shipped_calibration(recogniser)
        assert calibration is not None
        made = plain_thresholds(calibration, cut="conv32.1", residual=0.2)
        assert made.find("plain", "plain", 1e-3).measured
        assert not made.find("protected", "plain", 1e-3).measured
        with pytest.raises(ValueError, match=r"expected one measured for protected-plain \(.*0.001"):
            made.find("plain", "protected", 0.5)

    def test_an_id_changes_with_anything_that_matters(self) -> None:
        made = threshold_set()
        entry = made.thresholds[0]
        ids = {
            made.id_of(entry),
            made.model_copy(update={"fingerprint": "b" * 64}).id_of(entry),
            made.model_copy(update={"data": "other"}).id_of(entry),
            made.id_of(entry.model_copy(update={"threshold": 0.81})),
        }
        assert len(ids) == 4


def threshold_set() -> ThresholdSet:
    def entry(pair: str, threshold: float) -> PairThreshold:
        values = {"pair": pair, "far": 1e-3, "threshold": threshold, "far_measured": 1e-3, "tar": 0.9}
        return PairThreshold.model_validate(values | {"impostor_pairs": 10_000, "genuine_pairs": 100})

    return ThresholdSet(
        model="m",
        fingerprint=FINGERPRINT,
        cut="c",
        residual=0.1,
        data="d",
        command="x",
        thresholds=(entry("protected-protected", 0.8), entry("protected-plain", 0.6), entry("plain-plain", 0.9)),
    )


def template(kind: Kind, row: np.ndarray | None) -> Template:
    return Template(id=1, kind=kind, key_id="", fingerprint=FINGERPRINT, created=0.0, row=row)


def test_the_template_that_clears_its_own_threshold_by_most_decides() -> None:
    probe = np.array([1, 0], np.float32)
    near, far = np.array([0.75, 0.66], np.float32), np.array([0.65, 0.76], np.float32)
    person = Person(id=1, name="a", created=0.0, templates=(template("protected", near), template("plain", far)))
    verdict = judge(probe, "protected", person, threshold_set(), far=1e-3)
    assert (verdict.accepted, verdict.kind, verdict.threshold.threshold) == (True, "plain", 0.6)
    assert verdict.score == pytest.approx(0.65)
    stale = Person(id=1, name="a", created=0.0, templates=(template("plain", None),))
    with pytest.raises(ServiceError, match="enrol them anew") as caught:
        judge(probe, "protected", stale, threshold_set(), far=1e-3)
    assert caught.value.status == 409


class TestPlainFaces:
    def test_a_face_is_seen_whichever_way_it_is_turned(self, plain_face: Tensor) -> None:
        check = PlainFaceCheck()
        assert all(check(to_array(plain_face.rot90(turns, (1, 2)))) for turns in range(4))

    def test_noise_and_smooth_things_without_a_face_pass(self) -> None:
        check = PlainFaceCheck()
        ramp = torch.linspace(0, 255, 112).byte().expand(3, 112, 112)
        flat = torch.full((3, 112, 112), 7, dtype=torch.uint8)
        assert not any(check(to_array(pixels)) for pixels in (noise(0), ramp, flat))

    def test_smoothness_by_correlation(self, plain_face: Tensor) -> None:
        values = smoothness(to_array(torch.stack([plain_face, torch.zeros_like(plain_face)])))
        grey = torch.nn.functional.avg_pool2d(plain_face.float().mean(0)[None], 2)[0].numpy()
        oracle = min(
            np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1],
            np.corrcoef(grey[1:].ravel(), grey[:-1].ravel())[0, 1],
        )
        assert float(values[0]) == pytest.approx(oracle, abs=0.03)
        assert float(values[1]) == 0

    @pytest.mark.parametrize("scale", SCALES)
    def test_what_is_looked_at_is_what_torch_makes(self, plain_face: Tensor, scale: int) -> None:
        """By torch's own pooling and interpolation, within one grey level."""
        functional, image = torch.nn.functional, plain_face.float()[None]
        small = functional.interpolate(functional.avg_pool2d(image, scale), size=(112, 112), mode="bilinear")[0]
        large = functional.interpolate(image, scale_factor=2, mode="bilinear")[0]
        padded = functional.pad(large, (112,) * 4, value=128)
        for ours, theirs in ((coarse(to_array(plain_face), scale), small), (framed(to_array(plain_face)), padded)):
            assert np.abs(ours.astype(int) - theirs.round().permute(1, 2, 0).int().numpy()).max() <= 1
        grey = functional.avg_pool2d(image.mean(1, keepdim=True), scale)[:, 0]
        grey = grey - grey.mean((1, 2), keepdim=True)
        along, across = grey[:, :, 1:] * grey[:, :, :-1], grey[:, 1:] * grey[:, :-1]
        theirs = torch.minimum(along.mean(), across.mean()) / grey.square().mean()
        assert float(smoothness(to_array(plain_face)[None], scale)[0]) == pytest.approx(float(theirs), abs=1e-5)

    def test_an_image_is_turned_as_torch_turns_it(self, plain_face: Tensor) -> None:
        turned = [*views(to_array(plain_face))][:4]
        for turns in range(4):
            assert np.array_equal(turned[turns], to_array(plain_face.rot90(turns, (1, 2))))


class TestEmbedder:
    def test_a_batch_is_its_inputs_one_by_one(self, recogniser: Recogniser) -> None:
        embedder = Embedder(recogniser, ["conv256.3"])
        faces = torch.stack([noise(n) for n in range(3)]).float() / 255
        with torch.inference_mode():
            features = recogniser.front("conv256.3")(faces)
            expected = recogniser(faces).numpy()
        mixed = embedder([(WHOLE, faces[0]), ("conv256.3", features[1]), (WHOLE, faces[2])])
        np.testing.assert_allclose(mixed, expected, atol=1e-5)
        embedder.close()

    def test_a_failing_batch_fails_its_requests_and_no_later_one(self, recogniser: Recogniser) -> None:
        embedder = Embedder(recogniser, [])
        with pytest.raises((RuntimeError, ValueError)):
            embedder([(WHOLE, torch.zeros(3, 5, 5))])
        assert embedder([(WHOLE, noise(1).float() / 255)]).shape == (1, recogniser.embedding_size)
        embedder.close()

    def test_more_than_may_wait_is_refused(self, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
        embedder = Embedder(recogniser, [], batch=1, waiting=1)
        free = threading.Event()

        def slow(faces: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
            free.wait(PATIENCE)
            return np.ones((len(faces), 4), np.float32)

        monkeypatch.setitem(embedder._models, WHOLE, slow)
        face = (WHOLE, torch.zeros(3, 112, 112))
        first = threading.Thread(target=embedder, args=([face],))
        first.start()
        with pytest.raises(ServiceError, match="full queue"):
            embedder([face] * 3)
        free.set()
        first.join()
        embedder.close()


def test_metrics_are_prometheus_text() -> None:
    telemetry = Telemetry()
    telemetry.request("GET", '/a"b', 200, 0.02)
    telemetry.request("GET", '/a"b', 200, 99.0)
    text = telemetry.text()
    assert 'facemin_requests_total{method="GET",route="/a\\"b",status="200"} 2' in text
    assert 'facemin_request_seconds_bucket{le="0.025",method="GET",route="/a\\"b"} 1' in text
    assert 'facemin_request_seconds_bucket{le="+Inf",method="GET",route="/a\\"b"} 2' in text
    assert 'facemin_request_seconds_count{method="GET",route="/a\\"b"} 2' in text

"""Enrol, verify and identify over HTTP, against a real server with a real recogniser."""

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto
from safetensors.torch import save
from sqlalchemy import update
from torch import Tensor

from facemin.autograd.pixels import to_array
from facemin.keys.key import Key, export_key
from facemin.keys.wire import MANIFEST, metadata
from facemin.protection import encode_feature, feature_of
from facemin.service.making import rotate
from facemin.service.provider_keys import revoke_key
from facemin.service.storage.audit_log import entries
from facemin.service.storage.tables import challenges
from tests.pictures import encode_tensor
from tests.service.running import CUT, Reply, Running, noise


@pytest.fixture
def place(server: Running) -> str:
    return server.new_collection()


def enrol(server: Running, place: str, person: str, *pixels: Tensor) -> Reply:
    return server("POST", f"{place}/persons", {"person": person, "uploads": [server.upload(p) for p in pixels]})


def verify(server: Running, place: str, person: str, pixels: Tensor, **more: object) -> Reply:
    body = {"person": person, "upload": server.upload(pixels), "challenge": server.challenge()} | more
    return server("POST", f"{place}/verify", body)


def nudged(pixels: Tensor) -> Tensor:
    """Another file of almost the same picture, as a second protection of one face would be."""
    other = pixels.clone()
    other[0, 0, 0] ^= 1
    return other


def test_verify_says_score_threshold_far_and_where_the_threshold_is_from(server: Running, place: str) -> None:
    made = enrol(server, place, "a", noise(1))
    assert made.status == 201
    assert made.json()["templates"][0]["kind"] == "protected"
    same = verify(server, place, "a", nudged(noise(1))).json()
    assert same["accepted"] is True
    assert same["score"] > 0.999
    listed = {entry["id"]: entry for entry in server("GET", "/v1/thresholds").json()["thresholds"]}
    entry = listed[same["threshold_id"]]
    assert (entry["threshold"], entry["far"]) == (same["threshold"], 1e-3)
    assert entry["pair"] == "protected-protected"
    strict = verify(server, place, "a", noise(6), far=1e-4).json()
    assert strict["far"] == 1e-4
    assert strict["threshold"] > same["threshold"]


def test_the_score_is_the_recognisers_own(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(2))
    answer = verify(server, place, "a", noise(3)).json()
    rows = server.provider.recogniser.embed(to_array(torch.stack([noise(2), noise(3)])))
    assert answer["score"] == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)


def test_a_feature_is_as_good_as_its_image(server: Running, place: str) -> None:
    key = Key.load(server("GET", "/v1/key", token=None).data)
    data = encode_feature(feature_of(noise(4), key), key)
    upload = {"kind": "feature", "key_id": key.manifest.key_id, "data": base64.b64encode(data).decode()}
    assert server("POST", f"{place}/persons", {"person": "a", "uploads": [upload]}).status == 201
    assert verify(server, place, "a", noise(4)).json()["score"] == pytest.approx(1, abs=1e-4)
    again = {"person": "a", "upload": upload, "challenge": server.challenge()}
    assert server("POST", f"{place}/verify", again).json()["code"] == "replayed_upload"


@pytest.mark.parametrize("change", ["shape", "infinite", "cut off", "other key"])
def test_a_wrong_feature_is_refused(server: Running, place: str, change: str) -> None:
    key = Key.load(server("GET", "/v1/key", token=None).data)
    feature = feature_of(noise(5), key)
    metadata = {"format": "facemin-feature-1", "key_id": key.manifest.key_id, "cut": CUT}
    if change == "shape":
        feature = feature.flatten()[:-1]
    elif change == "infinite":
        feature.view(-1)[3] = float("inf")
    elif change == "other key":
        metadata["key_id"] = "another"
    data = save({"feature": feature.contiguous()}, metadata)
    data = data[:-5] if change == "cut off" else data
    upload = {"kind": "feature", "key_id": key.manifest.key_id, "data": base64.b64encode(data).decode()}
    answer = server("POST", f"{place}/persons", {"person": "a", "uploads": [upload]})
    assert (answer.status, answer.json()["code"]) == (422, "invalid_upload")


def test_identify_ranks_people_and_decides_on_each(server: Running, place: str) -> None:
    for number in range(10, 14):
        enrol(server, place, f"p{number}", noise(number))
    body = {"uploads": [server.upload(nudged(noise(12))), server.upload(noise(99))], "challenge": server.challenge()}
    first, second = server("POST", f"{place}/identify", body | {"top": 3}).json()["results"]
    assert first[0]["person"] == "p12"
    assert first[0]["accepted"] is True
    assert len(first) == len(second) == 3
    rows = server.provider.recogniser.embed(to_array(torch.stack([noise(n) for n in (10, 11, 12, 13, 99)])))
    order = np.argsort(-(rows[:4] @ rows[4]))
    assert [entry["person"] for entry in second] == [f"p{10 + i}" for i in order[:3]]


def test_a_plain_face_is_refused_before_anything_is_kept(server: Running, place: str, plain_face: Tensor) -> None:
    answer = enrol(server, place, "a", plain_face)
    assert (answer.status, answer.json()["code"]) == (422, "plain_face")
    assert "unprotected face" in answer.json()["message"]
    assert server("GET", f"{place}/persons").json()["persons"] == []
    # it was not even remembered as seen
    assert enrol(server, place, "b", noise(20)).status == 201
    audit = server("GET", "/v1/audit?count=1000").json()
    assert [e["outcome"] for e in audit if e["collection"] == place.rpartition("/")[2]][1:] == ["plain_face", "1 faces"]


def test_a_collection_may_take_plain_faces_for_migration(server: Running, plain_face: Tensor) -> None:
    place = server.collection("migration", accept_plain=True)
    made = enrol(server, place, "a", plain_face)
    assert made.json()["templates"][0]["kind"] == "plain"
    decision = verify(server, place, "a", noise(21)).json()
    assert decision["enrolled_as"] == "plain"
    assert decision["threshold_id"].startswith("protected-plain.")
    assert server("PATCH", place, {"accept_plain": False}).json()["accept_plain"] is False
    assert enrol(server, place, "b", plain_face).json()["code"] == "plain_face"


def test_a_whole_photo_is_refused_with_a_hint(server: Running, place: str) -> None:
    answer = enrol(server, place, "a", torch.zeros(3, 300, 200, dtype=torch.uint8))
    assert answer.status == 422
    assert "a photo has to be protected first" in answer.json()["message"]


def test_a_challenge_counts_once_and_for_its_token(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(30))
    challenge = server.challenge()
    assert verify(server, place, "a", noise(31), challenge=challenge).status == 200
    assert verify(server, place, "a", noise(32), challenge=challenge).json()["code"] == "wrong_challenge"
    others = server.challenge(server.token("verify"))
    assert verify(server, place, "a", noise(32), challenge=others).json()["code"] == "wrong_challenge"
    late = server.challenge()
    with server.provider.database.writing() as connection:
        connection.execute(update(challenges).values(expires=0.0))
    assert verify(server, place, "a", noise(32), challenge=late).json()["code"] == "wrong_challenge"


def test_an_upload_counts_once_however_it_is_encoded(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(40))
    assert verify(server, place, "a", noise(40)).json()["code"] == "replayed_upload"
    assert verify(server, place, "a", noise(41)).status == 200
    other_bytes = encode_tensor(noise(41), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    again = server.upload(noise(41), data=base64.b64encode(other_bytes).decode())
    body = {"uploads": [again], "challenge": server.challenge()}
    assert server("POST", f"{place}/identify", body).json()["code"] == "replayed_upload"


def test_a_refused_replay_does_not_use_up_the_challenge(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(42))
    challenge = server.challenge()
    assert verify(server, place, "a", noise(42), challenge=challenge).status == 409
    assert verify(server, place, "a", noise(43), challenge=challenge).status == 200


def test_a_refused_replay_is_in_the_log(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(44))
    assert verify(server, place, "a", noise(44)).status == 409
    with server.provider.database.reading() as connection:
        mine = [entry for entry in entries(connection, count=10**6) if entry.collection == place.rpartition("/")[2]]
    verified = [entry for entry in mine if entry.action == "verify"]
    assert [(entry.outcome, entry.person) for entry in verified] == [("replayed_upload", "a")]


def test_the_same_request_again_gets_the_same_answer_and_does_nothing(server: Running, place: str) -> None:
    headers = {"Idempotency-Key": "0123456789"}
    body = {"uploads": [server.upload(noise(50))]}
    answers = [server("POST", f"{place}/persons", body, headers=headers) for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert len(server("GET", f"{place}/persons").json()["persons"]) == 1
    other = server("POST", f"{place}/persons", {"uploads": [server.upload(noise(51))]}, headers=headers)
    assert (other.status, other.json()["code"]) == (422, "key_reused")
    claim = {"person": answers[0].json()["person"], "upload": server.upload(noise(52)), "challenge": server.challenge()}
    headers = {"Idempotency-Key": "abcdefghij"}
    first, second = (server("POST", f"{place}/verify", claim, headers=headers) for _ in range(2))
    assert first.status == 200
    assert first.data == second.data


def test_the_same_request_at_the_same_time_is_done_once(server: Running, place: str) -> None:
    body, headers = {"uploads": [server.upload(noise(53))]}, {"Idempotency-Key": "at-the-same-time"}
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(server, "POST", f"{place}/persons", body, headers=headers) for _ in range(6)]
        answers = [job.result() for job in jobs]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert len(server("GET", f"{place}/persons").json()["persons"]) == 1


def test_concurrent_requests_share_batches_and_keep_their_own_answers(server: Running, place: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: enrol(server, place, f"p{n}", noise(n)).status, range(100, 116)))
        found = list(pool.map(lambda n: verify(server, place, f"p{n}", nudged(noise(n))).json(), range(100, 116)))
    assert made == [201] * 16
    assert [answer["person"] for answer in found] == [f"p{n}" for n in range(100, 116)]
    assert all(answer["score"] > 0.999 for answer in found)


def test_a_person_is_listed_shown_exported_and_deleted(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(60), noise(61))
    assert server("GET", f"{place}/persons").json() == {"persons": ["a"], "next": None}
    assert len(server("GET", f"{place}/persons/a").json()["templates"]) == 2
    export = server("GET", f"{place}/persons/a/export").json()
    rows = server.provider.recogniser.embed(to_array(torch.stack([noise(60), noise(61)])))
    np.testing.assert_allclose(np.array(export["embeddings"]), rows, atol=1e-5)
    assert server("GET", place).json()["templates"] == 2
    assert server("DELETE", f"{place}/persons/a").status == 204
    assert server("DELETE", f"{place}/persons/a").status == 404
    assert verify(server, place, "a", noise(62)).json()["code"] == "person_not_found"
    body = {"uploads": [server.upload(noise(63))], "challenge": server.challenge()}
    assert server("POST", f"{place}/identify", body).json() == {"results": [[]]}


def test_the_key_has_an_etag_and_a_version(server: Running) -> None:
    first = server("GET", "/v1/key", token=None)
    key = Key.load(first.data)
    assert first.headers["etag"] == f'"{key.fingerprint}"'
    assert first.headers["x-key-id"] == key.manifest.key_id
    assert key.signer is not None
    unchanged = server("GET", "/v1/key", token=None, headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status, unchanged.data) == (304, b"")
    assert server("GET", f"/v1/keys/{key.manifest.key_id}", token=None).data == first.data
    assert server("GET", "/v1/keys/none", token=None).status == 404


def test_a_far_that_was_not_measured_is_refused(server: Running, place: str) -> None:
    enrol(server, place, "a", noise(70))
    answer = verify(server, place, "a", noise(71), far=0.123)
    assert (answer.status, answer.json()["code"]) == (422, "far_not_calibrated")
    assert "0.001" in answer.json()["message"]
    assert server("POST", "/v1/collections", {"name": "x", "far": 0.123}).status == 422


def test_metrics_count_by_route_and_hold_no_names(server: Running, place: str) -> None:
    enrol(server, place, "somebody", noise(80))
    text = server("GET", "/v1/metrics").data.decode()
    assert 'facemin_requests_total{method="POST",route="/v1/collections/{collection}/persons",status="201"}' in text
    assert 'facemin_decisions_total{action="enrol",outcome="done"}' in text
    assert "somebody" not in text
    assert place.rpartition("/")[2] not in text


def test_a_request_keeps_its_id(server: Running) -> None:
    assert server("GET", "/v1/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = server("GET", "/v1/none", headers={"X-Request-ID": "bad id\u00e9"})
    assert made.json()["request_id"] == made.headers["x-request-id"]
    assert made.headers["x-request-id"] != "bad id\u00e9"


class TestKeysInTime:
    """Last in this file: they change the server's keys for good."""

    def test_rotation_overlaps_and_revocation_does_not(self, server: Running) -> None:
        place = server.collection("rotated")
        old = server.key_id
        provider = server.provider
        made = rotate(provider.database, server.home, provider.settings, provider.recogniser)
        assert server("GET", "/v1/key", token=None).headers["x-key-id"] == made.key_id != old
        states = {key["key_id"]: key["state"] for key in server("GET", "/v1/keys").json()}
        assert (states[old], states[made.key_id]) == ("replaced", "current")
        uploads = [server.upload(noise(90), key_id=old), server.upload(noise(91))]
        assert server("POST", f"{place}/persons", {"person": "a", "uploads": uploads}).status == 201
        with provider.database.writing() as connection:
            revoke_key(connection, old)
        refused = server("POST", f"{place}/persons", {"person": "a", "uploads": uploads})
        assert (refused.status, refused.json()["code"]) == (422, "key_revoked")
        assert server("GET", f"/v1/keys/{old}").status == 410
        unknown = server.upload(noise(92), key_id="nobodys")
        assert server("POST", f"{place}/persons", {"uploads": [unknown]}).json()["code"] == "unknown_key"

    def test_rotation_copies_the_graphs_bytes(self, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        def written_otherwise(*arguments: Any, **settings: Any) -> Key:
            # as another version of the protobuf library may write the same graph
            key = export_key(*arguments, **settings)
            body = key.graph + ModelProto(producer_name="facemin").SerializeToString()
            values = key.manifest.model_dump(mode="json") | {"sha256": hashlib.sha256(body).hexdigest()}
            return Key.load(body + metadata({MANIFEST: json.dumps(values)}))

        old = Key.load(server("GET", "/v1/key", token=None).data)
        monkeypatch.setattr("facemin.service.making.export_key", written_otherwise)
        provider = server.provider
        made = rotate(provider.database, server.home, provider.settings, provider.recogniser)
        new = Key.load(server("GET", "/v1/key", token=None).data, signer=old.signer)
        assert (new.manifest.key_id, new.graph) == (made.key_id, old.graph)

    def test_without_a_key_in_force_the_service_is_not_ready(self, server: Running) -> None:
        current = server.key_id
        with server.provider.database.writing() as connection:
            revoke_key(connection, current)
        answer = server("GET", "/v1/ready", token=None)
        assert (answer.status, answer.json()["code"]) == (503, "no_key")
        assert server("GET", "/v1/key", token=None).status == 503
        provider = server.provider
        rotate(provider.database, server.home, provider.settings, provider.recogniser)
        assert server("GET", "/v1/ready", token=None).status == 200

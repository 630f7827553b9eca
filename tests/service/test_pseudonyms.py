"""Pseudonyms in the service: who may enrol, verify, identify and renew, and what is compared with what."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from sqlalchemy import select, text

from facemin.keys.key import Key
from facemin.pseudonym import Secret
from facemin.service.api.errors import ServiceError
from facemin.service.making import rotate
from facemin.service.storage.tables import templates
from tests.service.device import Device, again, face
from tests.service.running import Running, noise


@pytest.fixture
def device(spaced: Running, request: pytest.FixtureRequest) -> Device:
    return Device(spaced, spaced.new_collection(pseudonyms=getattr(request, "param", "required")))


def code(reply: Any) -> tuple[int, str]:
    return reply.status, reply.json().get("code", "")


def test_the_first_collection_requires_pseudonyms_where_the_key_has_a_space(spaced: Running, server: Running) -> None:
    assert spaced("GET", "/v1/collections/main").json()["pseudonyms"] == "required"
    assert server("GET", "/v1/collections/main").json()["pseudonyms"] == "off"
    refused = server("POST", "/v1/collections", {"name": "x", "pseudonyms": "required"})
    assert code(refused) == (422, "no_space")
    assert code(server("PATCH", "/v1/collections/main", {"pseudonyms": "required"})) == (422, "no_space")


def test_enrol_verify_another_person_another_secret(device: Device) -> None:
    me = face(1)
    made = device.enrol("me", me)
    assert made.status == 201, made.data
    (template,) = made.json()["templates"]
    assert template["kind"] == "pseudonym"
    assert template["possession"] == device.possession.public.hex()
    decision = device.verify("me", again(me, 2)).json()
    assert decision["accepted"]
    assert decision["enrolled_as"] == "pseudonym"
    assert decision["threshold_id"].startswith("pseudonym-pseudonym.far1e-03")
    other = device.verify("me", face(3)).json()
    assert not other["accepted"]
    stranger = Device(device.server, device.place)
    assert code(stranger.verify("me", again(me, 4))) == (403, "not_possessed")


def test_a_stolen_template_is_refused(device: Device) -> None:
    """Whoever read the template and the public key sends it, signed by a key of their own."""
    device.enrol("me", face(1))
    provider = device.server.provider
    with provider.database.reading() as connection:
        place = provider.store.collection(connection, device.collection)
        row = provider.store.person(connection, place, "me").templates[0].row
    assert row is not None
    thief = Device(device.server, device.place)
    # painted anew, so that its bytes are not known
    stolen = device.feature(again(face(1), 2, 1e-3))
    challenge = device.challenge("me")["challenge"]
    upload = thief.upload(stolen, challenge, "verify", "me")
    upload["possession"]["public_key"] = device.possession.public.hex()
    body = {"person": "me", "upload": upload, "challenge": challenge}
    assert code(device.server("POST", f"{device.place}/verify", body)) == (403, "not_possessed")


def test_a_replayed_upload_is_refused_and_so_is_an_injected_one(device: Device) -> None:
    device.enrol("me", face(1))
    challenge = device.challenge("me")["challenge"]
    mine = device.upload(device.feature(again(face(1), 5)), challenge, "verify", "me")
    body = {"person": "me", "upload": mine, "challenge": challenge}
    assert device.server("POST", f"{device.place}/verify", body).json()["accepted"]
    # the same request; the same upload with a fresh challenge; with another image in it
    assert code(device.server("POST", f"{device.place}/verify", body)) == (409, "wrong_challenge")
    fresh = device.challenge("me")["challenge"]
    assert code(device.server("POST", f"{device.place}/verify", body | {"challenge": fresh})) == (
        409,
        "replayed_upload",
    )
    fresh = device.challenge("me")["challenge"]
    signed = device.upload(device.feature(again(face(1), 6)), fresh, "verify", "me")
    injected = signed | {"data": base64.b64encode(device.feature(again(face(1), 7))).decode()}
    body = {"person": "me", "upload": injected, "challenge": fresh}
    assert code(device.server("POST", f"{device.place}/verify", body)) == (403, "not_possessed")


@pytest.mark.parametrize("wrong", ["operation", "person", "epoch", "collection"])
def test_a_signature_counts_for_one_operation_person_epoch_and_collection(device: Device, wrong: str) -> None:
    me = face(1)
    for name in ("me", "you"):
        device.enrol(name, again(me, len(name)))
    challenge, data = device.challenge("me")["challenge"], device.feature(again(me, 9))
    upload = device.upload(data, challenge, "verify", "me")
    if wrong == "operation":
        upload = device.upload(data, challenge, "enrol", "me")
    elif wrong == "person":
        upload = device.upload(data, challenge, "verify", "you")
    elif wrong == "epoch":
        upload["pseudonym"]["epoch"] = 1
    else:
        upload = Device(device.server, "/v1/collections/main", device.secret).upload(data, challenge, "verify", "me")
    body = {"person": "me", "upload": upload, "challenge": challenge}
    assert code(device.server("POST", f"{device.place}/verify", body)) == (403, "not_possessed")


def test_equal_features_of_two_people_are_no_replay_but_of_one_they_are(device: Device) -> None:
    """One capture by a site's device, asked of two people."""
    for name in ("a", "b"):
        assert device.enrol(name, again(face(1), ord(name))).status == 201
    data = device.feature(again(face(1), 11))
    assert device.send("a", data).status == 200
    assert device.send("b", data).status == 200
    assert code(device.send("a", data)) == (409, "replayed_upload")


def test_a_feature_has_unit_length(device: Device) -> None:
    device.enrol("me", face(1))
    data = device.feature(again(face(1), 3))
    row = next(iter(load(data).values())) * np.float32(1.001)
    name = next(iter(load(data)))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert code(device.send("me", save({name: row}, header))) == (422, "not_unit_length")


def test_a_collection_refuses_uploads_against_its_policy_on_pseudonyms(spaced: Running) -> None:
    required = Device(spaced, spaced.collection("needed", pseudonyms="required"))
    plain = {"person": "x", "uploads": [spaced.upload(noise(700))]}
    assert code(spaced("POST", f"{required.place}/persons", plain)) == (422, "pseudonym_required")
    off = Device(spaced, spaced.collection("refused", pseudonyms="off"))
    assert code(off.enrol("x", face(1))) == (422, "pseudonyms_off")
    assert spaced("POST", f"{off.place}/persons", plain).status == 201
    assert spaced("PATCH", off.place, {"pseudonyms": "allowed"}).json()["pseudonyms"] == "allowed"
    assert off.enrol("y", face(1)).status == 201


def test_an_upload_with_a_pseudonym_and_no_proof_is_refused(device: Device) -> None:
    challenge = device.challenge("me")["challenge"]
    upload = device.upload(device.feature(face(1)), challenge, "enrol", "me") | {"possession": None}
    body = {"person": "me", "uploads": [upload], "challenge": challenge}
    assert code(device.server("POST", f"{device.place}/persons", body)) == (422, "invalid_request")
    whole = device.upload(device.feature(face(1)), challenge, "enrol", "me")
    assert code(device.server("POST", f"{device.place}/persons", {"person": "me", "uploads": [whole]})) == (
        422,
        "challenge_required",
    )
    wrong = whole | {"pseudonym": {"space": "0" * 64, "epoch": 0}}
    body = {"person": "me", "uploads": [wrong], "challenge": challenge}
    assert code(device.server("POST", f"{device.place}/persons", body)) == (422, "wrong_space")


def test_another_secret_may_not_add_to_a_person_nor_replace_them_without_an_admin(device: Device) -> None:
    device.enrol("me", face(1))
    token = device.server.token(f"enrol:{device.collection}")
    thief = Device(device.server, device.place)
    assert code(thief.enrol("me", face(2), token=token)) == (409, "other_secret")
    assert code(thief.enrol("me", face(2), token=token, epoch=1, replace=True)) == (403, "admin_only")
    assert device.enrol("me", again(face(1), 3), token=token).status == 201
    # a lost secret: an admin, under a higher epoch
    assert code(thief.enrol("me", face(1), replace=True)) == (409, "wrong_epoch")
    done = thief.enrol("me", again(face(1), 4), epoch=1, replace=True)
    assert done.status == 201
    assert len(done.json()["templates"]) == 1
    assert thief.verify("me", again(face(1), 5), epoch=1).json()["accepted"]
    assert code(device.verify("me", again(face(1), 6))) == (403, "not_possessed")


@pytest.mark.parametrize("device", ["allowed"], indirect=True)
def test_kinds_are_never_compared_with_each_other(device: Device) -> None:
    server = device.server
    device.enrol("me", face(1))
    old = {"person": "old", "uploads": [server.upload(noise(720))]}
    assert server("POST", f"{device.place}/persons", old).status == 201
    # a protected face cannot join a pseudonym
    mixed = {"person": "me", "uploads": [server.upload(noise(721))]}
    assert code(server("POST", f"{device.place}/persons", mixed)) == (409, "other_secret")
    body = {"person": "me", "upload": server.upload(noise(722)), "challenge": server.challenge()}
    assert code(server("POST", f"{device.place}/verify", body)) == (409, "needs_enrolment")
    assert code(device.verify("old", face(2))) == (409, "needs_enrolment")
    found = server(
        "POST",
        f"{device.place}/identify",
        {"uploads": [server.upload(noise(723))], "challenge": server.challenge()},
    ).json()["results"]
    assert [decision["person"] for decision in found[0]] == ["old"]


def test_identify_finds_those_of_the_same_possession_key_alone(device: Device) -> None:
    for seed in range(4):
        device.enrol(f"p{seed}", face(seed))
    other = Device(device.server, device.place)
    other.enrol("q", face(1))
    ask = device.challenge(possession=device.possession.public.hex())
    upload = device.upload(device.feature(again(face(2), 9)), ask["challenge"], "identify", "", epoch=ask["epoch"])
    body = {"uploads": [upload], "challenge": ask["challenge"]}
    (found,) = device.server("POST", f"{device.place}/identify", body).json()["results"]
    assert found[0]["person"] == "p2"
    assert found[0]["accepted"]
    assert {decision["person"] for decision in found} == {"p0", "p1", "p2", "p3"}
    forged = other.upload(device.feature(again(face(2), 8)), device.challenge()["challenge"], "identify", "")
    forged["possession"]["public_key"] = device.possession.public.hex()
    body = {"uploads": [forged], "challenge": device.challenge()["challenge"]}
    assert code(device.server("POST", f"{device.place}/identify", body)) == (403, "not_possessed")


def test_renewal_raises_the_epoch_and_the_old_one_is_refused(device: Device) -> None:
    me = face(1)
    device.enrol("me", me)
    assert device.challenge("me")["epoch"] == 0
    # stricter than the collection: a face at a cosine between the two thresholds is verified and not renewed
    thresholds = device.server.provider.thresholds
    low, high = (thresholds.find("pseudonym", "pseudonym", far).threshold for far in (1e-3, 1e-4))
    middle = (low + high) / 2
    across = face(2) - (face(2) @ me) * me
    near = middle * me + np.sqrt(1 - middle**2) * across / np.linalg.norm(across)
    assert device.verify("me", near).json()["accepted"]
    assert code(device.renew("me", again(near, 3, 0.001), again(me, 4))) == (403, "not_renewed")
    assert device.challenge("me")["epoch"] == 0
    done = device.renew("me", again(me, 5), again(me, 6))
    assert done.status == 200, done.data
    assert [template["epoch"] for template in done.json()["templates"]] == [1]
    assert device.challenge("me")["epoch"] == 1
    assert code(device.verify("me", again(me, 7))) == (409, "wrong_epoch")
    assert device.verify("me", again(me, 8), epoch=1).json()["accepted"]
    assert code(device.renew("me", again(me, 9), again(me, 10), epoch=1, raised=2)) == (409, "wrong_epoch")


def test_renewal_under_another_secret_needs_both_signatures(device: Device) -> None:
    me = face(1)
    device.enrol("me", me)
    fresh, thief = (Device(device.server, device.place, Secret.new()) for _ in range(2))
    assert code(device.renew("me", again(me, 2), again(me, 3), device=fresh, signer=thief)) == (403, "not_possessed")
    assert code(thief.renew("me", again(me, 4), again(me, 5))) == (403, "not_possessed")
    assert device.renew("me", again(me, 6), again(me, 7), device=fresh).status == 200
    assert code(device.verify("me", again(me, 8), epoch=1)) == (403, "not_possessed")
    assert fresh.verify("me", again(me, 9), epoch=1).json()["accepted"]


@pytest.mark.parametrize("device", ["allowed"], indirect=True)
def test_verifying_the_old_way_enrols_the_pseudonym_in_the_same_transaction(device: Device) -> None:
    server = device.server
    old = {"person": "me", "uploads": [server.upload(noise(740))]}
    assert server("POST", f"{device.place}/persons", old).status == 201

    def upgrade(seed: int, **more: Any) -> Any:
        challenge = device.challenge("me")["challenge"]
        new = device.upload(device.feature(again(face(1), seed)), challenge, "enrol", "me")
        body = {"person": "me", "challenge": challenge, "upgrade": [new | more]}
        pixels = noise(740)
        pixels[0, 0, seed] += 1
        return server("POST", f"{device.place}/verify", body | {"upload": server.upload(pixels)})

    refused = upgrade(1, possession={"public_key": device.possession.public.hex(), "signature": "0" * 128})
    assert code(refused) == (403, "not_possessed")
    assert upgrade(2).json()["accepted"]
    shown = server("GET", f"{device.place}/persons/me").json()
    assert [template["kind"] for template in shown["templates"]] == ["pseudonym"]
    assert device.verify("me", again(face(1), 3)).json()["accepted"]


def test_a_rotated_key_keeps_enrolments_and_another_space_asks_for_new_ones(device: Device) -> None:
    me, server = face(1), device.server
    device.enrol("me", me)
    before = device.key
    provider = server.provider
    rotate(provider.database, server.home, provider.settings, provider.recogniser)
    after = device.key
    assert after.manifest.key_id != before.manifest.key_id
    assert after.space == before.space
    assert device.verify("me", again(me, 2)).json()["accepted"]
    with provider.database.writing() as connection:
        row = connection.execute(
            select(templates).where(templates.c.possession == device.possession.public.hex())
        ).one()
        place = provider.store.collection(connection, device.collection)
        person = provider.store.person(connection, place, "me")
        binding = person.templates[0].binding
        assert binding is not None
        connection.execute(templates.delete().where(templates.c.id == row.id))
        provider.store.enrol(
            connection,
            place,
            "me",
            np.ones((1, 66), np.float32) / np.float32(66**0.5),
            kinds=["pseudonym"],
            key_ids=["k"],
            binding=binding._replace(space="1" * 64),
        )
    refused = device.verify("me", again(me, 3))
    assert code(refused) == (409, "needs_enrolment")
    assert "enrol anew" in refused.json()["message"]


def test_a_binding_changed_in_the_database_is_found(device: Device) -> None:
    provider = device.server.provider
    device.enrol("me", face(1))
    thief = Device(device.server, device.place)
    for name, value in (("possession", thief.possession.public.hex()), ("epoch", 3), ("space", "2" * 64)):
        with provider.database.writing() as connection:
            mine = select(templates.c.id, templates.c[name]).where(templates.c.kind == "pseudonym")
            number, before = connection.execute(mine.order_by(templates.c.id.desc()).limit(1)).one()
            connection.execute(
                text(f"UPDATE templates SET {name} = :value WHERE id = :id"),
                {"value": value, "id": number},
            )
        with pytest.raises(ServiceError, match="template"), provider.database.reading() as connection:
            provider.store.person(connection, provider.store.collection(connection, device.collection), "me")
        with provider.database.writing() as connection:
            connection.execute(
                text(f"UPDATE templates SET {name} = :value WHERE id = :id"),
                {"value": before, "id": number},
            )


def test_a_challenge_tells_the_epoch_to_those_with_a_scope_there(device: Device) -> None:
    assert device.challenge("nobody") | {"challenge": "", "expires": ""} == {
        "challenge": "",
        "expires": "",
        "carriers": "off",
        "epoch": 0,
        "features": True,
        "pseudonyms": "required",
        "threshold": device.server.provider.thresholds.find("pseudonym", "pseudonym", 1e-3).threshold,
    }
    elsewhere = device.server.token("verify:main")
    refused = device.server("POST", f"/v1/challenges?collection={device.collection}&person=me", token=elsewhere)
    assert code(refused) == (403, "forbidden")


def test_deletion_removes_a_pseudonym(device: Device) -> None:
    device.enrol("me", face(1))
    assert device.server("DELETE", f"{device.place}/persons/me").status == 204
    assert code(device.verify("me", again(face(1), 2))) == (404, "person_not_found")
    assert device.challenge("me")["epoch"] == 0


def test_keys_of_the_space_are_version_2_and_without_a_protector_there_is_none(spaced: Running) -> None:
    key = Key.load(spaced("GET", "/v1/key").data)
    assert key.manifest.version == 2
    assert code(spaced("GET", "/v1/key/protector")) == (404, "protector_not_found")


def test_renewal_ends_the_persons_other_sessions(device: Device) -> None:
    me = face(1)
    backend = device.server.token(f"session:{device.collection}")

    def opened() -> str:
        body = {"collection": device.collection, "person": "me"}
        token: str = device.server("POST", "/v1/sessions", body, token=backend).json()["token"]
        return token

    first, second = opened(), opened()
    assert device.enrol("me", me, token=first).status == 201
    assert device.renew("me", again(me, 2), again(me, 3), token=first).status == 200
    assert code(device.verify("me", again(me, 4), epoch=1, token=first)) == (200, "")
    refused = device.server("POST", "/v1/challenges", token=second)
    assert code(refused) == (401, "session_replaced")
    # by another secret, at the hands of an admin: whoever still has the old one has no session either
    fresh = Device(device.server, device.place)
    assert fresh.enrol("me", again(me, 5), epoch=2, replace=True).status == 201
    assert code(device.server("POST", "/v1/challenges", token=first)) == (401, "session_replaced")

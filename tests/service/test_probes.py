"""Probes of a client against a real server: the score is the face's own, and the rest of what is sent is drawn anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

import facemin
from facemin.client.answers import Challenge
from facemin.client.client import OtherTemplatesWarning
from facemin.client.probes import MARGIN, of_probe
from facemin.client.pseudonymous import Faces, Sender
from facemin.pseudonym import EnrolledTemplates, Secret
from tests.service.device import QUICK, again, face, photos
from tests.service.running import Running

Rows = NDArray[np.float64]


@pytest.fixture
def client(spaced: Running, place: str) -> facemin.Client:
    return facemin.Client(spaced.url, spaced.admin, collection=place, secret=Secret.new())


def read(client: facemin.Client, photo: Path) -> Rows:
    """The embedding of a photo's face, as the client reads it."""
    return client._read(client._sender(), photo).embeddings


def sent(sender: Sender, faces: Faces, epoch: int = 0, threshold: float | None = None) -> Rows:
    """The numbers of a feature, as they are sent of a probe."""
    said = of_probe(sender, [faces], Challenge(challenge="", epoch=epoch, threshold=threshold), "feature", person="me")
    (data,) = sender.encode(said, epoch, "feature", None)
    return next(iter(load(data).values())).astype(np.float64)


def a_face(row: Rows) -> Faces:
    return Faces(crops=np.zeros((1, 112, 112, 3), np.uint8), embeddings=row[None])


def best(client: facemin.Client, photo: Path, enrolled: Rows) -> float:
    """The best cosine of a photo's face with enrolled ones."""
    return float((read(client, photo) @ enrolled.T).max())


def test_decisions_are_those_on_the_faces_and_scores_say_no_more(
    spaced: Running, client: facemin.Client, shared: Path
) -> None:
    mine = photos(shared, "George_W_Bush", 8)
    enrolled = np.concatenate([read(client, photo) for photo in mine[:2]])
    client.enrol("me", mine[:1])
    client.enrol("me", mine[1:2])
    for photo in mine[2:4]:
        decision = client.verify("me", photo)
        told = min(best(client, photo, enrolled), decision.threshold + MARGIN["feature"])
        assert decision.score == pytest.approx(told, abs=1e-5)
        assert decision.accepted
    ((found,),) = client.identify(mine[4])
    assert found.score == pytest.approx(found.threshold + MARGIN["feature"], abs=1e-5)
    # by another threshold than the collection's it is decided on the score itself
    strict = client.verify("me", mine[5], far=1e-4)
    assert strict.score == pytest.approx(best(client, mine[5], enrolled), abs=1e-5)
    scores = replace(client, probe="scores").verify("me", mine[6])
    assert scores.score == pytest.approx(best(client, mine[6], enrolled), abs=1e-5)
    whole = replace(client, probe="embedding").verify("me", mine[7])
    assert whole.score == pytest.approx(best(client, mine[7], enrolled), abs=1e-5)


def test_a_challenge_tells_the_threshold_of_its_collection(spaced: Running, server: Running) -> None:
    place = spaced.collection("told").rpartition("/")[2]
    url = f"/v1/challenges?collection={place}"
    for far in (1e-3, 1e-4):
        assert spaced("PATCH", f"/v1/collections/{place}", {"far": far}).status == 200
        told = spaced("POST", url).json()["threshold"]
        assert told == spaced.provider.thresholds.find("pseudonym", "pseudonym", far).threshold
    assert spaced("POST", "/v1/challenges").json()["threshold"] is None
    # a recogniser without a space has none
    assert server("POST", "/v1/challenges?collection=main").json()["threshold"] is None


def test_what_is_sent_of_a_probe_is_its_scores_and_nothing_else(client: facemin.Client) -> None:
    """Two captures that are nearly one: whole, their uploads are; as probes they are as far apart as scores allow."""
    sender = client._sender()
    one = face(1)
    near = [again(one, seed, noise=0.3) for seed in (2, 3)]
    near[1] = again(near[0], 4, noise=0.01)
    assert np.array_equal(sent(sender, a_face(near[0])), sent(sender, a_face(near[0])))
    sender.remember([a_face(one)], 0, "feature", person="me")
    template = next(iter(load(sender.encode([a_face(one)], 0, "feature", None)[0]).values()))
    found = [sent(sender, a_face(row)) for row in near]
    for row, upload in zip(near, found, strict=True):
        assert float(upload @ template) == pytest.approx(float(row @ one), abs=1e-6)
        assert abs(float(np.linalg.norm(upload)) - 1) < 1e-6
    assert float(near[0] @ near[1]) > 0.99
    s, t = (float(row @ one) for row in near)
    # what is left of a cosine of two random directions in 65 dimensions, within five deviations
    assert abs(float(found[0] @ found[1]) - s * t) < 5 * (1 - s * s) / 65**0.5
    # where a threshold is known, no more than reaches it
    told = [float(sent(sender, a_face(row), threshold=0.3) @ template) for row in near]
    assert told == pytest.approx([0.31, 0.31], abs=1e-6)
    low = sent(sender, a_face(near[0]), threshold=0.999)
    assert float(low @ template) == pytest.approx(s, abs=1e-6)
    # as an image, or where one is enrolled, a little more of it, since it misses its target
    ask = Challenge(challenge="", threshold=0.3)
    (painted,) = of_probe(sender, [a_face(near[0])], ask, "image", person="me")
    assert float((painted.embeddings @ one).item()) == pytest.approx(0.3 + MARGIN["image"])
    sender.remember([a_face(one)], 2, "image", person="me")
    (shown,) = of_probe(sender, [a_face(near[0])], replace(ask, epoch=2), "feature", person="me")
    assert float((shown.embeddings @ one).item()) == pytest.approx(0.3 + MARGIN["image"])
    # under an epoch that nothing was enrolled under, and where it is not wanted, the whole embedding is sent
    for whole, epoch in ((sender, 1), (replace(sender, probe="embedding"), 0)):
        first, second = (sent(whole, a_face(row), epoch) for row in near)
        assert float(first @ second) == pytest.approx(float(near[0] @ near[1]), abs=1e-6)


def test_many_people_under_one_secret_are_sent_whole(client: facemin.Client) -> None:
    sender = client._sender()
    EnrolledTemplates(secret=sender.secret).add(sender.pseudonym(0), "me", face(1)[None], held=1, exact=True)
    site = replace(sender, purpose=sender.collection)
    site.remember([a_face(face(2))], 0, "feature", person="me")
    assert len(EnrolledTemplates(secret=sender.secret).of(sender.pseudonym(0), "me").rows) == 1
    assert np.array_equal(sent(site, a_face(face(3))), sent(site, a_face(face(3))))
    assert not np.array_equal(sent(sender, a_face(face(3))), sent(sender, a_face(face(3))))


def test_renewal_and_upgrade_tell_the_device_what_is_enrolled(spaced: Running, shared: Path) -> None:
    mine = photos(shared, "George_W_Bush", 11)
    place = spaced.collection("upgraded-probes", pseudonyms="allowed", accept_plain=True).rpartition("/")[2]
    client = facemin.Client(spaced.url, spaced.admin, collection=place, secret=Secret.new(), method=QUICK)
    # two photos much alike (0.82), since twelve steps leave an image far from its face, by chance farther still
    replace(client, secret=None).enrol("me", mine[10:11])
    assert client.upgrade("me", mine[9], [mine[4]]).accepted
    sender = client._sender()
    kept = EnrolledTemplates(secret=sender.secret)
    assert np.allclose(kept.of(sender.pseudonym(0), "me").rows, read(client, mine[4]))
    assert client.renew("me", mine[5], [mine[6], mine[1]]) == 1
    rows = np.concatenate([read(client, mine[number]) for number in (6, 1)])
    assert np.allclose(kept.of(sender.pseudonym(1), "me").rows, rows)
    assert client.verify("me", mine[8]).accepted


def test_what_this_device_enrols_anew_takes_the_place_of_what_was_deleted(client: facemin.Client, shared: Path) -> None:
    mine = photos(shared, "George_W_Bush", 3)
    for photo in mine[:2]:
        client.enrol("me", [photo])
        client.delete("me")
    client.enrol("me", [mine[2]])
    sender = client._sender()
    kept = EnrolledTemplates(secret=sender.secret).of(sender.pseudonym(0), "me").rows
    assert np.allclose(kept, read(client, mine[2]))


def test_a_device_whose_enrolment_another_replaced_is_told_and_goes_on(
    client: facemin.Client, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = photos(shared, "George_W_Bush", 9)
    client.enrol("me", mine[:1])
    client.delete("me")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("FACEMIN_HOME", str(tmp_path / "other device"))
        client.enrol("me", mine[1:2])
    # the rest of a probe is drawn anew each time, and compared with another template one in fifteen is accepted by it
    with pytest.warns(OtherTemplatesWarning, match="it was enrolled elsewhere"):
        assert not all(client.verify("me", photo).accepted for photo in mine[2:8])
    decision = client.verify("me", mine[8])
    assert decision.accepted
    assert decision.score == pytest.approx(best(client, mine[8], read(client, mine[1])), abs=1e-5)

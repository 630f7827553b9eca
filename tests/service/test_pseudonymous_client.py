"""A client under a pseudonym against a real server, with photos of people."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import facemin
from facemin.client.client import NoSpace, Prepared, ProviderError, SharedSecretWarning, UntrustedSpace, prepare
from facemin.keys.trust import TrustLog
from facemin.pseudonym import CaptureReused, OtherPerson, Secret, SecretStore
from facemin.service.making import rotate
from tests.service.device import QUICK, photos
from tests.service.running import Running


def code(caught: pytest.ExceptionInfo[ProviderError]) -> str:
    return caught.value.code


def test_from_enrolment_to_deletion(spaced: Running, place: str, shared: Path) -> None:
    mine = photos(shared, "George_W_Bush", 12)
    other = photos(shared, "Serena_Williams", 2)
    client = facemin.Client(spaced.url, spaced.admin, collection=place, secret=Secret.new())
    client.enrol("me", mine[:3])
    decision = client.verify("me", mine[3])
    assert decision.accepted
    assert decision.enrolled_as == "pseudonym"
    # the same photo is not sent twice, and somebody else's not at all
    with pytest.raises(CaptureReused):
        client.verify("me", mine[3])
    with pytest.raises(OtherPerson):
        client.verify("me", other[0])
    # whoever stole the secret is another person to the provider
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SharedSecretWarning)
        thief = replace(client, purpose=place)
    assert not thief.verify("me", other[1]).accepted
    # another secret is refused, the same face or not
    stranger = replace(client, secret=Secret.new())
    with pytest.raises(ProviderError) as caught:
        stranger.verify("me", mine[4])
    assert code(caught) == "not_possessed"
    (found,) = client.identify(mine[5])
    assert [each.person for each in found] == ["me"]
    # rotation keeps it
    provider = spaced.provider
    rotate(provider.database, spaced.home, provider.settings, provider.recogniser)
    assert client.key(refresh=True).manifest.key_id == spaced.key_id
    assert client.verify("me", mine[6]).accepted
    # a call that is refused uses no photo up
    with pytest.raises(CaptureReused):
        client.renew("me", mine[7], [mine[8], mine[6]])
    assert client.renew("me", mine[7], mine[8:10]) == 1
    assert client.verify("me", mine[10]).accepted
    client.delete("me")
    with pytest.raises(ProviderError) as caught:
        client.verify("me", mine[11])
    assert code(caught) == "person_not_found"


def test_nothing_is_ever_sent_plain_by_itself(spaced: Running, server: Running, shared: Path) -> None:
    photo = photos(shared, "George_W_Bush", 1)[0]
    with pytest.raises(NoSpace, match="secret=None"):
        facemin.Client(server.url, server.admin, secret=Secret.new()).verify("me", photo)
    off = spaced.collection("client-off", pseudonyms="off").rpartition("/")[2]
    with pytest.raises(ProviderError) as caught:
        facemin.Client(spaced.url, spaced.admin, collection=off, secret=Secret.new()).enrol("me", [photo])
    assert code(caught) == "pseudonyms_off"
    with pytest.raises(ValueError, match="without a pseudonym"):
        prepare(photo, [facemin.Client(spaced.url, spaced.admin)])
    with pytest.raises(ValueError, match="a prepared one"):
        facemin.Client(spaced.url, spaced.admin, secret=Secret.new()).verify("me", Prepared.__new__(Prepared))


def test_a_network_that_is_not_on_the_list_needs_consent(spaced: Running, place: str, shared: Path) -> None:
    photo = photos(shared, "George_W_Bush", 1)[0]
    client = facemin.Client(spaced.url, spaced.admin, collection=place, secret=Secret.new())
    manifest = client.key().manifest
    TrustLog().withdraw(manifest.sha256, name=manifest.recogniser, reason="a test")
    with pytest.raises(UntrustedSpace, match="second upload"):
        client.enrol("me", [photo])
    client.trust("seen and agreed to")
    assert client.enrol("me", [photo]) == "me"


def test_a_secret_is_made_at_first_use_and_said(spaced: Running, place: str, shared: Path) -> None:
    client = facemin.Client(spaced.url, spaced.admin, collection=place)
    with pytest.warns(UserWarning, match="made a new secret, default"):
        client.enrol("me", photos(shared, "George_W_Bush", 1))


def test_a_site_secret_is_named_as_weaker(spaced: Running, place: str) -> None:
    with pytest.warns(SharedSecretWarning, match="weaker than one a person"):
        facemin.Client(spaced.url, spaced.admin, collection=place, purpose="front door")


def test_features_are_what_pseudonyms_says(spaced: Running, place: str) -> None:
    """A feature's length is 1, whatever the key computed, and two epochs give unrelated ones."""
    from safetensors.numpy import load

    from facemin.client.pseudonymous import Faces, Sender

    client = facemin.Client(spaced.url, spaced.admin, collection=place)
    sender = Sender(secret=Secret.new(), origin=spaced.url, collection=place, key=client.key())
    row = np.random.default_rng(0).standard_normal((1, 66))
    faces = [Faces(crops=np.zeros((1, 112, 112, 3), np.uint8), embeddings=3 * row)]
    found = [load(sender.encode(faces, epoch, "feature", None)[0]) for epoch in (0, 0, 1)]
    rows = [next(iter(each.values())) for each in found]
    assert abs(np.linalg.norm(rows[0]) - 1) < 1e-6
    assert np.array_equal(rows[0], rows[1])
    # within six deviations of the cosine of two random directions
    assert abs(float(rows[0] @ rows[2])) < 6 / 66**0.5


def test_no_capture_is_sent_with_and_without_a_pseudonym(spaced: Running, shared: Path) -> None:
    mine = photos(shared, "George_W_Bush", 6)
    place = spaced.collection("both-ways", pseudonyms="allowed", accept_plain=True).rpartition("/")[2]
    SecretStore().load_or_make("default")
    client = facemin.Client(spaced.url, spaced.admin, collection=place, method=QUICK)
    plain = replace(client, secret=None)
    plain.enrol("me", [mine[0]])
    # what goes plainly is not among what goes under the pseudonym: in the call, before it, or after it
    with pytest.raises(CaptureReused, match="without one it would say"):
        client.upgrade("me", mine[1], [mine[2], mine[1]])
    client.enrol("other", [mine[3]])
    with pytest.raises(CaptureReused, match="without one it would say"):
        client.upgrade("me", mine[3], [mine[2]])
    with pytest.raises(CaptureReused, match="without one it would say"):
        plain.verify("me", mine[3])
    # a call that is refused uses no photo up
    with pytest.raises(CaptureReused, match="nothing is sent twice"):
        client.upgrade("me", mine[4], [mine[3]])
    assert client.upgrade("me", mine[1], [mine[2]]).accepted
    assert client.verify("me", mine[4]).enrolled_as == "pseudonym"
    with pytest.raises(CaptureReused, match="under one it would say"):
        client.verify("me", mine[1])

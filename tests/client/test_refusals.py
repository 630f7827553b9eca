"""What a client does not send: what shows the face, what does not reach its key, and what a hollow key asks for."""

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from onnx import helper
from skimage import data

from facemin.client.client import Client, NotReached, prepare
from facemin.client.pins import Pins
from facemin.image import encode
from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser
from facemin.protection import PMT, RevealingKey, RevealingWarning
from facemin.protection.pmt.initialisation import GaussianNoise
from tests.foreign_keys import average_key, foreign, identity_key

URL = "https://faces.example"
QUICK = PMT(steps=40)


class Provider:
    """Hands out a key, answers whatever is sent, and remembers it."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.sent: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/key":
            return httpx.Response(200, content=self.key.data)
        if request.url.path == "/v1/challenges":
            return httpx.Response(200, json={"challenge": "c"})
        self.sent.append(request.url.path)
        return httpx.Response(200, json={"person": "u", "accepted": True, "results": []})


Talk = Callable[..., tuple[Client, Provider]]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    def run(key: Key, url: str = URL, **settings: object) -> tuple[Client, Provider]:
        provider = Provider(key)
        values = {"method": QUICK, "pins": Pins(root=tmp_path)} | settings
        client = Client(url, "t", transport=httpx.MockTransport(provider), secret=None, **values)  # type: ignore[arg-type]
        return client, provider

    return run


@pytest.fixture(scope="module")
def photo() -> bytes:
    return encode(data.astronaut().copy())


SENDS: dict[str, Callable[[Client, bytes], object]] = {
    "enrol": lambda client, photo: client.enrol("u", [photo]),
    "verify": lambda client, photo: client.verify("u", photo),
    "identify": lambda client, photo: client.identify(photo),
}


@pytest.mark.parametrize("verb", SENDS)
def test_a_revealing_key_gets_nothing(verb: str, talk: Talk, photo: bytes) -> None:
    key = average_key(2)
    client, provider = talk(key)
    with pytest.raises(RevealingKey, match=key.manifest.key_id):
        SENDS[verb](client, photo)
    assert provider.sent == []


def test_a_revealing_key_gets_no_features_either(talk: Talk, photo: bytes) -> None:
    client, provider = talk(average_key(2), upload="features")
    with pytest.raises(RevealingKey):
        client.enrol("u", [photo])
    assert provider.sent == []


def test_prepare_refuses_one_revealing_key_among_two(talk: Talk, photo: bytes) -> None:
    honest = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=0.12)
    clients = [talk(honest)[0], talk(identity_key(), "https://other.example")[0]]
    with pytest.raises(RevealingKey):
        prepare(photo, clients, seed=0, method=QUICK)


def test_research_on_ones_own_service_may_send_it(talk: Talk, photo: bytes) -> None:
    client, provider = talk(average_key(2), allow_revealing=True)
    with pytest.warns(RevealingWarning):
        client.enrol("u", [photo])
    assert provider.sent == ["/v1/collections/main/persons"]


def test_features_that_are_not_finite_are_not_asked_for(talk: Talk, photo: bytes) -> None:
    nodes = [helper.make_node("Add", ["faces", "below"], ["less"]), helper.make_node("Log", ["less"], ["log"])]
    client, provider = talk(foreign(nodes, ["log"], {"below": np.array(-2, np.float32)}))
    with pytest.raises(NotReached, match="expected finite features of a face"):
        client.verify("u", photo)
    assert provider.sent == []


def test_a_key_that_noise_satisfies_is_not_served(talk: Talk, photo: bytes) -> None:
    hollow = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=2.0)
    client, provider = talk(hollow)
    with pytest.raises(NotReached, match="tell a face from noise"):
        client.verify("u", photo)
    assert provider.sent == []


def test_what_did_not_reach_its_key_is_not_sent(talk: Talk, photo: bytes) -> None:
    strict = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=0.001)
    client, provider = talk(strict, method=PMT(steps=2))
    with pytest.raises(NotReached, match=r"at most 0\.001, got .* after 2 steps"):
        client.verify("u", photo)
    assert provider.sent == []


def test_an_even_colour_is_not_sent(talk: Talk, photo: bytes) -> None:
    own = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=0.07)
    client, provider = talk(own, method=PMT(steps=0, start=GaussianNoise(deviation=0)))
    with pytest.raises(NotReached, match="expected an image, got an even colour"):
        client.verify("u", photo)
    assert provider.sent == []

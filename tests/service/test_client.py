"""The app's side: pinning, retries, and one photo for several providers."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import facemin
from facemin.cli.demo.run import astronaut
from facemin.client.client import KeyChanged, ProviderError, prepare
from facemin.client.pins import Pins
from facemin.client.transport import Transport
from facemin.keys.key import Key, export_key
from facemin.models import Recogniser, load_recogniser
from facemin.service.making import rotate
from tests.service.device import QUICK
from tests.service.running import Running, running

URL = "https://faces.example"
SIGNING, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return load_recogniser("dlib-resnet29")


Make = Callable[..., Key]


@pytest.fixture(scope="module")
def make(recogniser: Recogniser) -> Make:
    def run(signing: Ed25519PrivateKey | None = SIGNING, days: int = 0, key_id: str = "k") -> Key:
        created = NOW + timedelta(days=days)
        return export_key(
            recogniser,
            "conv32.1",
            provider="Acme",
            residual=0.3,
            key_id=key_id,
            created=created,
            expires=created + timedelta(days=30),
            signing_key=signing,
        )

    return run


class TestPins:
    def test_the_first_key_is_trusted_and_its_signers_later_ones(self, make: Make, tmp_path: Path) -> None:
        pins = Pins(root=tmp_path)
        first, second = make(), make(days=5, key_id="k2")
        assert pins.pin(URL) is None
        assert pins.accept(URL, first.data, now=NOW).fingerprint == first.fingerprint
        assert pins.file(URL) == first.data
        later = NOW + timedelta(days=6)
        assert pins.accept(URL, second.data, now=later).fingerprint == second.fingerprint
        pin = pins.pin(URL)
        assert pin is not None
        assert (pin.signer, pin.fingerprint) == (SIGNING.public_key().public_bytes_raw().hex(), second.fingerprint)
        with pytest.raises(KeyChanged, match="or later, got an older one"):
            pins.accept(URL, first.data, now=later)

    @pytest.mark.parametrize("signing", [OTHER, None])
    def test_another_signer_is_refused_until_the_old_one_is_forgotten(
        self, make: Make, tmp_path: Path, signing: Ed25519PrivateKey | None
    ) -> None:
        pins = Pins(root=tmp_path)
        pins.accept(URL, make().data, now=NOW)
        other = make(signing, days=1)
        with pytest.raises(KeyChanged, match="facemin client forget"):
            pins.accept(URL, other.data, now=NOW + timedelta(days=2))
        pins.forget(URL)
        pins.accept(URL, other.data, now=NOW + timedelta(days=2))

    def test_an_unsigned_key_has_to_stay_the_very_same(self, make: Make, tmp_path: Path) -> None:
        pins = Pins(root=tmp_path)
        pins.accept(URL, make(None).data, now=NOW)
        pins.accept(URL, make(None).data, now=NOW)
        with pytest.raises(KeyChanged, match="expected the pinned one"):
            pins.accept(URL, make(None, days=1).data, now=NOW + timedelta(days=2))

    def test_a_known_signer_is_demanded_from_the_first_key_on(self, make: Make, tmp_path: Path) -> None:
        pins = Pins(root=tmp_path)
        with pytest.raises(ValueError, match="signed by"):
            pins.accept(URL, make(OTHER).data, signer=SIGNING.public_key().public_bytes_raw(), now=NOW)
        assert pins.pin(URL) is None

    def test_an_expired_key_is_refused(self, make: Make, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="expired"):
            Pins(root=tmp_path).accept(URL, make().data, now=NOW + timedelta(days=31))

    def test_providers_have_pins_of_their_own(self, make: Make, tmp_path: Path) -> None:
        pins = Pins(root=tmp_path)
        pins.accept(URL, make().data, now=NOW)
        pins.accept("https://other.example", make(OTHER).data, now=NOW)

    def test_a_damaged_key_file_is_fetched_again(self, make: Make, tmp_path: Path) -> None:
        pins = Pins(root=tmp_path)
        pins.accept(URL, make().data, now=NOW)
        (file,) = tmp_path.rglob("key.onnx")
        file.write_bytes(b"damaged")
        assert pins.file(URL) is None


@contextmanager
def scripted(*statuses: int, **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers with these statuses in turn, and what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            status = statuses[min(len(asked), len(statuses)) - 1]
            said = {"code": "c", "message": "m\x1b[2J", "request_id": "r"}
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            if status == 0:
                self.connection.close()
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


class TestTransport:
    @pytest.mark.parametrize("failure", [0, 429, 502, 503])
    def test_what_may_pass_is_tried_again_with_the_same_idempotency_key(self, failure: int) -> None:
        with scripted(failure, failure, 200) as (url, asked):
            send = Transport(url=url, token="t", pause=0.01)
            assert send("POST", "/x", {}, headers={"Idempotency-Key": "abcdefgh"}).status == 200
        assert [entry["idempotency-key"] for entry in asked] == ["abcdefgh"] * 3
        assert {entry["authorization"] for entry in asked} == {"Bearer t"}

    def test_a_refusal_is_final_and_safe_to_print(self) -> None:
        with scripted(422, 200) as (url, asked), pytest.raises(ProviderError) as caught:
            Transport(url=url, pause=0.01)("POST", "/x", {})
        assert len(asked) == 1
        assert (caught.value.status, caught.value.code, caught.value.request_id) == (422, "c", "r")
        assert "\x1b" not in str(caught.value)

    def test_it_gives_up(self) -> None:
        with scripted(503) as (url, asked), pytest.raises(ProviderError) as caught:
            Transport(url=url, pause=0.01, tries=3)("POST", "/x", {})
        assert (len(asked), caught.value.status) == (3, 503)

    def test_what_must_not_be_sent_twice_is_sent_once(self) -> None:
        with scripted(503, 200) as (url, asked), pytest.raises(ProviderError):
            Transport(url=url, pause=0.01)("POST", "/x", {}, again=False)
        assert len(asked) == 1

    def test_a_redirect_is_never_followed(self) -> None:
        with scripted(200) as (other, elsewhere), scripted(307, Location=other) as (url, _):
            with pytest.raises(ProviderError):
                Transport(url=url, token="t")("POST", "/x", {})
            assert elsewhere == []

    def test_a_refused_connection_is_a_provider_error(self) -> None:
        with pytest.raises(ProviderError, match="expected an answer from") as caught:
            Transport(url="http://127.0.0.1:9", tries=1)("GET", "/x")
        assert caught.value.status == 0

    @pytest.mark.parametrize(
        "url", ["http://faces.example", "ftp://x", "faces.example", "https://user:pw@faces.example", "https://"]
    )
    def test_plain_http_to_elsewhere_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="https://HOST") as caught:
            Transport(url=url)
        assert "pw" not in str(caught.value)


@pytest.fixture
def client(server: Running, tmp_path: Path) -> facemin.Client:
    return facemin.Client(server.url, server.admin, pins=Pins(root=tmp_path), method=QUICK, secret=None)


def test_enrol_verify_identify_delete(client: facemin.Client) -> None:
    assert client.enrol("astronaut", [astronaut()]) == "astronaut"
    assert client.verify("astronaut", astronaut()).person == "astronaut"
    (found,) = client.identify(astronaut())
    assert "astronaut" in [decision.person for decision in found]
    client.delete("astronaut")
    with pytest.raises(ProviderError) as caught:
        client.verify("astronaut", astronaut())
    assert caught.value.code == "person_not_found"


def test_a_feature_may_be_sent_instead(client: facemin.Client) -> None:
    sender = replace(client, upload="features")
    name = sender.enrol(None, [astronaut()])
    assert client.verify(name, astronaut()).score > 0.8
    client.delete(name)


def test_a_photo_without_a_face_is_refused_here(client: facemin.Client, tmp_path: Path) -> None:
    from tests.pictures import encode_tensor
    from tests.service.running import noise

    with pytest.raises(ValueError, match="no face found"):
        client.verify("x", encode_tensor(noise(0)))


def test_the_client_follows_a_rotation(server: Running, client: facemin.Client) -> None:
    name = client.enrol(None, [astronaut()])
    old = client.key().manifest.key_id
    provider = server.provider
    rotate(provider.database, server.home, provider.settings, provider.recogniser)
    assert client.key().manifest.key_id == old
    from facemin.service.provider_keys import revoke_key

    with provider.database.writing() as connection:
        revoke_key(connection, old)
    assert client.verify(name, astronaut()).person == name
    assert client.key().manifest.key_id != old
    client.delete(name)


def test_one_photo_serves_two_providers(
    server: Running, client: facemin.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("second") / "home", cut="conv256.1", residual=0.5) as second:
        other = facemin.Client(second.url, second.admin, pins=client.pins, method=QUICK, secret=None)
        for each in (client, other):
            each.enrol("shared", [astronaut()])
        both = prepare(astronaut(), [client, other], method=QUICK)
        uploads = [both.uploads(each.key())[0] for each in (client, other)]
        assert uploads[0]["data"] == uploads[1]["data"]
        assert uploads[0]["key_id"] == client.key().manifest.key_id
        assert client.verify("shared", both).person == "shared"
        assert other.verify("shared", both).person == "shared"
        alone = prepare(astronaut(), [client], method=QUICK)
        with pytest.raises(ValueError, match="protected for key"):
            other.verify("shared", alone)
    client.delete("shared")

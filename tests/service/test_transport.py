"""What a provider sends: bounded in time and length, read as documented or refused, and safe to show."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

import facemin
from facemin.cli.shared.output import errors, say, tell
from facemin.client.client import Prepared
from facemin.client.transport import ProviderError, Transport
from facemin.runtime.printable import printable
from tests.conftest import PATIENCE
from tests.loopback import accepting

ESCAPES = "\x1b[2J\x1b]0;title\x07\u202egnp.exe\u200b\r\n\x9b1m"


def answering(status: int = 200, content: bytes = b"{}", **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, content=content, headers=headers))


@contextmanager
def slow_server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that answers each connection by `serve`, until the event is set."""
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            serve(connection, done)

    with socket.create_server(("127.0.0.1", 0)) as listening, accepting(listening, answer):
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            done.set()


def trickle(first: bytes, each: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def serve(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(first)
        while not done.wait(0.05):
            connection.sendall(each)

    return serve


@pytest.mark.parametrize(
    ("first", "each"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 422 No\r\nContent-Length: 60000\r\n\r\n", b" "),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "head", "body", "refusal", "continue"],
)
def test_the_timeout_is_for_the_whole_answer(first: bytes, each: bytes) -> None:
    with slow_server(trickle(first, each)) as url:
        send, began = Transport(url=url, timeout=0.5, tries=1), time.monotonic()
        with pytest.raises(ProviderError, match=r"whole answer .* within 0\.5 s") as caught:
            send("GET", "/x")
        assert time.monotonic() - began < PATIENCE / 10
        assert (caught.value.status, caught.value.code) == (0, "too_slow")


@pytest.mark.parametrize("kind", [httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout])
def test_a_socket_s_own_timeout_is_told_as_the_whole_answer_s(kind: type[httpx.TimeoutException]) -> None:
    def late(request: httpx.Request) -> httpx.Response:
        raise kind("timed out")

    send = Transport(url="https://a.example", transport=httpx.MockTransport(late), timeout=7, tries=1)
    with pytest.raises(ProviderError, match=r"whole answer from https://a\.example within 7 s") as caught:
        send("GET", "/x")
    assert (caught.value.status, caught.value.code) == (0, "too_slow")


def test_an_answer_longer_than_it_may_be_is_refused() -> None:
    send = Transport(url="https://a.example", transport=answering(content=b" " * 1001))
    with pytest.raises(ProviderError, match="at most 1000 bytes"):
        send("GET", "/x", most=1000)
    assert len(send("GET", "/x", most=1001).data) == 1001


def test_a_packed_answer_is_not_unpacked() -> None:
    def packed(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"\x1f\x8b" + bytes(20))
        )

    with pytest.raises(ProviderError, match="Content-Encoding"):
        Transport(url="https://a.example", transport=httpx.MockTransport(packed))("GET", "/x")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"challenge": Infinity}'], ids=repr
)
def test_what_is_no_json_is_a_provider_error(content: bytes) -> None:
    reply = Transport(url="https://a.example", transport=answering(content=content))("GET", "/x")
    with pytest.raises(ProviderError, match="in JSON") as caught:
        reply.json()
    assert caught.value.code == "no_json"


@pytest.mark.parametrize(
    "answer",
    [
        [],
        None,
        {},
        {"person": "a"},
        {"person": 3, "accepted": True},
        {"results": [[{"person": "a"}]]},
        {"results": [1]},
        {"results": {"a": 1}},
    ],
    ids=json.dumps,
)
def test_json_of_another_form_is_a_provider_error(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facemin.Client, "_uploads", lambda *_, **__: [{}])
    carrier = answering(content=json.dumps(answer).encode())
    client = facemin.Client("https://a.example", "t", secret=None, transport=carrier)
    photo = Prepared.__new__(Prepared)
    for ask in (lambda: client.verify("a", photo), lambda: client.identify(photo)):
        with pytest.raises(ProviderError, match="documented form"):
            ask()


def test_fields_that_a_later_provider_adds_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facemin.Client, "_uploads", lambda *_, **__: [{}])
    decision = {"person": "a", "accepted": True, "score": 0.9, "threshold": 0.5, "far": 1e-3, "threshold_id": "t"}
    answer = decision | {"enrolled_as": "protected", "later": 1, "challenge": "c"}
    client = facemin.Client(
        "https://a.example", "t", secret=None, transport=answering(content=json.dumps(answer).encode())
    )
    assert client.verify("a", Prepared.__new__(Prepared)).accepted


def test_a_cookie_is_not_sent_back() -> None:
    seen = []

    def carrier(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, content=b"{}", headers={"Set-Cookie": "who=you; Path=/"})

    send = Transport(url="https://a.example", transport=httpx.MockTransport(carrier))
    for _ in range(2):
        send("GET", "/x")
    assert seen == [None, None]


def test_a_redirect_is_refused() -> None:
    carrier = answering(307, Location="https://b.example/")
    with pytest.raises(ProviderError, match="HTTP status 307"):
        Transport(url="https://a.example", transport=carrier)("GET", "/x")


def test_a_connection_is_kept_for_the_next_request() -> None:
    accepted = []

    def serve(connection: socket.socket, done: threading.Event) -> None:
        accepted.append(connection)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        connection.sendall(answer)
        while connection.recv(1 << 16):
            connection.sendall(answer)

    with slow_server(serve) as url:
        send = Transport(url=url, tries=1, timeout=PATIENCE)
        for _ in range(3):
            assert send("GET", "/x").json() == {}
        send.close()
    assert len(accepted) == 1


@pytest.mark.parametrize("where", ["code", "message", "request_id"])
def test_a_providers_words_hold_no_escape_sequence(where: str) -> None:
    said = {"code": "c", "message": "m", "request_id": "r"} | {where: ESCAPES}
    carrier = answering(422, json.dumps(said).encode())
    with pytest.raises(ProviderError) as caught:
        Transport(url="https://a.example", transport=carrier)("GET", "/x")
    error = caught.value
    assert all(text.isprintable() for text in (str(error), error.code, error.message, error.request_id))


def test_a_status_line_holds_no_escape_sequence() -> None:
    def serve(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 \x1b[2J\x1b]0;x\x07\r\n\r\n")

    with slow_server(serve) as url, pytest.raises(ProviderError) as caught:
        Transport(url=url, tries=1)("GET", "/x")
    assert str(caught.value).isprintable()


def test_printable_keeps_what_people_write_and_says_what_it_cut() -> None:
    assert printable("Zoë 漢字 ümlaut") == "Zoë 漢字 ümlaut"
    assert printable(ESCAPES).isprintable()
    assert printable("a\nb") == "a?b"
    assert printable("a" * 600) == "a" * 500 + "..."


def test_what_is_printed_moves_no_cursor_and_makes_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell(f"person {ESCAPES}", "second")
    say(errors(), f"error {ESCAPES}")
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
    for letter in ("\x1b", "\x07", "\u202e", "\u200b", "\r", "\x9b"):
        assert letter not in out + err


def test_the_system_s_refusals_are_in_our_words() -> None:
    with pytest.raises(ProviderError, match="nothing listens there") as caught:
        Transport(url="http://127.0.0.1:1", tries=1)("GET", "/v1/key")
    assert "Errno" not in str(caught.value)


@pytest.mark.parametrize("url", ["x", "https://", "", "//host"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ValueError, match="got no such address"):
        Transport(url=url)


@pytest.mark.parametrize(
    ("answers", "gone"),
    [
        ([(503, "busy"), (404, "person_not_found")], True),
        ([(503, "busy"), (401, "session_deleted")], True),
        ([(404, "person_not_found")], False),
        ([(401, "session_deleted")], False),
        ([(503, "busy"), (404, "collection_not_found")], False),
    ],
)
def test_delete_succeeds_when_a_retry_finds_the_person_gone(answers: list[tuple[int, str]], gone: bool) -> None:
    left = iter(answers)

    def provider(request: httpx.Request) -> httpx.Response:
        status, code = next(left)
        return httpx.Response(status, json={"code": code, "message": "m", "request_id": "r"})

    client = facemin.Client("https://a.example", "t", transport=httpx.MockTransport(provider), secret=None)
    client._send.pause = 0.01
    if gone:
        client.delete("ann")
    else:
        with pytest.raises(ProviderError, match="m"):
            client.delete("ann")

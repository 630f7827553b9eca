"""Connections that wait for their client: closed in time, and never in the way of somebody else's request."""

import http.client
import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from facemin.service.api.errors import ServiceError
from facemin.service.api.fields import Unusable
from facemin.service.api.limits.bodies import MOST_VALUES, SMALL_BYTES, Budget, parse
from facemin.service.api.limits.connections import ConnectionLimits
from facemin.service.api.schemas import Enrolment
from tests.conftest import PATIENCE
from tests.service.running import Running, running

PERSONS = "/v1/collections/main/persons"
SHORT = ConnectionLimits(most=20, head=4.0, body=5.0, idle=4.0, refused=3.0, reading=5.0)
"""Seconds after which nobody waits, and yet more than this process is kept from sending beside much else."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for twenty connections that loses patience soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facemin.service.server.ConnectionLimits", lambda most: SHORT)
        with running(tmp_path_factory.mktemp("small") / "home") as made:
            yield made


def opened(server: Running, first: bytes = b"", *, source: str = "127.0.0.1") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE / 10, source_address=(source, 0))
    made.sendall(first)
    return made


def closes(made: socket.socket) -> bool:
    """Whether the server ends a connection, by whatever means, within the socket's time."""
    try:
        while made.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def head(server: Running, length: int, *, token: bool) -> bytes:
    who = f"Authorization: Bearer {server.admin}\r\n" if token else ""
    return f"POST {PERSONS} HTTP/1.1\r\nHost: x\r\n{who}Content-Length: {length}\r\n\r\n".encode()


def healthy(server: Running) -> float:
    """Seconds that a health check takes, each time on a new connection."""
    began = time.monotonic()
    for _ in range(20):
        status = server("GET", "/v1/health", token=None).status
        # for as long as every other connection is being answered, none of them can make room; it takes milliseconds
        if status != 503:
            break
        time.sleep(0.05)
    assert status == 200
    return time.monotonic() - began


@pytest.mark.parametrize("first", ["idle", "half a head", "slow body", "slow body without a token", "unread answer"])
def test_a_health_check_passes_beside_more_connections_than_the_limit(small: Running, first: str) -> None:
    sent = {
        "idle": b"",
        "half a head": b"GET /v1/health HTTP/1.1\r\nX: ",
        "slow body": head(small, 1000, token=True) + b"{",
        "slow body without a token": head(small, 1000, token=False) + b"{",
        "unread answer": b"GET /v1/key HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    with ExitStack() as stack:
        for _ in range(3 * SHORT.most):
            stack.enter_context(closing(opened(small, sent[first])))
        assert healthy(small) < PATIENCE / 10


def test_connections_that_wait_for_their_client_are_closed(small: Running) -> None:
    """All at once, since each is waited for: at rest, in a head or a body, and after a whole request."""
    request = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = {
        "idle": b"",
        "half a head": request[:20],
        "trickled head": request[:-2] + b"X: ",
        "slow body": head(small, 1000, token=True) + b"{",
        "refused body": head(small, 1000, token=False) + b"{",
        "kept alive": request,
        "half a second head": request,
    }
    with ExitStack() as stack:
        made = {name: stack.enter_context(closing(opened(small, first))) for name, first in sent.items()}
        assert b" 200 " in made["half a second head"].recv(1 << 16)
        made["half a second head"].sendall(request[:10])
        with suppress(OSError):
            for _ in range(80):
                made["trickled head"].sendall(b"a")
                time.sleep(0.1)
        assert [name for name, each in made.items() if not closes(each)] == []


def test_the_address_with_the_most_connections_loses_one_first(small: Running) -> None:
    with ExitStack() as stack:
        mine = stack.enter_context(closing(opened(small, head(small, 2, token=True), source="127.0.0.2")))
        for _ in range(2 * SHORT.most):
            stack.enter_context(closing(opened(small, b"GET ")))
        mine.sendall(b"{}")
        assert b" 422 " in mine.recv(1 << 16)


def test_a_slow_reader_of_the_key_holds_no_copy_of_it(small: Running) -> None:
    size = len(small("GET", "/v1/key", token=None).data)
    with ExitStack() as stack:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(SHORT.most - 1):
            made = stack.enter_context(closing(socket.socket()))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            made.connect(("127.0.0.1", small.port))
            made.sendall(b"GET /v1/key HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < max(4 * size, 8 << 20)


def test_a_key_says_its_length_and_comes_whole(small: Running) -> None:
    reply = small("GET", "/v1/key", token=None)
    assert int(reply.headers["content-length"]) == len(reply.data)


def raw(server: Running, request: bytes) -> bytes:
    with closing(opened(server, request)) as made:
        return made.recv(1 << 16)


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 5",
        "Transfer-Encoding: gzip, chunked",
    ],
)
def test_a_body_that_a_proxy_may_end_elsewhere_is_refused(server: Running, lines: str) -> None:
    request = f"POST {PERSONS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin}\r\n{lines}\r\n\r\n0\r\n\r\n"
    assert raw(server, request.encode()).split()[1] in (b"400", b"501")


def test_chunks_over_http_1_0_are_refused(server: Running) -> None:
    request = f"POST {PERSONS} HTTP/1.0\r\nAuthorization: Bearer {server.admin}\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(server, request.encode() + b"0\r\n\r\n").split()[1] == b"400"


@pytest.mark.parametrize("path", ["/v1/health/", "/v1/collections/", "/v1/collections/main/", "//evil.example/v1/key"])
def test_no_answer_names_the_host_that_a_caller_named(server: Running, path: str) -> None:
    who = f"Authorization: Bearer {server.admin}"
    answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n{who}\r\n\r\n".encode())
    assert answer.split()[1] == b"404"
    assert b"location" not in answer.lower()
    assert b"evil" not in answer


class TestBodies:
    @pytest.mark.parametrize("where", ["body", "upload"])
    def test_unknown_fields_are_refused_before_they_are_collected(self, server: Running, where: str) -> None:
        many = ",".join(f'"{n:x}":0' for n in range(600_000))
        body = "{" + many + "}" if where == "body" else f'{{"uploads":[{{"data":"AAAA",{many}}}]}}'
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        answer = server("POST", PERSONS, body.encode())
        assert (answer.status, answer.json()["code"]) == (422, "invalid_request")
        assert time.process_time() - began < 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
        assert len(answer.data) < 1000

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", "/v1/tokens"), ("POST", "/v1/challenges"), ("PATCH", "/v1/collections/main")]
    )
    def test_a_body_without_uploads_has_kilobytes(self, server: Running, method: str, path: str) -> None:
        answer = server(method, path, b" " * (SMALL_BYTES + 1))
        assert (answer.status, answer.json()["code"]) == (413, "too_large")
        assert str(SMALL_BYTES) in answer.json()["message"]

    def test_the_longest_token_there_is_can_be_made(self, server: Running) -> None:
        grants = [f"verify:{n:02}{'c' * 62}" for n in range(100)]
        assert server("POST", "/v1/tokens", {"name": "n" * 100, "grants": grants}).status == 201

    def test_the_most_uploads_there_are_have_room(self) -> None:
        body = {"uploads": [{"kind": "image", "key_id": "k" * 64, "data": "AAAA"}] * 64, "person": "p", "replace": True}
        assert isinstance(parse(Enrolment, json.dumps(body).encode()), Enrolment)

    @pytest.mark.parametrize("mark", [b",", b":"])
    def test_a_body_of_many_values_is_not_read(self, mark: bytes) -> None:
        found = parse(Enrolment, b"[" + mark * (MOST_VALUES + 1))
        assert isinstance(found, Unusable)
        assert str(MOST_VALUES) in found.message

    def test_authorisation_is_checked_before_the_body(self, server: Running) -> None:
        answer = server("POST", PERSONS, b"no json", token=server.token("verify"))
        assert (answer.status, answer.json()["code"]) == (403, "forbidden")

    def test_one_caller_gets_at_most_half_of_the_budget_of_bodies(self) -> None:
        budget = Budget(100)
        budget.take("a", 50)
        with pytest.raises(ServiceError, match="another body") as caught:
            budget.take("a", 1)
        assert caught.value.status == 503
        budget.take("b", 50)
        with pytest.raises(ServiceError):
            budget.take("c", 1)
        budget.give("a", 50)
        budget.take("c", 1)


def test_a_connection_is_kept_for_the_next_request(server: Running) -> None:
    connection, kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE), set[int]()
    with closing(connection):
        for _ in range(3):
            connection.request("GET", "/v1/health")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            kept.add(id(connection.sock))
    assert len(kept) == 1

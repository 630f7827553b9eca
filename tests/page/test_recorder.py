"""The recorder itself: what Chromium does by itself, or does late, ends none of its threads."""

import socket
from contextlib import closing

from tests.conftest import PATIENCE
from tests.page.recorder import noting_others, recording


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_a_connection_that_asks_for_nothing_is_noted_as_nothing() -> None:
    notes: list[str] = []
    with noting_others(notes) as port:
        connected(port).close()
        with closing(connected(port)) as line:
            line.sendall(b"GET http://elsewhere.example/ HTTP/1.1\r\n\r\n")
            assert line.recv(1) == b""
    assert notes == ["elsewhere.example"]


def test_a_server_that_has_ended_closes_its_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ended:
        upstream = ended.getsockname()[1]
    with recording(upstream) as recorder:
        for _ in range(2):
            with closing(connected(recorder.port)) as line:
                assert line.recv(1) == b""
        assert recorder.requests() == []

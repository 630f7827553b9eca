"""Traffic at the socket: a TCP proxy that keeps every byte, and a listener that notes who wanted to go elsewhere."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import h11

from tests.loopback import accepting

CHUNK = 1 << 16
OWN = ("google.com", "googleapis.com", "gvt1.com")
"""Whom Chromium asks for things of its own, with no page open; no page's policy lets it ask anybody else at all."""


@dataclass
class Sent:
    """One request, as it left the browser."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """Everything that a browser sent to one address, and got from it; another server may take its place."""

    port: int
    upstream: int
    sent: list[bytearray] = field(default_factory=list)
    """By connection."""
    received: int = 0

    live: list[socket.socket] = field(default_factory=list)

    def move(self, upstream: int) -> None:
        """Put another server in this one's place, for connections that are open too."""
        self.upstream = upstream
        for each in self.live:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self) -> list[Sent]:
        """Every request so far, whole."""
        return [request for each in list(self.sent) for request in parsed(bytes(each))]


def parsed(data: bytes) -> list[Sent]:
    """The requests in a connection's bytes."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    found: list[Sent] = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            found.append(Sent(event.method.decode(), event.target.decode(), headers, b""))
        elif isinstance(event, h11.Data):
            found[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            # as if it had been answered, so that the next one can be read
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                return found
            connection.start_next_cycle()
        else:
            return found


@contextmanager
def recording(upstream: int) -> Iterator[Recorder]:
    """A proxy on loopback for a server on another port of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        recorder = Recorder(listening.getsockname()[1], upstream)
        threads: list[threading.Thread] = []

        def serve(client: socket.socket) -> None:
            kept = bytearray()
            recorder.sent.append(kept)
            try:
                server = socket.create_connection(("127.0.0.1", recorder.upstream))
            except OSError:
                # a server that has ended, which an open page may still ask for something
                client.close()
                return
            recorder.live += (client, server)
            for one, other, keep in ((client, server, kept), (server, client, None)):
                threads.append(threading.Thread(target=relay, args=(one, other, keep), daemon=True))
                threads[-1].start()

        def relay(one: socket.socket, other: socket.socket, keep: bytearray | None) -> None:
            with suppress(OSError):
                while data := one.recv(CHUNK):
                    if keep is None:
                        recorder.received += len(data)
                    else:
                        keep += data
                    other.sendall(data)
            for each in (one, other):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

        with accepting(listening, serve):
            yield recorder


@contextmanager
def noting_others(notes: list[str]) -> Iterator[int]:
    """A proxy that a browser uses for every host but this one; it notes which were asked for and gives nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(client: socket.socket) -> None:
            with client, suppress(OSError):
                client.settimeout(5)
                # nothing on a connection that was opened in advance and closed again
                asked = client.recv(CHUNK).split(b" ")[1:2]
                hosts = [each.decode().removeprefix("http://").partition("/")[0] for each in asked]
                notes.extend(host for host in hosts if not host.partition(":")[0].endswith(OWN))

        with accepting(listening, serve):
            yield listening.getsockname()[1]

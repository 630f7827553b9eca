"""A proxy that corrupts or drops the next responses of a server on this machine."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.conftest import PATIENCE

HOP = ("connection", "transfer-encoding", "keep-alive")


@dataclass
class FaultyProxy:
    """What the proxy still has to do, and what was asked of it.

    Args:
        port: of the proxy.
        upstream: of the server behind it.
        corrupt: by path, how many of the next responses are corrupted.
        drop: by the end of the path, alone or after a method, how many of the next responses are dropped, with their
            connection.
    """

    port: int
    upstream: int
    corrupt: dict[str, int] = field(default_factory=dict)
    drop: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of every answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def corrupted(body: bytes) -> bytes:
    """The same with one byte of its middle changed."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :]


@contextmanager
def faulty_proxy(upstream: int) -> Iterator[FaultyProxy]:
    """A proxy on loopback for a server on another port of it."""
    made = FaultyProxy(0, upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            del args

        def _carry(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length) if length else None
            # as it is: what is packed could not be changed without being noticed
            headers = {
                name: text for name, text in self.headers.items() if name.lower() not in (*HOP, "accept-encoding")
            }
            server = http.client.HTTPConnection("127.0.0.1", made.upstream, timeout=PATIENCE)
            try:
                server.request(self.command, self.path, sent, headers)
                reply = server.getresponse()
                body = reply.read()
            finally:
                server.close()
            made.asked.append((self.command, self.path, reply.status))
            end = self.path.rpartition("/")[2]
            for named in (end, f"{self.command} {end}"):
                if made.drop.get(named, 0) > 0:
                    made.drop[named] -= 1
                    self.close_connection = True
                    return
            if reply.status == 200 and made.corrupt.get(self.path, 0) > 0:
                made.corrupt[self.path] -= 1
                body = corrupted(body)
            self.send_response_only(reply.status)
            for name, text in reply.getheaders():
                if name.lower() not in (*HOP, "content-length"):
                    self.send_header(name, text)
            if reply.status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _carry  # noqa: N815 - as http.server calls them

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

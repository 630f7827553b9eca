"""A connection that spoils what it carries: a proxy that changes one byte of the first answers for some files."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = ("connection", "transfer-encoding", "keep-alive")


@dataclass
class Spoiling:
    """What is still to be spoilt, and what was asked for.

    Args:
        port: of the proxy.
        upstream: of the server behind it.
        left: by path, how many whole answers are spoilt from now on.
        dropped: by the end of the path, how many answers are thrown away from now on, with their connection.
    """

    port: int
    upstream: int
    left: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of every answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def spoilt(body: bytes) -> bytes:
    """The same with one byte of its middle changed."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :]


@contextmanager
def spoiling(upstream: int) -> Iterator[Spoiling]:
    """A proxy on loopback for a server on another port of it."""
    made = Spoiling(0, upstream)

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
            server = http.client.HTTPConnection("127.0.0.1", made.upstream, timeout=60)
            try:
                server.request(self.command, self.path, sent, headers)
                reply = server.getresponse()
                body = reply.read()
            finally:
                server.close()
            made.asked.append((self.command, self.path, reply.status))
            end = self.path.rpartition("/")[2]
            if made.dropped.get(end, 0) > 0:
                made.dropped[end] -= 1
                self.close_connection = True
                return
            if reply.status == 200 and made.left.get(self.path, 0) > 0:
                made.left[self.path] -= 1
                body = spoilt(body)
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

"""Connections: time limits for heads, bodies, idle ones and readers, and whose is closed when there are too many.

uvicorn limits how long a connection idles between two requests, and answers 503 to everybody once there are too many
of them; 130 clients that open a connection and say nothing then stop a server. Here a connection that waits for its
client is closed for a new one, the address with the most of them first.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

Phase = Literal["head", "body", "idle", "refused", "reading"]
SWEEP_SECONDS = 1.0
SEND_BYTES = 256 << 10
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """How long a connection may wait for its client, seconds, and how many there may be.

    Args:
        most: open at once.
        head: until a request's head is there, from the connection's start or the head's first byte.
        body: until its body is there.
        idle: between two requests.
        refused: until the rest of a body is there whose request was answered before.
        reading: without the client reading on, where more is to be sent.
    """

    most: int
    head: float = 10.0
    body: float = 35.0
    idle: float = 30.0
    refused: float = 5.0
    reading: float = 30.0

    def seconds(self, phase: Phase) -> float:
        """How long a connection may be in a phase."""
        found: float = getattr(self, phase)
        return found


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn with `ConnectionLimits`; see `bounded_protocol`."""

    limits: ConnectionLimits

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.since = self.loop.time()
        self._last: Phase | None = "head"
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for a new connection, or refuse it where every other one is being answered."""
        super().connection_made(transport)
        # what the system holds for somebody who does not read: by itself it would grow to megabytes each
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._watch)
        if len(self.connections) > self.limits.most and not self._make_room():
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self.transport.is_closing():
            return
        if self.phase() == "idle":
            # the first byte of the next head
            self._last, self.since = "head", self.loop.time()
        super().data_received(data)
        self.phase()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self.phase()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self.phase()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self.phase()

    def phase(self) -> Phase | None:
        """What this connection waits for its client to do; None while the server has to do something."""
        phase: Phase | None
        if self.flow is not None and self.flow.write_paused:
            phase = "reading"
        elif self.cycle is None:
            phase = "head"
        elif self.cycle.response_complete:
            quiet: Phase = "head" if self._last == "head" else "idle"
            phase = "refused" if self.cycle.more_body else quiet
        else:
            phase = "body" if self.cycle.more_body else None
        if phase != self._last:
            self._last, self.since = phase, self.loop.time()
        return phase

    def _watch(self) -> None:
        phase = self.phase()
        if phase is not None and self.loop.time() - self.since > self.limits.seconds(phase):
            self.transport.abort()
            return
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._watch)

    def _make_room(self) -> bool:
        """Close one that waits for its client, of the address that has most of those; whether there was one."""
        others = [other for other in self.connections if isinstance(other, BoundedProtocol) and other is not self]
        waiting = [other for other in others if other.phase() is not None]
        if not waiting:
            return False
        of_address = Counter(other.address for other in waiting)
        most = max(of_address.values())
        oldest = min((other for other in waiting if of_address[other.address] == most), key=lambda other: other.since)
        oldest.transport.abort()
        # its end is told to it later; until then it would be counted, and chosen again
        self.connections.discard(oldest)
        return True

    @property
    def address(self) -> str:
        """Of the client, or of the proxy in front."""
        return self.client[0] if self.client else "unknown"


def bounded_protocol(limits: ConnectionLimits) -> type[BoundedProtocol]:
    """The protocol of a server with these limits, for `uvicorn.Config`."""
    return type("LimitedProtocol", (BoundedProtocol,), {"limits": limits})

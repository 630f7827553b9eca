"""The fixture for tests that talk to this machine, in place of the one of that name that lets them talk to none."""

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to loopback and to Unix sockets, and to nothing else."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        local = self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1")
        assert local, f"a test opened a connection to {address!r}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)

"""Server process: uvicorn, one process."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from facemin.runtime.errors import in_words
from facemin.service.api.app import create_app
from facemin.service.api.limits.connections import ConnectionLimits, bounded_protocol
from facemin.service.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GRACE = 30
"""Seconds that running requests get when the server is told to end."""


def make_server(
    provider: Provider, *, host: str, port: int, samples: Mapping[str, bytes] | None = None
) -> uvicorn.Server:
    """A server that is not running yet; port 0 takes a free one. For `samples` see `create_app`."""
    limits = ConnectionLimits(most=provider.settings.connections)
    config = uvicorn.Config(
        create_app(provider, samples=samples),
        host=host,
        port=port,
        http=bounded_protocol(limits),
        timeout_keep_alive=round(limits.idle),
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        access_log=False,
        log_config=None,
        ws="none",
        lifespan="on",
    )
    return uvicorn.Server(config)


def check_address(host: str, port: int) -> None:
    """Refuse an address that could not be listened on, before a provider is opened for it.

    Raises:
        ValueError: it is none, is taken, or is not this machine's.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"port: expected 0 to 65535, got {port}")
    try:
        families = {found[0] for found in socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)}
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"{host}, port {port}: expected an address or a name of this machine, got none") from None
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
    try:
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        raise ValueError(f"{host}, port {port}: {in_words(error)}") from None


def serve(folder: Path, *, host: str, port: int, page: bool = False) -> None:
    """Serve a provider until SIGINT or SIGTERM; requests under way are answered first.

    Args:
        folder: the provider's home.
        host: address to listen on.
        port: to listen on.
        page: serve the page at `/`, whatever the settings say.

    Raises:
        ValueError: the provider's home is not whole, or does not fit its recogniser; or a file of the page is missing.
        ServiceError: the database cannot be opened (503).
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    provider = Provider.open(folder, page=page)
    try:
        provider.store.warm()
        server = make_server(provider, host=host, port=port)
    except BaseException:
        provider.close()
        raise
    # uvicorn raises the signal that ended it again once everything is closed; the end is then no failure any more
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    server.run()

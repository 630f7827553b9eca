"""A real server on loopback, of a provider without rate limits: what measurements of the service run against."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from facemin.client.transport import ProviderError, Transport
from facemin.service.settings import read_settings, write_settings

if TYPE_CHECKING:
    from pathlib import Path


def make_provider(home: Path, name: str) -> str:
    """Make a provider that limits no rates; its admin token."""
    command = [sys.executable, "-m", "facemin", "provider", "init", "--provider", name, "--home", str(home), "--json"]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    rates = {"requests_per_minute": 1e9, "open_requests_per_minute": 1e9}
    write_settings(home, read_settings(home).model_copy(update=rates))
    token: str = json.loads(made.stdout)["token"]
    return token


def serve(home: Path, *, within: float) -> tuple[subprocess.Popen[bytes], str]:
    """A server that is ready, and its address; `within` is how many seconds it may take."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "facemin", "serve", "--home", str(home), "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + within
    while time.monotonic() < ends:
        try:
            Transport(url=url, tries=1, timeout=5)("GET", "/v1/ready")
        except ProviderError:
            if server.poll() is not None:
                raise SystemExit(f"the store did not open: status {server.returncode}") from None
            time.sleep(0.05)
        else:
            return server, url
    server.kill()
    raise SystemExit(f"the server was not ready within {within:g} s")

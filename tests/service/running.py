"""A real uvicorn server on loopback, and what talks to it in tests."""

import base64
import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from facemin.keys.default import stopping_residual
from facemin.models import DEFAULT_MODEL, MODELS
from facemin.models.store import open_graph
from facemin.service.making import make_provider
from facemin.service.provider import Provider
from facemin.service.server import make_server
from tests.conftest import PATIENCE
from tests.pictures import encode_tensor

NUMBERS = itertools.count()
CUT = MODELS[DEFAULT_MODEL].default_cut


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass
class Running:
    """A provider that answers."""

    home: Path
    port: int
    admin: str
    provider: Provider

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "admin",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.admin if token == 'admin' else token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, data, sent)
            reply = connection.getresponse()
            return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    @property
    def key_id(self) -> str:
        return self.provider.keyring.current().key_id

    def upload(self, pixels: Tensor, **more: Any) -> dict[str, Any]:
        return {"data": base64.b64encode(encode_tensor(pixels)).decode(), "key_id": self.key_id} | more

    def challenge(self, token: str = "admin") -> str:
        made: str = self("POST", "/v1/challenges", token=token).json()["challenge"]
        return made

    def token(self, *grants: str) -> str:
        made: str = self("POST", "/v1/tokens", {"name": "t", "grants": list(grants)}).json()["token"]
        return made

    def collection(self, name: str, **more: Any) -> str:
        assert self("POST", "/v1/collections", {"name": name} | more).status == 201
        return f"/v1/collections/{name}"

    def new_collection(self, **more: Any) -> str:
        """A collection that no other test has."""
        return self.collection(f"new-{next(NUMBERS)}", **more)


@contextmanager
def running(home: Path, **settings: Any) -> Iterator[Running]:
    """Make a provider in a folder and serve it."""
    residual = stopping_residual(open_graph(DEFAULT_MODEL), CUT)
    values: dict[str, Any] = {"provider": "Acme", "model": DEFAULT_MODEL, "cut": CUT, "residual": residual}
    generous: dict[str, Any] = {"requests_per_minute": 1e6, "refusals_per_minute": 1e6, "open_requests_per_minute": 1e6}
    with serving(home, make_provider(home, **(values | generous | settings))) as made:
        yield made


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("provider") / "home") as made:
        yield made


@contextmanager
def serving(home: Path, admin: str) -> Iterator[Running]:
    """Serve a provider that is there."""
    provider = Provider.open(home)
    server = make_server(provider, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(home, port, admin, provider)
    finally:
        server.should_exit = True
        thread.join()


def noise(seed: int) -> Tensor:
    """What a protected image looks like to the service: coloured noise; each seed another embedding."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 28, 28, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(112, 112), mode="bilinear")[0]
    fine = torch.rand(3, 112, 112, generator=generator)
    return (255 * (0.3 * smooth + 0.7 * fine)).round().byte()

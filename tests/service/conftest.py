"""Stores on both databases, and sockets on this machine only."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from facemin.autograd.pixels import to_tensor
from facemin.cli.demo.run import astronaut
from facemin.face import Detector, crop
from facemin.service.api.limits import rate_limits
from facemin.service.storage.crypto import Secrets, TemplateCipher
from facemin.service.storage.database import Database
from facemin.service.storage.records import Kind
from facemin.service.storage.search.memory import MemorySearch
from facemin.service.storage.store import TemplateStore
from tests.loopback import _no_sockets  # noqa: F401 - a fixture
from tests.service.cluster import Cluster, cluster
from tests.service.device import SPACE
from tests.service.running import Running, running, server  # noqa: F401 - a fixture

SIZE = 16
FINGERPRINT = "a" * 64
SECRETS = Secrets(master=bytes(range(32)))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with cluster() as made:
        if isinstance(made, str):
            pytest.skip(made)
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    fresh: str = request.getfixturevalue("postgresql").fresh()
    return fresh


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.close()


def memory_store(
    database: Database, *, fingerprint: str = FINGERPRINT, secrets: Secrets = SECRETS, size: int = SIZE
) -> TemplateStore:
    cipher = TemplateCipher(secrets=secrets)
    search = MemorySearch(database, cipher, fingerprint=fingerprint, size=size)
    return TemplateStore(database, cipher, search, fingerprint=fingerprint, size=size)


@pytest.fixture
def store(database: Database) -> TemplateStore:
    made = memory_store(database)
    with database.writing() as connection:
        made.make_collection(connection, "main", accept_plain=False, far=1e-3)
    return made


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of rates that are not refilled during a test, however slow the machine is."""
    now = time.monotonic()
    monkeypatch.setattr(rate_limits, "time", SimpleNamespace(monotonic=lambda: now))


Enrol = Callable[..., None]


@pytest.fixture
def enrol() -> Enrol:
    def run(store: TemplateStore, name: str, rows: NDArray[np.float32], collection: str = "main", **more: Any) -> None:
        rows = rows.reshape(-1, store.size)
        with store.database.writing() as connection:
            place = store.collection(connection, collection)
            kinds: list[Kind] = ["protected"] * len(rows)
            store.enrol(connection, place, name, rows, kinds=kinds, key_ids=["k1"] * len(rows), **more)

    return run


def unit_rows(count: int, size: int = SIZE, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="session")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A provider whose key ends in a space."""
    with running(tmp_path_factory.mktemp("spaced") / "home", **SPACE) as made:
        yield made


@pytest.fixture
def place(spaced: Running) -> str:
    """Name of a collection of one test's own."""
    return spaced.new_collection().rpartition("/")[2]


@pytest.fixture(scope="session")
def plain_face() -> Tensor:
    """An aligned face, uint8 (3, 112, 112)."""
    return to_tensor(crop(astronaut(), Detector(threads=1)))

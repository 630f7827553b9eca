"""Fixtures every test may use; nothing here may open a socket or need the network."""

import gc
import itertools
import os
import random
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

# what imports and the collection of tests make stays: looking through it for garbage took a third of their time
gc.disable()

if "PYTEST_XDIST_WORKER" in os.environ:
    # one process a core: threads inside each would only wait for one another
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"

# the same examples in every run, none failing by a busy machine; --hypothesis-profile=default draws new ones
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).resolve().parents[1]

PATIENCE = 300.0
"""Seconds that a program or an answer may take on a machine that does much else; what hangs takes longer."""

HOMES = itertools.count()
TERMINAL = ("FORCE_COLOR", "LINES", "NO_COLOR", "PYTHON_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables by which programs decide whether they write to a terminal, and how."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: one worker more than there are cores, which runs while others wait for servers and browsers."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: one that began last would run alone, while the other workers have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """From here on garbage is looked for again, among what tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same terminal and language for every test and the programs it starts, and a place for facemin's own data.

    Without it a narrow or coloured terminal, a token in the environment, or the secrets of whoever runs the tests
    would change what commands do and print.
    """
    folder = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        facemins = [name for name in os.environ if name.startswith("FACEMIN_") and name != "FACEMIN_PEER_PYTHON"]
        for name in (*TERMINAL, *facemins, "LANG", "LANGUAGE"):
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "80")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("FACEMIN_HOME", str(folder / "session"))
        yield folder


@pytest.fixture(autouse=True)
def home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder of facemin's data, `$FACEMIN_HOME`; it is not there until something is put in it."""
    folder = homes / str(next(HOMES))
    monkeypatch.setenv("FACEMIN_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """The same random numbers in every run and order of tests, where something draws from global state."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state is what may not differ
    random.seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The research folder beside the checkout: LFW, UTKFace and real recognisers, for measuring only."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "models" / "models.toml").is_file():
        pytest.skip("needs the research folder 'shared' beside the checkout (LFW and ONNX recognisers)")
    return folder


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in facemin's main job may reach for a network."""

    def refuse(self: socket.socket, *args: object) -> None:
        raise AssertionError(f"a test opened a connection: {args!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def no_warnings() -> Iterator[None]:
    """A warning that reached the user would be recorded here, even one that the code turns to a ValueError."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    assert [str(warning.message) for warning in seen] == []

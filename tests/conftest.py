"""Fixtures every test may use; nothing here may open a socket or need the network."""

import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    # one process a core: threads inside each would only wait for one another
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]


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

"""The command line as a person runs it: in a subprocess."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from facemin.files import write_atomically
from facemin.image import encode

Run = Callable[..., subprocess.CompletedProcess[str]]

# the child may open no socket either
GUARD = """
import socket, sys
def refuse(self, *args): raise AssertionError(f"opened a connection: {args!r}")
socket.socket.connect = socket.socket.connect_ex = refuse
from facemin.cli import main
sys.argv[0] = "facemin"
main()
"""


@pytest.fixture
def facemin(tmp_path: Path) -> Run:
    def run(*arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", GUARD, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)

    return run


def picture(array: np.ndarray) -> bytes:
    return encode(torch.from_numpy(array).permute(2, 0, 1))


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos: one face, three faces, none, one broken file, and one that is no photo at all."""
    folder = tmp_path_factory.mktemp("photos")
    astronaut = data.astronaut()
    smaller = astronaut[::2, ::2]
    group = np.full((560, 1100, 3), 128, np.uint8)
    group[:512, :512] = astronaut
    group[20:276, 530:786] = smaller
    group[20:276, 810:1066] = smaller[:, ::-1]
    write_atomically(folder / "one.png", picture(astronaut))
    write_atomically(folder / "deep" / "er" / "three.png", picture(group))
    write_atomically(folder / "coffee.png", picture(data.coffee()))
    write_atomically(folder / "broken.jpg", encode(torch.from_numpy(astronaut).permute(2, 0, 1), format="JPEG")[:9000])
    write_atomically(folder / "notes.txt", b"no photo")
    return folder

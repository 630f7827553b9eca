"""The command line as a person runs it: in a subprocess, or within this process where seconds of imports matter."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from skimage import data

from facemin import cli
from facemin.image import encode
from facemin.keys.key import export_key
from facemin.models import load_recogniser
from facemin.runtime.files import write_atomically
from tests.conftest import PATIENCE
from tests.models.test_store import tiny_graph
from tests.pictures import patterned_people

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


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Done]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The command within this process: a process of its own costs seconds of imports, so few tests take one."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        status = cli.run([*map(str, arguments)])
        out, err = capsys.readouterr()
        return Done(status, out, err)

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small recogniser in a file of its own."""
    path = tmp_path / "Tiny.onnx"
    path.write_bytes(tiny_graph())
    return path


@pytest.fixture
def facemin(tmp_path: Path) -> Run:
    """The command in a process of its own, as a person runs it: warnings are errors, and no socket opens."""

    def run(*arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", GUARD, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=PATIENCE)

    return run


def picture(array: np.ndarray) -> bytes:
    return encode(np.ascontiguousarray(array))


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
    write_atomically(folder / "broken.jpg", encode(astronaut, format="JPEG")[:9000])
    write_atomically(folder / "notes.txt", b"no photo")
    return folder


@pytest.fixture(scope="session")
def loose_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key that an image meets after ten steps, where what is written matters and not how near it comes."""
    path = tmp_path_factory.mktemp("keys") / "loose.key.onnx"
    export_key(load_recogniser("dlib-resnet29"), "pooled", provider="Acme", residual=0.3, key_id="loose").save(path)
    return path


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people with three aligned photos each."""
    return patterned_people(tmp_path_factory.mktemp("faces"), 8, 3)

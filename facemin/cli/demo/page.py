"""Demonstration of the page: a provider on loopback, made for the demo and forgotten, and photos of two people."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
import webbrowser
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from PIL import Image

from facemin.cli.demo.run import astronaut
from facemin.data import data_file
from facemin.image import decode
from facemin.keys.default import stopping_residual
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.store import open_graph
from facemin.service.making import FIRST, make_provider
from facemin.service.provider import Provider
from facemin.service.server import make_server
from facemin.service.sessions import make_session
from facemin.service.tokens import make_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import uvicorn
    from numpy.typing import NDArray

    from facemin.service.tokens import Scope

PERSON = "you"
GREY = (90, 90, 90)
SECONDS = 3600.0
DAYS = {"one day": (0.0, 0.0), "another day": (0.6, 0.0), "a third day": (-0.8, 0.0), "a fourth day": (0.0, 0.8)}
"""A person's photos, and how far each is turned and nods: under a secret a photo is sent once, so one needs several."""


@dataclass(frozen=True, kw_only=True)
class PageDemo:
    """What runs, and where it is opened."""

    server: uvicorn.Server
    listening: socket.socket
    address: str
    """With the session in its fragment, which no browser sends anywhere."""
    identify: str
    """The same for a session that may identify, and nothing else."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self.server.run(sockets=[self.listening])


@contextmanager
def page_demo(*, port: int = 0) -> Iterator[PageDemo]:
    """A provider in a folder of its own, which is gone afterwards, with a session for one person.

    Args:
        port: to listen on, on loopback; 0 for a free one.

    Raises:
        ValueError: a file of the page, a model or a photo is missing.
        OSError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="facemin-demo-") as folder:
        home = Path(folder) / "provider"
        cut = MODELS[SPACE_MODEL].default_cut
        make_provider(
            home,
            provider="Demo on this machine",
            model=SPACE_MODEL,
            cut=cut,
            residual=stopping_residual(open_graph(SPACE_MODEL), cut),
            page=True,
        )
        provider = Provider.open(home)
        try:
            server = make_server(provider, host="127.0.0.1", port=port, samples=samples())
            with socket.socket() as listening:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(("127.0.0.1", port))
                listening.listen()
                own, finder = _sessions(provider)
                address = f"http://127.0.0.1:{listening.getsockname()[1]}/#"
                named = {"collection": FIRST, "samples": "1"}
                yield PageDemo(
                    server=server,
                    listening=listening,
                    address=address + urlencode({"session": own, "person": PERSON} | named),
                    identify=address + urlencode({"session": finder} | named),
                )
        finally:
            provider.close()


def samples() -> dict[str, bytes]:
    """Photos of two people, each as of several days, and their list for the page.

    Raises:
        ValueError: a photo is missing.
    """
    found: dict[str, bytes] = {}
    names = []
    for person, short, path in (("Eileen Collins", "collins", astronaut()), ("Grace Hopper", "hopper", _hopper())):
        for number, (day, (turn, nod)) in enumerate(DAYS.items()):
            file = f"{short}-{number + 1}.jpg"
            found[file] = _seen(decode(path).pixels, turn, nod)
            names.append({"name": f"{person}, {day}", "file": file})
    return found | {"index.json": json.dumps(names).encode()}


def open_soon(address: str) -> threading.Timer:
    """Open an address in the user's browser, once the server had a moment to start."""
    timer = threading.Timer(0.5, webbrowser.open, [address])
    timer.daemon = True
    timer.start()
    return timer


def ignore_end() -> None:
    """Let the signal that ended the server end nothing more: uvicorn raises it again."""
    import signal

    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_IGN)
    sys.stdout.flush()


def _sessions(provider: Provider) -> tuple[str, str]:
    """What an app's backend would do by POST /v1/sessions."""
    scopes: tuple[Scope, ...] = ("session", "identify")
    grants = frozenset((scope, FIRST) for scope in scopes)
    with provider.database.writing() as connection:
        parent, _ = make_token(connection, "demo", grants)
        _, own = make_session(connection, parent, "self", FIRST, PERSON, seconds=SECONDS)
        _, finder = make_session(connection, parent, "identify", FIRST, None, seconds=SECONDS)
    return own, finder


def _hopper() -> Path:
    path = data_file("grace_hopper.jpg", package="matplotlib", path="mpl-data/sample_data/grace_hopper.jpg")
    if path is None:
        raise ValueError("demo: expected grace_hopper.jpg among facemin's data, or matplotlib to be installed")
    return path


def _seen(photo: NDArray[np.uint8], turn: float, nod: float) -> bytes:
    """A JPEG of the photo as if taken from the side or from above: a perspective, so that it is another capture."""
    height, width, _ = photo.shape
    # x, y -> (x + b y + c) / (1 + g x + h y), (d x + y + f) / (1 + g x + h y)
    horizontal = (1, 0.25 * nod, -0.12 * nod * width)
    vertical = (0.25 * turn, 1, -0.12 * turn * height)
    matrix = (*horizontal, *vertical, 0.46 * turn / width, 0.46 * nod / height)
    image = Image.fromarray(photo)
    if turn or nod:
        image = image.transform(
            image.size, Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY
        )
    file = BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()

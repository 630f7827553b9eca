"""A provider with the page, photos to try it with, and sessions as an app's backend makes them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from PIL import Image

from facemin.cli.demo.page import samples
from facemin.keys.default import stopping_residual
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.store import open_graph
from facemin.service.api.routes import site
from tests.service.running import Running, running

CUT = MODELS[SPACE_MODEL].default_cut


def missing_page() -> str | None:
    """Why there is no page; None where there is."""
    missing = site.missing_files(site.FOLDER)
    return f"needs the page's files ({', '.join(missing)}): pip install makes them" if missing else None


@contextmanager
def serving_page(home: Path, **more: Any) -> Iterator[Running]:
    """A provider of the default space that serves the page."""
    residual = stopping_residual(open_graph(SPACE_MODEL), CUT)
    generous = {"session_requests_per_minute": 1e6}
    with running(home, model=SPACE_MODEL, cut=CUT, residual=residual, page=True, **(generous | more)) as made:
        yield made


def session(server: Running, person: str | None = "u-1", *, collection: str = "main", seconds: float = 900) -> str:
    """A session's token; for identify where no person is named."""
    body = {"collection": collection, "scope": "identify" if person is None else "self", "person": person}
    token = server.token(f"session:{collection}", f"identify:{collection}")
    made = server("POST", "/v1/sessions", body | {"seconds": seconds}, token=token)
    assert made.status == 201
    text: str = made.json()["token"]
    return text


def address(url: str, token: str, person: str | None = "u-1", *, collection: str = "main") -> str:
    """What an app sends its user to."""
    given = {"session": token, "collection": collection} | ({"person": person} if person is not None else {})
    return f"{url}/#{urlencode(given)}"


def link(server: Running, person: str | None, *, url: str = "") -> str:
    """The address of a fresh session of a person, at the server itself or where `url` stands before it."""
    return address(url or server.url, session(server, person), person)


def write_photos(folder: Path) -> dict[str, Path]:
    """Photos by name: six of two people; of both; dark; bright; of a small face; of nobody; and a file that is none."""
    photos = {name: data for name, data in samples().items() if name.endswith(".jpg")}
    pictures = {name: Image.open(io.BytesIO(data)) for name, data in photos.items()}
    first, second = pictures["collins-1.jpg"], pictures["hopper-1.jpg"]
    both = Image.new("RGB", (first.width + second.width, max(first.height, second.height)))
    both.paste(first, (0, 0))
    both.paste(second, (first.width, 0))
    dark = pictures["collins-3.jpg"].point(lambda value: value * 0.08)
    bright = pictures["collins-3.jpg"].point(lambda value: 215 + value * 0.16)
    small = Image.new("RGB", (640, 480), (120, 120, 120))
    small.paste(pictures["collins-3.jpg"].resize((200, 200)), (220, 140))
    nobody = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)).resize((640, 480))
    made = {"both.jpg": both, "dark.jpg": dark, "bright.jpg": bright, "small.jpg": small, "nobody.jpg": nobody}
    for name, picture in made.items():
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=92)
        photos[name] = file.getvalue()
    photos["text.jpg"] = b"this is no photo"
    for name, data in photos.items():
        (folder / name).write_bytes(data)
    return {name.removesuffix(".jpg"): folder / name for name in photos}

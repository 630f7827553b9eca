"""Web pages of a provider: who it is, its API in words, and the page where people enrol and verify themselves.

All of them are open, held in memory and sent with headers under which a browser runs nothing but what lies here.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response, StreamingResponse

from facemin import __version__
from facemin.face.centerface import network
from facemin.protection.one_pass.shipped import FOLDER as PROTECTORS
from facemin.protection.one_pass.shipped import SHIPPED
from facemin.service.api.limits.chunks import chunks, is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facemin.service.api.errors import ServiceError
    from facemin.service.settings import Settings

FOLDER = Path(__file__).resolve().parents[2] / "page"
"""The page as `web/` builds it, and in `ort/` the runtime that the package's build fetches."""
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""Files of onnxruntime-web that the page needs; gzipped in `ort/`."""

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
}
"""Of everything that a browser shows or runs; the two first of the Cross-Origin ones give the page its threads."""

CHECKED = ("/engine.js", "/ort/", "/models/")
"""Files that the page holds to their hashes, and fetches again where the browser's cache has a corrupted one.

The others are small and are not cached: a corrupted one would stay, since the server's own has not changed."""

_TYPES = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
_PACKED = ("text/", "application/json", "application/wasm")
"""Media types that are worth compressing."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of the site.

    Args:
        data: its bytes.
        packed: the same, gzipped; None where that saves nothing.
        media_type: for the browser.
        etags: of the bytes as they are, and of the gzipped ones.
    """

    data: bytes
    packed: bytes | None
    media_type: str
    etags: tuple[str, str]

    @property
    def is_document(self) -> bool:
        """Whether people open it, and not other files of the site."""
        return self.media_type.startswith("text/html")


@dataclass(frozen=True)
class Site:
    """The files of a provider's site, by path."""

    assets: Mapping[str, Asset]

    def opens(self, path: str, accept: str) -> bool:
        """Whether a request that accepts these media types gets a file; documents are for browsers alone."""
        found = self.assets.get(path)
        return found is not None and (not found.is_document or wants_html(accept))

    def answer(self, path: str, *, accept_encoding: str, known: str | None) -> Response:
        """A file as it is sent.

        Args:
            path: one of `assets`.
            accept_encoding: as the browser sent it.
            known: its If-None-Match.
        """
        found = self.assets[path]
        packed = found.packed if "gzip" in accept_encoding.lower() else None
        data = found.data if packed is None else packed
        headers = HEADERS | {
            "ETag": found.etags[packed is not None],
            "Cache-Control": "no-cache" if path.startswith(CHECKED) else "no-store",
            "Vary": "Accept-Encoding",
        }
        if is_known(headers["ETag"], known):
            return Response(status_code=304, headers=headers)
        headers |= {"Content-Length": str(len(data))} | ({"Content-Encoding": "gzip"} if packed is not None else {})
        return StreamingResponse(chunks(data), media_type=found.media_type, headers=headers)

    def refusal(self, error: ServiceError, request_id: str) -> Response:
        """A refusal in words, for somebody who opened an address."""
        text = _render("refusal.html", title="Not here", error=error, request_id=request_id)
        headers = HEADERS | ({"WWW-Authenticate": "Bearer"} if error.status == 401 else {})
        if error.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after + 0.5)))
        return Response(text, error.status, headers, "text/html; charset=utf-8")


def make_site(settings: Settings, endpoints: list[dict[str, Any]], samples: Mapping[str, bytes] | None = None) -> Site:
    """The site of a provider.

    Args:
        settings: of it.
        endpoints: what `endpoints.describe` says of the API.
        samples: photos to try the page with, by file name.

    Raises:
        ValueError: the page is turned on, and a file of it is missing.
    """
    about = _page("about.html", title=settings.provider, settings=settings, version=__version__)
    assets = {
        "/about": about,
        "/api": _page("api.html", title=f"API of {settings.provider}", settings=settings, endpoints=endpoints),
        "/site.css": asset("site.css", _source("site.css").encode()),
    }
    if not settings.page:
        return Site(assets | {"/": about})
    assets |= {f"/samples/{name}": asset(name, data) for name, data in (samples or {}).items()}
    return Site(assets | _page_files())


def asset(name: str, data: bytes, *, packed: bytes | None = None) -> Asset:
    """A file with what its name says of it."""
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if packed is None and kind.startswith(_PACKED):
        packed = gzip.compress(data, mtime=0)
    return Asset(
        data=data,
        packed=packed,
        media_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        etags=(_etag(data), _etag(packed or b"")),
    )


def wants_html(accept: str) -> bool:
    """Whether a request is a browser's that opens an address: it names HTML, which programs do not."""
    return any(part.partition(";")[0].strip().lower() == "text/html" for part in accept.split(","))


def missing_files(folder: Path) -> list[str]:
    """Names of what the page needs and its folder has not."""
    needed = ["index.html", "page.js", "page.css", *(f"ort/{name}.gz" for name in RUNTIME)]
    return [name for name in needed if not (folder / name).is_file()]


def _page_files() -> dict[str, Asset]:
    if missing := missing_files(FOLDER):
        raise ValueError(
            f"page: expected the page's files in {FOLDER}, found no {', '.join(missing)}. facemin was built where "
            "onnxruntime-web could not be fetched, or runs from a checkout that was not built: pip install it where "
            "the npm registry is reachable"
        )
    found = {
        f"/{path.name}": asset(path.name, path.read_bytes())
        for path in FOLDER.iterdir()
        if path.is_file() and path.suffix != ".py"
    }
    found["/"] = found["/index.html"]
    for name in RUNTIME:
        packed = (FOLDER / "ort" / f"{name}.gz").read_bytes()
        found[f"/ort/{name}"] = asset(name, gzip.decompress(packed), packed=packed)
    found["/models/centerface.onnx"] = asset("centerface.onnx", network())
    for name in SHIPPED.values():
        found[f"/models/protectors/{name}"] = asset(name, (PROTECTORS / name).read_bytes())
    return found


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()}"'


def _page(template: str, **values: Any) -> Asset:
    return asset(template, _render(template, **values).encode())


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(values)


def _source(name: str) -> str:
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("facemin.service", "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )

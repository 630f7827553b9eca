"""A folder as the page's build leaves it; what the real files do is tested in a browser, in tests/page."""

import gzip
from pathlib import Path

from facemin.service.api.routes.site import RUNTIME


def write_page(folder: Path) -> Path:
    """Files that stand for the page's."""
    (folder / "index.html").write_text("<!doctype html><html lang='en'><title>Page</title>")
    (folder / "page.js").write_text("export const answer = 42;\n" * 100)
    (folder / "page.css").write_text("body { margin: 0 }")
    (folder / "engine.js").write_text("")
    (folder / "ort").mkdir()
    for name in RUNTIME:
        (folder / "ort" / f"{name}.gz").write_bytes(gzip.compress(f"the {name}".encode()))
    return folder

"""Packages that come with an extra, by the names under which they are imported."""

from __future__ import annotations

EXTRAS: dict[str, str] = {
    "argon2": "argon2",
    "fastapi": "service",
    "jinja2": "bench",
    "keyring": "keyring",
    "lightning_fabric": "train",
    "matplotlib": "bench",
    "pillow_heif": "heic",
    "prometheus_client": "service",
    "psycopg": "service",
    "ray": "ray",
    "sqlalchemy": "service",
    "starlette": "service",
    "torch": "torch",
    "uvicorn": "service",
}
"""The extra of `pyproject.toml` that brings each package."""


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """What to install, in a sentence; None where no extra brings the package that was not found."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return f"expected the package {package}, which comes with: pip install 'facemin[{extra}]'"

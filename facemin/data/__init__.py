"""Files of other packages that come with facemin's own: weights and the demo's photo; see NOTICE.txt."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def data_file(name: str, *, package: str, path: str) -> Path | None:
    """Where a file lies: among facemin's data, or in the package that publishes it where facemin was not built.

    Args:
        name: among facemin's data.
        package: that publishes it; located, not imported.
        path: of the file in that package.

    Returns:
        The path; None where it is in neither.
    """
    if (own := FOLDER / name).is_file():
        return own
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (published := Path(folder) / path).is_file():
            return published
    return None

"""The networks that the vectors were made with, as files for a client of another language.

    python spec/export_models.py FOLDER

Writes key.onnx (the default key), centerface.onnx and protector.onnx.
"""

from __future__ import annotations

import sys
from pathlib import Path

from facemin.data import data_file
from facemin.keys.default import default_key
from facemin.models import SPACE_MODEL
from facemin.protection.one_pass.shipped import FOLDER, SHIPPED


def main() -> None:
    """Write the files."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    detector = data_file("centerface.onnx", package="facemin", path="data/centerface.onnx")
    if detector is None:
        raise SystemExit("expected facemin's data to be built: pip install .")
    (folder / "centerface.onnx").write_bytes(detector.read_bytes())
    (folder / "key.onnx").write_bytes(default_key().data)
    (folder / "protector.onnx").write_bytes((FOLDER / SHIPPED[SPACE_MODEL]).read_bytes())


if __name__ == "__main__":
    main()

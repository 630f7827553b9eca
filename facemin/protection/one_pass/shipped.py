"""One-pass protectors that come with facemin."""

from __future__ import annotations

from pathlib import Path

from facemin.protection.one_pass.protector_file import ProtectorFile

FOLDER = Path(__file__).resolve().parents[1] / "protectors"

SHIPPED: dict[str, str] = {"dlib-resnet29-space66": "dlib-resnet29-space66.onnx"}
"""File of each by the model whose space it paints for; trained from that model's CC0 weights alone, no face seen."""


def shipped_protector(model: str) -> ProtectorFile | None:
    """The protector that comes with facemin for a model's space, checked like any other; None where there is none.

    Args:
        model: name of the recogniser.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: it is missing.
    """
    return ProtectorFile.load(FOLDER / SHIPPED[model]) if model in SHIPPED else None

"""Weights that lie in a file of their own beside an ONNX model."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto

from facemin.models.onnx.checks import tensors
from facemin.models.onnx.protobuf_limits import check_fields
from facemin.runtime.files import read_at_most

if TYPE_CHECKING:
    from facemin.models.onnx.limits import GraphLimits

KEYS = frozenset({"location", "offset", "length", "checksum"})


def has_external(model: ModelProto) -> bool:
    """Whether any of a model's tensors lies outside the file."""
    return any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors(model.graph))


def take_in(model: ModelProto, folder: Path, *, limits: GraphLimits) -> None:
    """Put the weights that a model keeps in other files of its folder into the model itself.

    Args:
        model: the parsed file; changed in place.
        folder: that of the file. Nothing outside it is read: no absolute path, no "..", no link.
        limits: how many bytes the weights may take together with the file.

    Raises:
        ValueError: a place outside the folder, a file that is not there, or one that is shorter than declared.
    """
    left = limits.bytes - model.ByteSize()
    for tensor in tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        where = f"tensor {tensor.name!r:.80}: external data"
        settings = {entry.key: entry.value for entry in tensor.external_data}
        if settings.keys() - KEYS or len(settings) != len(tensor.external_data) or tensor.HasField("raw_data"):
            raise ValueError(f"{where}: expected location, offset and length, each once, got {sorted(settings)!r:.200}")
        try:
            data = _read(folder, settings, left)
        except OSError as error:
            raise ValueError(
                f"{where}: expected the file {settings.get('location', '')!r:.80} beside the model, as a file and "
                f"no link: copy it there ({error.strerror})"
            ) from error
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        left -= len(data)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _read(folder: Path, settings: dict[str, str], left: int) -> bytes:
    location = settings.get("location", "")
    parts = PurePosixPath(location).parts
    if not parts or location.startswith("/") or ".." in parts or any(set(part) & set("\\:\0") for part in parts):
        raise ValueError(f"expected a file in the model's own folder, got {location!r:.80}")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ValueError(f"expected a file in the model's own folder, got the link {location!r:.80}: copy the file")
    numbers = [settings.get(key, "") for key in ("offset", "length")]
    if not all(number == "" or (number.isascii() and number.isdigit() and len(number) < 19) for number in numbers):
        raise ValueError(f"expected an offset and a length in bytes, got {numbers!r:.80}")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"expected a file, got {location!r:.80}, which is none")
        offset = int(numbers[0] or 0)
        length = int(numbers[1]) if numbers[1] else max(status.st_size - offset, 0)
        if offset + length > status.st_size:
            raise ValueError(f"{location!r:.80}: expected {offset + length} bytes, got {status.st_size}: it is cut off")
        if length > left:
            raise ValueError(f"{location!r:.80}: expected at most {left} bytes of weights more, got {length}")
        file.seek(offset)
        return file.read(length)


def self_contained(file: Path, *, limits: GraphLimits) -> bytes:
    """An ONNX file's bytes; where it keeps weights in other files, the bytes of one that holds them itself.

    Raises:
        ValueError: too large, or as for `take_in`. What is no ONNX file comes back as it is, for its reader to refuse.
        OSError: it cannot be read.
    """
    data = read_at_most(file, limits.bytes, expected=f"{file}: expected")
    try:
        check_fields(data, limits=limits)
        model = ModelProto.FromString(data)
    except (ValueError, DecodeError):
        return data
    if not has_external(model):
        return data
    try:
        take_in(model, file.parent, limits=limits)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    whole: bytes = model.SerializeToString(deterministic=True)
    return whole

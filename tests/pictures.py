"""Pictures for the tests of decoding: smooth ones, and files and colour profiles written by hand."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facemin.autograd.pixels import to_array, to_tensor
from facemin.image import Photo, Pixels, Source, decode, encode
from facemin.runtime.files import write_atomically


def hwc(photo: Photo) -> Pixels:
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape[2] == 3
    return photo.pixels


def decode_tensor(source: Source) -> Tensor:
    """A file's pixels as the workshop has them, uint8 (3, H, W)."""
    return to_tensor(decode(source).pixels)


def encode_tensor(image: Tensor, **options: Any) -> bytes:
    """A file of a workshop's image (3, H, W), uint8 or in [0, 1]."""
    return encode(to_array(image), **options)


def patterned_people(
    root: Path,
    people: int,
    photos: int,
    *,
    noise: float = 0.3,
    name: str = "person {person}/{photo}.png",
    first: int = 0,
) -> Path:
    """Aligned faces in files: each person a pattern of 4 x 4 colours, each photo that with noise."""
    generator = torch.Generator().manual_seed(0)
    for person in range(people):
        pattern = torch.rand(3, 4, 4, generator=generator).repeat_interleave(28, 1).repeat_interleave(28, 2)
        for photo in range(first, first + photos):
            face = (pattern + noise * torch.rand(3, 112, 112, generator=generator)).clamp(0, 1)
            write_atomically(root / name.format(person=person, photo=photo), encode_tensor(face))
    return root


def smooth_faces(count: int, *, cells: int, generator: torch.Generator, mode: str = "bicubic") -> Tensor:
    """Images that differ as faces do, in large areas: cells of drawn colours made smooth, (count, 3, 112, 112)."""
    coarse = torch.rand(count, 3, cells, cells, generator=generator)
    return functional.interpolate(coarse, size=(112, 112), mode=mode).clamp(0, 1)


def forbid_listing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Folders of a name cannot be listed; as root, permissions alone would forbid nothing."""
    listed = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


def saved(picture: Image.Image, encoding: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, encoding, **options)
    return buffer.getvalue()


def smooth(height: int, width: int, seed: int = 0) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: list[bytes], *extra: bytes) -> bytes:
    """A PNG written by hand: Pillow cannot write 16-bit colour."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + chunk(b"IEND", b"")


def icc(space: bytes, tags: dict[bytes, bytes], description: str = "made by hand") -> bytes:
    """A matrix or grey ICC v2 profile, ICC.1:2001-04, section 6."""
    text = description.encode()
    desc = b"desc" + struct.pack(">II", 0, len(text) + 1) + text + b"\0" + bytes(78)
    tags = {b"desc": desc, b"wtpt": xyz(0.9642, 1.0, 0.8249), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, b"", 0x02100000, b"mntr", space, b"XYZ ", bytes(12), b"acsp")
    white = struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(68, b"\0") + white.ljust(60, b"\0") + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


LINEAR = b"curv" + struct.pack(">II", 0, 0)
SRGB_PRIMARIES = {  # adapted to D50
    b"rXYZ": xyz(0.4360, 0.2225, 0.0139),
    b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
    b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
}
LINEAR_RGB = {**SRGB_PRIMARIES, b"rTRC": LINEAR, b"gTRC": LINEAR, b"bTRC": LINEAR}

"""LFW's aligned faces and their embeddings, face and mirror image, kept in a cache folder between runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.experiments.common import lfw_points, lfw_root
from facemin.face import align
from facemin.image import decode
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import mirrored

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Raw embeddings (N, D) float32 of photos and of their mirror images; `at` gives a photo's row."""

    at: dict[str, int]
    face: NDArray[np.float32]
    mirror: NDArray[np.float32]


def all_photos(shared: Path) -> list[str]:
    """Paths of LFW's photos relative to its root, sorted."""
    return sorted(lfw_points(shared))


def crops(shared: Path, paths: list[str]) -> NDArray[np.uint8]:
    """Aligned faces (N, 112, 112, 3) on the 8-bit grid, by the landmarks given with LFW."""
    points = lfw_points(shared)
    faces = [align(decode(lfw_root(shared) / path).pixels, points[path][None])[0] for path in paths]
    return np.stack(faces)


def embed(graph: ModelProto, shared: Path, paths: Iterable[str], cache: Path) -> Embedded:
    """Embeddings of photos and of their mirror images.

    Args:
        graph: the recogniser's.
        shared: the research folder.
        paths: photos, relative to LFW's root.
        cache: a folder; one file a graph and a set of photos, named by their hash.
    """
    wanted = sorted(set(paths))
    data = graph.SerializeToString(deterministic=True)
    digest = hashlib.sha256(data + "\n".join(wanted).encode()).hexdigest()[:16]
    file = cache / f"lfw-{digest}.npz"
    if not file.is_file():
        runner, face, mirror = FaceRunner(data), [], []
        for start in range(0, len(wanted), CHUNK):
            faces = crops(shared, wanted[start : start + CHUNK])
            face.append(runner(faces))
            mirror.append(runner(mirrored(faces)))
            print(f"\r{start + len(faces)} of {len(wanted)} faces embedded", end="", flush=True)
        print()
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, face=np.concatenate(face), mirror=np.concatenate(mirror))
    held = np.load(file)
    return Embedded(
        at={path: row for row, path in enumerate(wanted)},
        face=held["face"].reshape(len(wanted), -1),
        mirror=held["mirror"].reshape(len(wanted), -1),
    )

"""Feature inversion: the face recovered from an uploaded feature, by dimension, layer, and a linear map.

So many values hold the face whole; values of an early layer each show the few pixels they depend on, whatever was
computed of these; and a ridge regression from features to faces, fitted on drawn faces in seconds, undoes what is
linear in the face (averages, other orders of pixels, secret matrices) and little of what a deep network made of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.models.onnx.run import FloatRunner
from facemin.protection.revealing.by_digest import ByDigest, by_graph
from facemin.protection.revealing.finding import Revealing
from facemin.protection.revealing.resemblance import SIDE, likenesses, mean_face

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facemin.image import Pixels
    from facemin.keys.key import Key

    Inverter = Callable[[NDArray[np.float32]], Pixels]

VALUES = SIDE * SIDE * 3 // 4
"""So many values hold a 2 x 2 average of the face whole; fewer are asked what they give back."""
LOCAL = 0.75
"""Share of the face that a value may leave out: dlib's network has 0.79 at conv128.1, where an eye knows the face in
what is inverted, 0.73 at the next cut, and 0.31 at the default one; experiments/keys/locality.py."""
BLOCK = 16
"""Side, pixels, of what is changed of a face to see which values depend on it."""
NOTICED = 0.05
"""Of the change that its most important block makes: less is no dependence."""
DRAWN = 384
COARSE = 28
"""Side of the face that is reconstructed."""
RIDGE = 1e-3
"""Share of the features' power."""


def check_revealing_feature(feature: NDArray[np.float32], face: Pixels, key: Key) -> Revealing | None:
    """What a feature gives back of its face; None where that is nothing.

    Args:
        feature: what would be sent, of the key's shape.
        face: the aligned plain face, uint8 (112, 112, 3).
        key: whose feature it is.
    """
    names = (key.manifest.key_id,)
    if feature.size >= VALUES:
        return Revealing(keys=names, measure="values in the feature", value=feature.size, limit=VALUES)
    local = locality(by_graph(key))
    if local >= LOCAL:
        measure = "share of the face that a value of the feature leaves out"
        return Revealing(keys=names, measure=measure, value=local, limit=LOCAL)
    strongest = likenesses(_inverter(by_graph(key))(feature), face)[0]
    if strongest.share < 1:
        return None
    measure = f"{strongest.measure}, of what a linear inversion of the feature gives back"
    return Revealing(keys=names, measure=measure, value=strongest.value, limit=strongest.limit)


@lru_cache(maxsize=64)
def locality(given: ByDigest[Key]) -> float:
    """The mean share of the face that a value of a key's feature does not depend on, in [0, 1]."""
    plain = np.moveaxis(mean_face(), -1, 0).astype(np.float32) / 255
    faces = [plain]
    for top in range(0, SIDE, BLOCK):
        for left in range(0, SIDE, BLOCK):
            changed = plain.copy()
            changed[:, top : top + BLOCK, left : left + BLOCK] *= -1
            changed[:, top : top + BLOCK, left : left + BLOCK] += 1
            faces.append(changed)
    features = _features(given.file, np.stack(faces))
    change = np.abs(features[1:] - features[0])
    most = change.max(0)
    alive = most > 0
    return float((change[:, alive] <= NOTICED * most[alive]).mean()) if alive.any() else 1.0


def _features(key: Key, faces: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of faces (N, 3, 112, 112) in [0, 1], as rows."""
    return FloatRunner(key.graph)(faces).reshape(len(faces), -1).astype(np.float64)


@lru_cache(maxsize=8)
def _inverter(given: ByDigest[Key]) -> Inverter:
    faces = drawn_faces(DRAWN, seed=0)
    features = _features(given.file, faces)
    coarse = faces.reshape(DRAWN, 3, COARSE, SIDE // COARSE, COARSE, SIDE // COARSE).mean((3, 5)).reshape(DRAWN, -1)
    centre, mean = features.mean(0), coarse.mean(0)
    spread = features.std(0)
    # dead features must not become loud ones
    scale = 1 / np.maximum(spread, 1e-3 * max(float(spread.max()), 1e-12))
    rows = (features - centre) * scale
    gram = rows @ rows.T
    weights = np.linalg.solve(gram + RIDGE * np.trace(gram) / DRAWN * np.eye(DRAWN), coarse - mean)

    def invert(feature: NDArray[np.float32]) -> Pixels:
        values = ((feature.ravel().astype(np.float64) - centre) * scale) @ rows.T @ weights
        # what the regression adds to the mean, as strong as a face's own detail is
        values *= 0.2 / max(float(values.std()), 1e-12)
        image = (0.5 + values).reshape(3, COARSE, COARSE).clip(0, 1)
        large = image.repeat(SIDE // COARSE, 1).repeat(SIDE // COARSE, 2)
        return np.ascontiguousarray(np.moveaxis((large * 255).round().astype(np.uint8), 0, -1))

    return invert


def drawn_faces(count: int, *, seed: int) -> NDArray[np.float32]:
    """The mean face under random smooth light, shapes and texture; nobody's.

    Returns:
        (count, 3, 112, 112) in [0, 1].
    """
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) + 1 / SIDE
    mean = np.moveaxis(mean_face(), -1, 0).astype(np.float32) / 255
    faces = np.empty((count, 3, SIDE, SIDE), np.float32)
    for face in faces:
        fields = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((4, SIDE, SIDE))) / frequency, (SIDE, SIDE))
        fields /= fields.std((1, 2), keepdims=True)
        common = generator.uniform(0.08, 0.2) * fields[0]
        face[:] = mean * generator.uniform(0.6, 1.2) + common + 0.04 * fields[1:]
    return faces.clip(0, 1, out=faces)

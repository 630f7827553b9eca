"""Refusal of protected images that still show the plain face, whatever the key says of itself.

A key is a stranger's file and decides what a protected image shows. So the result is looked at, on the device and
before anything is written or sent: `resemblance` compares it with the plain face, and the default recogniser, in its
space, judges it for keys that are not built on that recogniser.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from facemin.image.separable import applied, blur_weights
from facemin.models import DEFAULT_MODEL, MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.revealing.by_digest import ByDigest
from facemin.protection.revealing.finding import Revealing
from facemin.protection.revealing.resemblance import SIDE, Likeness, likenesses, mean_face

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from facemin.image import Pixels
    from facemin.keys.key import Key

JUDGED_BLURS = (1.0, 2.0)
"""Pixels; a blur takes away what hides a face from a recogniser."""
JUDGE = f"cosine by {SPACE_MODEL}"
JUDGED_FROM = 0.75
"""Least cosine of image and face that shows the face: nearly the same photo, not merely the same person.

Two photos of one person seldom reach it, and images for honest keys of other strong networks, which tell the person to
the default recogniser at times (docs/decisions/010), do not. A third of the way from their highest, of people not
reported on, to 1.
"""


def check_revealing(pixels: Pixels, face: Pixels, keys: Sequence[Key]) -> Revealing | None:
    """What a protected image still shows of its plain face; None where it shows nothing.

    For images made without a secret. Measured by `experiments/keys/revealing.py`.

    Args:
        pixels: what would be sent, uint8 RGB (112, 112, 3).
        face: the aligned plain face, likewise.
        keys: those it was protected for.

    Raises:
        ValueError: another shape or type, or the default recogniser's weights are missing.
    """
    strongest = strongest_likeness(pixels, face, keys)
    if strongest.share < 1:
        return None
    names = tuple(key.manifest.key_id for key in keys)
    return Revealing(keys=names, measure=strongest.measure, value=strongest.value, limit=strongest.limit)


def strongest_likeness(pixels: Pixels, face: Pixels, keys: Sequence[Key]) -> Likeness:
    """The measure, the default recogniser's among them, that comes nearest to its limit or is farthest above it.

    Args:
        pixels: as for `check_revealing`.
        face: likewise.
        keys: likewise; the default recogniser does not judge its own.

    Raises:
        ValueError: as for `check_revealing`.
    """
    strongest = likenesses(pixels, face)[0]
    if strongest.share >= 1 or any(is_of_default_recogniser(key) for key in keys):
        return strongest
    judged = Likeness(JUDGE, judged_cosine(pixels, face), JUDGED_FROM)
    return max(strongest, judged, key=lambda likeness: likeness.share)


def is_of_default_recogniser(key: Key) -> bool:
    """Whether a key's graph is the default recogniser's part before one of its cuts, and nothing else.

    With its space or without. Such an image is recognised by it as it should be. One more layer, or another weight,
    makes the key a stranger's.
    """
    return _is_of_default(ByDigest(key, key.fingerprint))


def judged_cosine(pixels: Pixels, face: Pixels) -> float:
    """The default recogniser's cosine of an image, raw or blurred, and a face; 0 where the mean face has as much."""
    blurred = [applied(blur_weights(SIDE, sigma), pixels[None])[0] for sigma in JUDGED_BLURS]
    embedded = _embeddings(np.stack([face, pixels, *blurred]))
    value = float((embedded[1:] @ embedded[0]).max())
    return value if value > float((_embedded_mean() @ embedded[0]).max()) else 0.0


@cache
def _embedded_mean() -> NDArray[np.float32]:
    return _embeddings(mean_face()[None])


def _embeddings(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = _judge()(faces)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@cache
def _judge() -> FaceRunner:
    return FaceRunner(MODELS[SPACE_MODEL].graph().graph.SerializeToString())


@lru_cache(maxsize=64)
def _is_of_default(given: ByDigest[Key]) -> bool:
    layers = given.file.manifest.layers
    models = [name for name in (DEFAULT_MODEL, SPACE_MODEL) if set(layers) <= _cuts(name)]
    if not models:
        return False
    meaning = _meaning(ModelProto.FromString(given.file.graph))
    return any(meaning == _default_meaning(name, layers) for name in models)


@cache
def _cuts(name: str) -> frozenset[str]:
    return frozenset(cut.name for cut in MODELS[name].graph().cuts)


@cache
def _default_meaning(name: str, layers: tuple[str, ...]) -> str:
    return _meaning(MODELS[name].graph().shallow_graph(layers[-1], layers[:-1]))


def _meaning(model: ModelProto) -> str:
    """SHA-256 of what a graph computes, whatever its values are called."""
    digest = hashlib.sha256()
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    numbers = {each.name: number for number, each in enumerate(model.graph.input) if each.name not in constants}
    for node in model.graph.node:
        digest.update(f"{node.domain}|{node.op_type}".encode())
        for name in node.input:
            if name in constants:
                array = numpy_helper.to_array(constants[name])
                digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
            else:
                digest.update(str(numbers.get(name, "none")).encode())
        attributes = sorted((each.name, str(helper.get_attribute_value(each))) for each in node.attribute)
        digest.update(repr(attributes).encode())
        for name in node.output:
            numbers[name] = len(numbers)
    digest.update(repr([numbers.get(output.name) for output in model.graph.output]).encode())
    return digest.hexdigest()

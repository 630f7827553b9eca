"""Refusal of protected images that still show the plain face, whatever the key says of itself.

A key is a stranger's file and decides what a protected image shows. So the result is looked at, on the device and
before anything is written or sent: `resemblance` compares it with the plain face, and the default recogniser judges it
for keys that are not built on that recogniser.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import ModelProto, helper, numpy_helper

from facemin.models import DEFAULT_MODEL, MODELS
from facemin.models.calibration import shipped_calibration
from facemin.protection.pmt import separable as linear_maps
from facemin.protection.resemblance import likenesses, mean_face
from facemin.protection.revealed import Revealing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.keys.key import Key
    from facemin.protection.resemblance import Pixels

JUDGED_BLURS = (1.0, 2.0)
"""Pixels; a blur takes away what hides a face from a recogniser."""


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
    names = tuple(key.manifest.key_id for key in keys)
    strongest = likenesses(pixels, face)[0]
    if strongest.share >= 1:
        return Revealing(keys=names, measure=strongest.measure, value=strongest.value, limit=strongest.limit)
    if any(is_of_default_recogniser(key) for key in keys):
        return None
    return _judged(pixels, face, names)


def is_of_default_recogniser(key: Key) -> bool:
    """Whether a key's graph is the default recogniser's part before one of its cuts, and nothing else.

    Such an image is recognised by it as it should be. One more layer, or another weight, makes the key a stranger's.
    """
    recogniser = MODELS[DEFAULT_MODEL].graph()
    layers = key.manifest.layers
    if not set(layers) <= {cut.name for cut in recogniser.cuts}:
        return False
    return _meaning(ModelProto.FromString(key.data)) == _default_meaning(layers)


def _judged(pixels: Pixels, face: Pixels, names: tuple[str, ...]) -> Revealing | None:
    recogniser = MODELS[DEFAULT_MODEL].open()
    calibration = shipped_calibration(recogniser)
    assert calibration is not None
    limit = calibration.thresholds[0].threshold
    stacked = np.stack([face, mean_face(), pixels])
    images = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
    shown = images[2:]
    maps = (linear_maps.blur_matrix(sigma).to(shown)[None] for sigma in JUDGED_BLURS)
    blurred = [linear_maps.apply(shown, each, each) for each in maps]
    with torch.no_grad():
        embedded = recogniser(torch.cat([images, *blurred]))
    scores = embedded[1:] @ embedded[0]
    baseline, value = float(scores[0]), float(scores[1:].max())
    if value < limit or value <= baseline:
        return None
    return Revealing(keys=names, measure=f"cosine by {DEFAULT_MODEL}", value=value, limit=limit)


@cache
def _default_meaning(layers: tuple[str, ...]) -> str:
    return _meaning(MODELS[DEFAULT_MODEL].graph().shallow_graph(layers[-1], layers[:-1]))


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

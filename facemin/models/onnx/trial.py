"""Trial run of a stranger's recogniser on onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from facemin.models.preprocess import FACE
from facemin.runtime.inference_session import inference_session

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

SAME = 1e-6
"""Embeddings of different faces that are nearer than this, as a share of the largest value, tell nobody apart."""

_ERRORS = (
    errors.EPFail,
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NotImplemented,
    errors.RuntimeException,
    RuntimeError,
    ValueError,
)


def random_faces() -> NDArray[np.float32]:
    """Four images (4, 3, 112, 112) in [0, 1], always the same: two of noise, two smooth."""
    generator = np.random.default_rng(20)
    faces = generator.random((4, 3, FACE, FACE))
    coarse = generator.random((2, 3, 8, 8)).repeat(FACE // 8, 2).repeat(FACE // 8, 3)
    for axis in (2, 3):
        for _ in range(2):
            coarse = np.mean([np.roll(coarse, shift, axis) for shift in range(-5, 6)], axis=0)
    faces[1::2] = coarse
    return faces.astype(np.float32)


def reference_embeddings(model: ModelProto, *, name: str) -> NDArray[np.float32]:
    """What onnxruntime gives for `random_faces`, each alone and the last three as one batch.

    Args:
        model: takes faces (batch, 3, 112, 112), RGB in [0, 1]; its first output is the embedding.
        name: what to call it in errors.

    Returns:
        (4, D) float32, finite.

    Raises:
        ValueError: onnxruntime does not run it, an embedding is not finite or is zero, or different faces have the
            same embedding.
    """
    try:
        expected = _reference(model, random_faces())
    except _ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{name}: expected a graph that onnxruntime runs; it says {reason!r:.300}. "
            "Export the network again, at opset 17 for instance"
        ) from error
    if not np.isfinite(expected).all():
        raise ValueError(f"{name}: expected finite embeddings of any face, got NaN or infinity")
    largest = np.abs(expected).max(1)
    if not largest.all():
        raise ValueError(f"{name}: expected embeddings other than zero, got nothing but zeros for some face")
    if float((np.abs(expected[1:] - expected[:-1]).max(1) / largest[1:]).max()) < SAME:
        raise ValueError(f"{name}: expected different embeddings of different faces, got the same for all")
    return expected


def _reference(model: ModelProto, faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """What onnxruntime gives for the first face and for the others as one batch, as (4, D)."""
    session = inference_session(model.SerializeToString(), threads=1, severity=4)
    image, output = session.get_inputs()[0], session.get_outputs()[0].name

    def one(rows: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(session.run([output], {image.name: rows})[0])

    alone = np.concatenate([one(face[None]).reshape(1, -1) for face in faces])
    if image.shape[0] == 1:
        return alone
    try:
        together = one(faces[1:])
    except _ERRORS:
        # its inside was written for a batch of one, whatever its input says
        return alone
    if together.size != alone[1:].size or together.shape[:1] != (len(faces) - 1,):
        return alone
    return np.concatenate([alone[:1], together.reshape(len(faces) - 1, -1)])

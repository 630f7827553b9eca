"""Agreement of a differentiable graph with onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.models.onnx.trial import random_faces, reference_embeddings

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto

TOLERANCE = 1e-4
"""Largest difference allowed, as a share of the embedding's largest value."""


def check_agreement(model: ModelProto, run: Callable[[torch.Tensor], torch.Tensor], *, name: str) -> None:
    """Compare with onnxruntime, on a batch of one and a batch of three.

    Args:
        model: takes faces (batch, 3, 112, 112), RGB in [0, 1]; its first output is the embedding.
        run: the same as facemin runs it.
        name: what to call it in errors.

    Raises:
        ValueError: as for `reference_embeddings`, or they differ by more than 1e-4 of the largest value.
    """
    expected = reference_embeddings(model, name=name)
    faces = random_faces()
    with torch.no_grad():
        ours = np.concatenate([run(torch.from_numpy(part)).numpy() for part in (faces[:1], faces[1:])])
    ours = ours.reshape(len(faces), -1)
    if ours.shape != expected.shape:
        raise ValueError(
            f"{name}: expected {expected.shape[1]} numbers a face as onnxruntime gives, got {ours.shape[1]}"
        )
    if not np.isfinite(ours).all():
        raise ValueError(f"{name}: expected finite embeddings of any face, got NaN or infinity")
    difference = float((np.abs(ours - expected).max(1) / np.abs(expected).max(1)).max())
    if difference > TOLERANCE:
        raise ValueError(
            f"{name}: facemin does not read this graph as onnxruntime does: embeddings differ by {difference:.1e} of "
            f"their largest value (at most {TOLERANCE:.0e} is accepted). Export the network again, at opset 17 for "
            "instance, and report the file if it is refused again"
        )

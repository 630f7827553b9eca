"""Faces and keys of a real recogniser that several rooms' tests take as fixtures."""

from datetime import UTC, datetime

import pytest
import torch
from torch import Tensor

from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser
from tests.pictures import smooth_faces


@pytest.fixture(scope="session")
def dlib_keys() -> dict[str, Key]:
    """Keys of dlib's ResNet-29 at an early cut (cheap) and at a late one; the same in every run.

    Made at one time, since what a key decides by its fingerprint differs by key: one frequency mask in three shows the
    face, and is refused.
    """
    created = datetime(2026, 1, 1, tzinfo=UTC)
    recogniser = load_recogniser("dlib-resnet29")
    return {
        cut: export_key(recogniser, cut, provider="test", residual=residual, created=created)
        for cut, residual in (("conv32.1", 0.45), ("conv256.3", 0.24))
    }


@pytest.fixture(scope="session")
def faces() -> Tensor:
    """Four different smooth images with some texture: no photos are needed to test the loop."""
    generator = torch.Generator().manual_seed(7)
    smooth = smooth_faces(4, cells=7, generator=generator)
    return (0.85 * smooth + 0.15 * torch.rand(smooth.shape, generator=generator)).mul(255).round() / 255

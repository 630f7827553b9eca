"""Faces and keys of a real recogniser, small enough to optimise in a test."""

import pytest

from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser
from tests.keys_and_faces import dlib_keys, faces  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def layered_key() -> Key:
    """A key whose first layers are matched as well as its cut."""
    recogniser = load_recogniser("dlib-resnet29")
    return export_key(recogniser, "conv32.2", layers=("conv7", "conv32.1"), provider="test", residual=0.4)

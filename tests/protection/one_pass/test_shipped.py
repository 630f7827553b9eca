"""Protectors that come with facemin: listed, small enough, and painting for their space."""

import numpy as np
import pytest

from facemin.keys.default import DEFAULT_SPACE
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.shipped import FOLDER, SHIPPED, shipped_protector


def test_every_file_in_the_folder_is_listed_and_fits_into_the_wheel() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SHIPPED.values())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12_000_000


def test_no_protector_comes_for_another_model() -> None:
    assert shipped_protector("dlib-resnet29") is None


def test_the_shipped_protector_paints_for_the_default_space() -> None:
    file = shipped_protector(SPACE_MODEL)
    assert file is not None
    assert file.manifest.space == DEFAULT_SPACE
    runner = FaceRunner(MODELS[SPACE_MODEL].graph().graph.SerializeToString())
    drawn = np.random.default_rng(0).standard_normal((6, file.manifest.target), dtype=np.float32)
    targets = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    painted = Painter(file, runner, OnePass(residual=0.5, batch=3))(targets, list(range(6)))
    assert all(image.reached for image in painted)
    found = runner(np.stack([image.pixels for image in painted]))
    cosines = (found * targets).sum(1)
    assert cosines.min() > 0.9
    assert np.abs(found @ targets.T - np.diag(cosines)).max() < 0.6
    # what is measured is what the manifest says
    assert cosines.mean() == pytest.approx(file.manifest.cosines["none"], abs=0.03)

"""The distilled IR-18 as a file: what a folder of models is read as is what the student was taught."""

import runpy
from pathlib import Path

import torch
from torch.nn import functional as F

from facemin import load_recogniser
from facemin.autograd.pixels import to_unit
from facemin.train.families.iresnet import iresnet
from tests.conftest import REPOSITORY


def test_the_file_sees_a_face_as_the_student_does(tmp_path: Path) -> None:
    script = runpy.run_path(str(REPOSITORY / "experiments" / "train" / "distill.py"))
    torch.manual_seed(0)
    student = iresnet(depth=18, embedding_size=16, width=0.125, dropout=0.0).eval()
    file = tmp_path / "ir18.onnx"
    file.write_bytes(script["as_model"](student).SerializeToString())
    faces = to_unit(torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8))
    with torch.no_grad():
        seen, told = load_recogniser(file)(faces), F.normalize(student(faces))
    torch.testing.assert_close(seen, told, atol=1e-4, rtol=0)
    # and faces are told apart at all, which they were not where the range was another one
    assert (told[0] @ told[1]) < 0.999


def test_views_are_of_their_faces_and_differ(tmp_path: Path) -> None:
    script = runpy.run_path(str(REPOSITORY / "experiments" / "train" / "distill.py"))
    faces = torch.randint(0, 256, (5, 3, 112, 112), dtype=torch.uint8)
    made = script["views"](faces, 3)
    assert made.shape == (15, 3, 112, 112)
    assert made.dtype == torch.uint8
    assert torch.equal(made[:5], faces)
    assert not any(torch.equal(made[5 + at], faces[at]) for at in range(5))
    assert torch.equal(made, script["views"](faces, 3))

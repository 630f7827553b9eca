"""Students and the linear map: taught on scrambled images, they recognise people they never saw."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.attack.datasets import HeldPairs
from facemin.attack.link.ridge_linker import RIDGES, train_ridge_linker
from facemin.attack.link.student import Student, StudentTraining, teach, train_student
from facemin.attack.link.trainable import Trainable
from facemin.attack.training import Fitting, batch_of
from facemin.keys.key import Key
from facemin.models import Recogniser, load_recogniser
from tests.attack.conftest import Drawn, draw
from tests.models.test_store import tiny_graph

TRAIN, VALIDATION, TEST = draw(48, 2, seed=31), draw(8, 1, seed=32), draw(16, 1, seed=33)
QUICK = Fitting(epochs=30, batch=16, rate=5e-2)


def scrambled(faces: Tensor) -> Tensor:
    """Upside down and with the colours inverted: nobody's recogniser is ready for it."""
    return 1 - faces.flip(2)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    path.write_bytes(tiny_graph(seed=3))
    return load_recogniser(path)


def taught(teacher: Recogniser, drawn: Drawn) -> HeldPairs:
    return HeldPairs(scrambled(drawn.faces), teach(teacher, drawn.faces))


def rank_one(link: object, teacher: Recogniser) -> float:
    """Share of 16 people it never saw whom the teacher's embedding of the plain face finds first; chance is 1 in 16."""
    told = teach(teacher, TEST.faces)
    assert callable(link)
    found = link(scrambled(TEST.faces))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)))
    scores = F.normalize(found - found.mean(0)) @ F.normalize(told - told.mean(0)).T
    return float((scores.argmax(1) == torch.arange(len(told))).double().mean())


def test_teaches_what_the_recogniser_sees(teacher: Recogniser) -> None:
    eight_bit = TEST.faces.mul(255).round().to(torch.uint8)
    torch.testing.assert_close(teach(teacher, eight_bit), teacher(TEST.faces), atol=1e-5, rtol=0)


def test_student_from_a_recogniser_learns(teacher: Recogniser) -> None:
    assert rank_one(teacher, teacher) < 0.3
    student = train_student(
        taught(teacher, TRAIN),
        teacher=teacher,
        settings=StudentTraining(fitting=QUICK),
        validation=taught(teacher, VALIDATION),
    )
    assert rank_one(student, teacher) > 0.6


def test_student_on_a_key_learns(teacher: Recogniser, key: Key) -> None:
    plain = HeldPairs(TRAIN.faces[:48], teach(teacher, TRAIN.faces[:48]))
    settings = StudentTraining(body="key", width=0.1, fitting=Fitting(epochs=6, batch=8, rate=5e-3))
    student = train_student(plain, key=key, settings=settings)
    told = teach(teacher, TEST.faces)
    floor = F.cosine_similarity(told.mean(0, keepdim=True), told).mean()
    assert float(F.cosine_similarity(student(TEST.faces), told).mean()) > float(floor)


def test_student_from_nothing_runs_and_another_size_is_mapped(teacher: Recogniser) -> None:
    pairs = HeldPairs(TRAIN.faces[:4], F.normalize(torch.rand(4, 24, generator=torch.Generator().manual_seed(0))))
    once = Fitting(epochs=1, batch=4)
    for settings in (StudentTraining(body="scratch", width=0.1, fitting=once), StudentTraining(fitting=once)):
        student = train_student(pairs, teacher=teacher, settings=settings)
        assert student(TEST.faces[:2]).shape == (2, 24)


def test_batch_equals_one_by_one(teacher: Recogniser) -> None:
    student = Student(Trainable(teacher))
    together = student(TEST.faces[:3])
    torch.testing.assert_close(together, torch.cat([student(face[None]) for face in TEST.faces[:3]]), atol=1e-5, rtol=0)


def test_resumed_is_bit_equal(teacher: Recogniser, tmp_path: Path) -> None:
    settings = StudentTraining(fitting=Fitting(epochs=2, batch=16))
    pairs, path = taught(teacher, TRAIN), tmp_path / "checkpoint.pt"
    whole = train_student(pairs, teacher=teacher, settings=settings)
    train_student(pairs, teacher=teacher, settings=settings, checkpoint=path, stop=lambda: True)
    resumed = train_student(pairs, teacher=teacher, settings=settings, checkpoint=path)
    assert torch.equal(whole(TEST.faces), resumed(TEST.faces))


class TestTrainable:
    def test_begins_as_the_recogniser_and_leaves_it(self, dlib: Recogniser) -> None:
        copy = Trainable(dlib)
        faces = TEST.faces[:2]
        before = dlib(faces)
        torch.testing.assert_close(copy(faces), before, atol=1e-5, rtol=0)
        copy(faces)[:, 0].sum().backward()
        with torch.no_grad():
            for weight in copy.weights.values():
                assert weight.grad is not None
                weight -= 0.1 * weight.grad
        assert not torch.allclose(copy(faces), before, atol=1e-3)
        assert torch.equal(dlib(faces), before)

    def test_slope_is_the_finite_difference(self, teacher: Recogniser) -> None:
        copy = Trainable(teacher)
        weight = max(copy.weights.values(), key=torch.numel)
        copy(TEST.faces[:2])[0, 0].backward()
        assert weight.grad is not None
        slope = float(weight.grad[5, 0])
        with torch.no_grad():
            value = float(copy(TEST.faces[:2])[0, 0])
            weight[5, 0] += 1e-2
            assert float(copy(TEST.faces[:2])[0, 0]) - value == pytest.approx(1e-2 * slope, rel=5e-2, abs=1e-5)

    def test_passes_gradients_to_what_comes_before(self, teacher: Recogniser) -> None:
        faces = TEST.faces[:1].clone().requires_grad_()
        (slope,) = torch.autograd.grad(Trainable(teacher)(faces)[0, 0], faces)
        assert slope.abs().sum() > 0


class TestRidge:
    def test_links_people_it_never_saw(self, teacher: Recogniser, tmp_path: Path) -> None:
        path = tmp_path / "other.onnx"
        path.write_bytes(tiny_graph(seed=4, size=32))
        other = load_recogniser(path)
        linker = train_ridge_linker(other, taught(teacher, TRAIN), validation=taught(teacher, VALIDATION))
        assert rank_one(linker, teacher) > 0.6
        assert linker.ridge in RIDGES

    def test_is_the_ridge_regression(self, teacher: Recogniser) -> None:
        pairs = taught(teacher, TRAIN)
        linker = train_ridge_linker(teacher, pairs)
        images, told = batch_of(pairs, list(range(len(pairs))), torch.device("cpu"))
        x, y = teacher(images).double().numpy(), told.double().numpy()
        x, y = x - x.mean(0), y - y.mean(0)
        penalty = 0.1 * np.mean(np.sum(x**2, 0))
        # the same problem as ordinary least squares with penalty rows appended
        size = x.shape[1]
        solved = np.linalg.lstsq(
            np.vstack([x, np.sqrt(penalty) * np.eye(size)]), np.vstack([y, np.zeros((size, y.shape[1]))]), rcond=None
        )[0]
        np.testing.assert_allclose(linker.matrix.numpy(), solved, atol=1e-4)

    def test_refuses_a_single_pair(self, teacher: Recogniser) -> None:
        with pytest.raises(ValueError, match="at least 2"):
            train_ridge_linker(teacher, HeldPairs(TRAIN.faces[:1], torch.ones(1, 16)))


def test_refuses_bodies_without_what_they_need(teacher: Recogniser) -> None:
    pairs = taught(teacher, VALIDATION)
    with pytest.raises(ValueError, match="teacher: expected the recogniser"):
        train_student(pairs)
    with pytest.raises(ValueError, match="key: expected one for a student on a key"):
        train_student(pairs, settings=StudentTraining(body="key"))
    with pytest.raises(ValueError, match="body: expected recogniser, scratch or key"):
        StudentTraining(body="transformer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="targets: expected 2, one an input, got 3"):
        HeldPairs(TRAIN.faces[:2], torch.ones(3, 16))

"""The contract of every protector (design, contract 2), as one table."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from facemin.image import decode, encode
from facemin.keys import Key
from facemin.protect import L1, PMT, PROTECTORS, Adam, Done, GaussianNoise, Sign


@dataclass(frozen=True, kw_only=True)
class Case:
    method: PMT
    cut: str = "conv32.1"
    second_cut: str | None = None

    def keys(self, dlib_keys: dict[str, Key]) -> list[Key]:
        return [dlib_keys[cut] for cut in (self.cut, self.second_cut) if cut is not None]

    def __repr__(self) -> str:
        return f"{type(self.method).__name__}-{type(self.method.rule).__name__}-{self.cut}-{self.second_cut}"


CASES = [
    Case(method=PMT(steps=8, device="cpu")),
    Case(method=PMT(steps=8, device="cpu", rule=Sign())),
    Case(method=PMT(steps=8, device="cpu", rule=L1(), start=GaussianNoise(mean=0, deviation=1))),
    Case(method=PMT(steps=8, device="cpu", rule=Adam(step=6)), cut="conv256.3"),
    Case(method=PMT(steps=8, device="cpu"), cut="conv256.3", second_cut="conv32.1"),
]


def same(one: Done, other: Done) -> bool:
    return torch.equal(one.pixels, other.pixels) and (one.steps, one.residuals, one.reached) == (
        other.steps,
        other.residuals,
        other.reached,
    )


@pytest.mark.parametrize("case", CASES, ids=repr)
class TestEveryProtector:
    @pytest.mark.parametrize("batch", [1, 2, 3, 16])
    def test_batch_equals_one_by_one(self, case: Case, batch: int, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        keys = case.keys(dlib_keys)
        alone = [case.method(face[None], keys, seed=3)[0] for face in faces]
        together = replace(case.method, batch=batch)(faces, keys, seed=3)
        assert all(same(one, other) for one, other in zip(alone, together, strict=True))

    def test_same_seed_same_bytes_and_another_seed_others(
        self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        first, again, other = (case.method(faces[:2], case.keys(dlib_keys), seed=seed) for seed in (5, 5, 6))
        assert all(same(a, b) for a, b in zip(first, again, strict=True))
        assert not any(torch.equal(a.pixels, b.pixels) for a, b in zip(first, other, strict=True))

    def test_result_is_an_image_on_the_8_bit_grid(self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        for done in case.method(faces[:2], case.keys(dlib_keys), seed=0):
            assert done.pixels.dtype == torch.uint8
            assert done.pixels.shape == (3, 112, 112)
            assert done.pixels.is_contiguous()

    def test_residual_is_that_of_the_bytes_that_are_sent(
        self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys[case.cut]
        done = case.method(faces, [key], seed=1)
        sent = torch.stack([decode(encode(image.pixels)).pixels for image in done]).float() / 255
        with torch.no_grad():
            distance = (key.shallow(sent) - key.shallow(faces)).flatten(1).norm(dim=1)
            residual = distance / key.shallow(faces).flatten(1).norm(dim=1)
        torch.testing.assert_close(torch.tensor([image.residuals[0] for image in done]), residual)

    def test_leaves_input_and_model_untouched(self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        key = dlib_keys[case.cut]
        before, weights = faces.clone(), [buffer.clone() for buffer in key.shallow.buffers()]
        case.method(faces, [key], seed=0)
        assert torch.equal(faces, before)
        assert all(torch.equal(a, b) for a, b in zip(key.shallow.buffers(), weights, strict=True))
        assert not key.shallow.training
        assert not any(value.requires_grad or value.grad is not None for value in key.shallow.buffers())

    def test_does_not_touch_global_randomness(self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        state = torch.get_rng_state()
        case.method(faces[:1], case.keys(dlib_keys), seed=0)
        assert torch.equal(torch.get_rng_state(), state)

    def test_survives_a_png_round_trip(self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        (done,) = case.method(faces[:1], case.keys(dlib_keys), seed=0)
        assert torch.equal(decode(encode(done.pixels)).pixels, done.pixels)

    def test_more_steps_come_closer(self, case: Case, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        none = replace(case.method, steps=0, residual=0)(faces, case.keys(dlib_keys), seed=0)
        some = replace(case.method, residual=0)(faces, case.keys(dlib_keys), seed=0)
        assert all(image.steps == 0 for image in none)
        assert all(image.steps == 8 for image in some)
        assert all(b.residuals[0] < a.residuals[0] for a, b in zip(none, some, strict=True))

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (torch.zeros(1, 3, 112, 96), "112, 96"),
            (torch.zeros(3, 112, 112), r"\(3, 112, 112\)"),
            (torch.zeros(1, 3, 112, 112, dtype=torch.uint8), "uint8"),
            (torch.full((1, 3, 112, 112), 255.0), "255"),
            (torch.full((1, 3, 112, 112), torch.nan), "nan"),
        ],
    )
    def test_refuses_what_is_not_a_face(self, case: Case, wrong: Tensor, words: str, dlib_keys: dict[str, Key]) -> None:
        with pytest.raises(ValueError, match=words):
            case.method(wrong, case.keys(dlib_keys), seed=0)


def test_every_registered_protector_is_in_the_table() -> None:
    assert {type(case.method) for case in CASES} == set(PROTECTORS.values())


def test_no_faces_give_no_results(dlib_keys: dict[str, Key]) -> None:
    assert PMT()(torch.empty(0, 3, 112, 112), list(dlib_keys.values()), seed=0) == []

"""The contract of every protector: each row of the registry, and optimisation in all its forms, as one table."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.keys.key import Key
from facemin.protection import (
    L1,
    PMT,
    PROTECTORS,
    Adam,
    Compute,
    GaussianBlur,
    GaussianNoise,
    Kernel,
    Mix,
    OptimisedImage,
    ProviderOperations,
    RandomAffine,
    RandomNoise,
    RandomSort,
    Sign,
)
from facemin.protection.pmt.objective import CHECKS
from tests.pictures import decode_tensor, encode_tensor
from tests.protection.protector_contract import check_description, check_protector

LAYERS = "layers"
"""Stands for `layered_key` among the names of cuts."""


FLOAT32, BFLOAT16 = (Compute(device="cpu", precision=each) for each in ("float32", "bfloat16"))


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    method: PMT
    cuts: tuple[str, ...] = ("conv32.1",)
    compute: Compute = FLOAT32

    def __repr__(self) -> str:
        return f"{self.name}-{'-'.join(self.cuts)}"


def few(**settings: Any) -> PMT:
    """Steps enough to come closer, and no more."""
    return replace(PMT(steps=4), **settings)


CASES = [
    Case(name="adam", method=few(steps=8)),
    Case(name="l1", method=few(steps=8, rule=L1(), start=GaussianNoise(mean=0, deviation=1))),
    Case(name="adam", method=few(steps=3, rule=Adam(step=6)), cuts=("conv256.3",)),
    Case(name="two keys", method=few(steps=3), cuts=("conv256.3", "conv32.1")),
    Case(name="weights", method=few(weights=(2, 0.5)), cuts=(LAYERS, "conv32.1")),
    Case(name="affine", method=few(transform=RandomAffine(), target="same")),
    Case(name="mix", method=few(transform=Mix(), target="same", start=RandomSort())),
    Case(name="kernel", method=few(kernel=Kernel(shape="linear", length=2), rule=L1())),
    Case(name="pool", method=few(pool=5), cuts=(LAYERS,)),
    Case(name="sort", method=few(start=RandomSort(), kernel=Kernel())),
    Case(name="blur", method=few(start=GaussianBlur(), transform=RandomNoise(), rule=Sign(step=2))),
    Case(name="bfloat16", method=few(steps=8), compute=BFLOAT16),
    Case(
        name="bfloat16 with everything",
        method=few(
            transform=ProviderOperations(),
            target="same",
            kernel=Kernel(),
            pool=8,
            weights=(1, 3),
        ),
        cuts=(LAYERS, "conv32.1"),
        compute=BFLOAT16,
    ),
    *(
        Case(name=name, method=replace(method, steps=4))
        for name, method in PROTECTORS.items()
        if isinstance(method, PMT)
    ),
]


def same(one: OptimisedImage, other: OptimisedImage) -> bool:
    return torch.equal(one.pixels, other.pixels) and (one.steps, one.residuals, one.unmet) == (
        other.steps,
        other.residuals,
        other.unmet,
    )


@pytest.fixture
def keys(case: Case, dlib_keys: dict[str, Key], layered_key: Key) -> list[Key]:
    return [(dlib_keys | {LAYERS: layered_key})[cut] for cut in case.cuts]


def distances(method: PMT, key: Key, sent: Tensor, faces: Tensor) -> Tensor:
    """Relative feature distance of each image; with a transform, after the probe that is worst for it."""

    def features(images: Tensor) -> Tensor:
        layers = key.shallow.layers(images)
        if method.pool is not None:
            layers = tuple(F.adaptive_avg_pool2d(layer, method.pool) for layer in layers)
        return torch.cat([layer.double().flatten(1) for layer in layers], 1)

    targets = features(faces)
    probes = CHECKS.values() if method.transform is not None else [CHECKS["none"]]
    found = [(features(probe(sent)) - targets).norm(dim=1) / targets.norm(dim=1) for probe in probes]
    return torch.stack(found).amax(0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Results of a case on four faces in one batch, seed 1, and whether what they were made of stayed as it was."""

    done: list[OptimisedImage]
    faces_kept: bool
    weights_kept: bool
    randomness_kept: bool


RUNS: dict[str, Run] = {}
"""By case, so that the tests that look at results share them."""


@pytest.fixture
def ran(case: Case, faces: Tensor, keys: list[Key]) -> Run:
    if repr(case) not in RUNS:
        before, held = faces.clone(), [buffer for key in keys for buffer in key.shallow.buffers()]
        weights, state = [buffer.clone() for buffer in held], torch.get_rng_state()
        done = case.method(faces, keys, seed=1, compute=case.compute)
        RUNS[repr(case)] = Run(
            done=done,
            faces_kept=torch.equal(faces, before),
            weights_kept=all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(held, weights, strict=True))
            and not any(key.shallow.training for key in keys)
            and not any(value.requires_grad or value.grad is not None for value in held),
            randomness_kept=torch.equal(torch.get_rng_state(), state),
        )
    return RUNS[repr(case)]


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({repr(case) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=repr)
class TestEveryProtector:
    def test_batch_equals_one_by_one(self, case: Case, faces: Tensor, keys: list[Key], ran: Run) -> None:
        three = faces[:3]
        alone = [case.method(face[None], keys, seed=1, compute=case.compute)[0] for face in three]
        # with one row and with two, images take each other's places; with all four, none does
        for batch in (1, 2):
            together = case.method(three, keys, seed=1, compute=replace(case.compute, batch=batch))
            assert all(same(one, other) for one, other in zip(alone, together, strict=True)), f"batch of {batch}"
        assert all(same(one, other) for one, other in zip(alone, ran.done[:3], strict=True)), "batch of 4"

    def test_same_seed_same_bytes_and_another_seed_others(
        self, case: Case, faces: Tensor, keys: list[Key], ran: Run
    ) -> None:
        again, other = (case.method(faces[:2], keys, seed=seed, compute=case.compute) for seed in (1, 6))
        assert all(same(a, b) for a, b in zip(ran.done[:2], again, strict=True))
        assert not any(torch.equal(a.pixels, b.pixels) for a, b in zip(ran.done[:2], other, strict=True))

    def test_gives_the_same_where_torch_keeps_no_gradients(
        self, case: Case, faces: Tensor, keys: list[Key], ran: Run
    ) -> None:
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                found = case.method(faces[:2].clone(), keys, seed=1, compute=case.compute)
            assert all(same(a, b) for a, b in zip(ran.done[:2], found, strict=True)), mode.__name__

    def test_result_is_an_image_on_the_8_bit_grid(self, ran: Run) -> None:
        for done in ran.done:
            assert done.pixels.dtype == torch.uint8
            assert done.pixels.shape == (3, 112, 112)
            assert done.pixels.is_contiguous()

    def test_residuals_are_those_of_the_bytes_that_are_sent(
        self, case: Case, faces: Tensor, keys: list[Key], ran: Run
    ) -> None:
        sent = torch.stack([decode_tensor(encode_tensor(image.pixels)) for image in ran.done]).float() / 255
        expected = torch.stack([distances(case.method, key, sent, faces) for key in keys], 1)
        found = torch.tensor([image.residuals for image in ran.done], dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

    def test_leaves_input_and_model_untouched(self, ran: Run) -> None:
        assert ran.faces_kept
        assert ran.weights_kept

    def test_does_not_touch_global_randomness(self, ran: Run) -> None:
        assert ran.randomness_kept

    def test_survives_a_png_round_trip(self, ran: Run) -> None:
        for done in ran.done:
            assert torch.equal(decode_tensor(encode_tensor(done.pixels)), done.pixels)

    def test_more_steps_come_closer(self, case: Case, faces: Tensor, keys: list[Key]) -> None:
        none = replace(case.method, steps=0, residual=0)(faces, keys, seed=0, compute=case.compute)
        some = replace(case.method, residual=0)(faces, keys, seed=0, compute=case.compute)
        assert all(image.steps == 0 for image in none)
        assert all(image.steps == case.method.steps for image in some)
        assert all(sum(b.residuals) < sum(a.residuals) for a, b in zip(none, some, strict=True))

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
    def test_refuses_what_is_not_a_face(self, case: Case, wrong: Tensor, words: str, keys: list[Key]) -> None:
        with pytest.raises(ValueError, match=words):
            case.method(wrong, keys, seed=0, compute=case.compute)


def test_no_faces_give_no_results(dlib_keys: dict[str, Key]) -> None:
    for method in PROTECTORS.values():
        assert list(method.stream(iter(()), list(dlib_keys.values()), seed=0)) == []


@pytest.mark.parametrize("name", PROTECTORS)
class TestEveryRow:
    def test_meets_the_contract(self, name: str, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        check_protector(name, faces, [dlib_keys["conv32.1"]])

    def test_is_what_its_description_says(self, name: str) -> None:
        check_description(name)

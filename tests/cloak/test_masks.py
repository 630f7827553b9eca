"""Masks learnt from several photos of one person: further photos move away, within the bound and the budget."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from facemin.cloak.mask_file import Mask
from facemin.cloak.opom import NEAREST, OPOM, _onto_simplex
from facemin.cloak.p3_mask import P3Mask
from facemin.cloak.visible_change import dsim
from facemin.experiments.cloaks.measure import embedded
from facemin.experiments.cloaks.photos import unit
from facemin.image import Pixels
from facemin.models import Recogniser
from facemin.protection.one_pass.protector import OnePassProtector
from facemin.protection.registry import CLOAKS, PROTECTORS
from facemin.runtime.compute import Compute

CPU = Compute(device="cpu", precision="float32")


def quick(method: Any) -> Any:
    return replace(method, epochs=4, step=4.0)


@pytest.mark.parametrize("name", [name for name in CLOAKS if name.startswith(("p3", "opom"))])
def test_a_mask_moves_a_further_photo_away_within_its_bound(name: str, portraits: Pixels, dlib: Recogniser) -> None:
    method = quick(CLOAKS[name])
    mask = method.fit(portraits[:4], [dlib], seed=3, compute=CPU)
    assert isinstance(mask, Mask)
    assert method.product == mask.product == "photo"
    assert mask.manifest.method == name
    assert mask.manifest.surrogates[0].fingerprint == dlib.fingerprint
    assert 0 < np.abs(mask.change.astype(int)).max() <= method.epsilon
    assert not mask.change[0].any()  # it fades out at the border
    plain, cloaked = (embedded(dlib, unit(faces)) for faces in (portraits[4:], mask(portraits[4:])))
    noise = np.random.default_rng(0).permutation(mask.change.reshape(-1)).reshape(mask.change.shape)
    shuffled = embedded(dlib, unit((portraits[4:] + noise.astype(np.int16)).clip(0, 255).astype(np.uint8)))
    moved, by_noise = (1 - (plain * rows).sum(1).mean() for rows in (cloaked, shuffled))
    assert moved > 2 * by_noise


def test_the_same_seed_gives_the_same_mask_and_another_another(portraits: Pixels, dlib: Recogniser) -> None:
    method = P3Mask(epochs=1, step=2.0)
    masks = [method.fit(portraits[:2], [dlib], seed=seed, compute=CPU).fingerprint for seed in (1, 1, 2)]
    assert masks[0] == masks[1] != masks[2]


def test_products_in_bfloat16_give_nearly_the_same_mask(portraits: Pixels, dlib: Recogniser) -> None:
    made = [
        OPOM(model="class-centre", epochs=3).fit(portraits[:2], [dlib], compute=replace(CPU, precision=precision))
        for precision in ("float32", "bfloat16")
    ]
    first, second = (mask.change.reshape(-1).astype(float) for mask in made)
    assert np.corrcoef(first, second)[0, 1] > 0.5


@pytest.mark.parametrize("method", [P3Mask(), OPOM()], ids=lambda method: method.name)
def test_a_mask_uses_its_budget_of_visible_change_within_its_bound(
    method: Any, portraits: Pixels, dlib: Recogniser
) -> None:
    photos = portraits[:2]
    for tau in (0.03, 0.005):
        mask = replace(method, epochs=6, step=4.0, tau=tau).fit(photos, [dlib], compute=CPU)
        # of the photos and their mirror images together
        assert 0.95 * tau < float(dsim(unit(mask(photos)), unit(photos)).mean()) <= 1.05 * tau
    small = replace(method, epochs=1, step=1.0, tau=0.03, epsilon=2).fit(photos, [dlib], compute=CPU)
    assert np.abs(small.change).max() == 2


def test_a_mask_of_no_budget_is_left_as_its_steps_made_it(portraits: Pixels, dlib: Recogniser) -> None:
    """As OPOM is published: two steps of 1 from a start within 1, not scaled."""
    within, without = (
        OPOM(tau=tau, step=1.0, epochs=2, together=99).fit(portraits[:2], [dlib], compute=CPU) for tau in (0.03, 1)
    )
    assert np.abs(without.change).max() == 3 < np.abs(within.change).max()


def test_progress_is_told_and_what_it_raises_ends_the_fit(portraits: Pixels, dlib: Recogniser) -> None:
    told: list[tuple[int, int]] = []

    def on_step(taken: int, of: int) -> None:
        told.append((taken, of))
        if taken == 1:
            raise KeyboardInterrupt

    for method in (P3Mask(epochs=3), OPOM(epochs=3)):
        told.clear()
        with pytest.raises(KeyboardInterrupt):
            method.fit(portraits[:1], [dlib], compute=CPU, on_step=on_step)
        assert told == [(0, 3), (1, 3)]


def test_a_mask_learnt_from_mirror_images_too_moves_them_farther(portraits: Pixels, dlib: Recogniser) -> None:
    turned = np.ascontiguousarray(portraits[:1, :, ::-1])
    moved = []
    for mirrored in (False, True):
        mask = OPOM(model="fi-uap", epochs=6, mirrored=mirrored).fit(portraits[:1], [dlib], compute=CPU)
        moved.append(float((1 - (embedded(dlib, unit(mask(turned))) * embedded(dlib, unit(turned))).sum(1)).mean()))
    assert moved[1] > 1.5 * moved[0]


@pytest.mark.parametrize("model", NEAREST)
def test_nearest_points(model: Any) -> None:
    """Against a search over many combinations: none that the model allows comes nearer."""
    generator = torch.Generator().manual_seed(2)
    features = torch.nn.functional.normalize(torch.randn(4, 9, generator=generator))
    moved = torch.nn.functional.normalize(features + 0.5 * torch.randn(4, 9, generator=generator))
    nearest = NEAREST[model](moved, features, torch.arange(4))
    found = (moved - nearest).square().sum(1)
    if model == "fi-uap":
        assert torch.equal(nearest, features)
        some = torch.tensor([2, 0])
        assert torch.equal(NEAREST[model](moved[some], features, some), features[some])
        return
    if model == "class-centre":
        assert torch.allclose(nearest, features.mean(0).expand(4, -1))
        return
    weights = torch.rand(20_000, 4, generator=generator).log().neg()
    if model == "affine-hull":
        weights = torch.randn(20_000, 4, generator=generator)
        weights = weights + (1 - weights.sum(1, keepdim=True)) / 4
    tried = torch.nn.functional.normalize(weights, p=1, dim=1) if model == "convex-hull" else weights
    best = torch.cdist(moved, tried @ features).square().amin(1)
    assert (found <= best + 1e-5).all()
    assert (found > best - 0.1).all()
    # and what is nearest lies in the hull
    coefficients = torch.linalg.lstsq(features.T, nearest.T).solution
    assert torch.allclose(coefficients.sum(0), torch.ones(4), atol=1e-3)
    assert model == "affine-hull" or (coefficients > -1e-3).all()


def test_projection_onto_the_simplex() -> None:
    rows = torch.tensor([[0.2, 0.3, 0.5], [2.0, 0.0, 0.0], [-1.0, -1.0, -1.0], [0.6, 0.6, -5.0]])
    expected = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    assert torch.allclose(_onto_simplex(rows), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: P3Mask(epsilon=0), "epsilon"),
        (lambda: P3Mask(tau=0.0), "tau"),
        (lambda: OPOM(tau=1.1), "tau"),
        (lambda: OPOM(together=0), "together"),
        (lambda: P3Mask(epochs=0), "epochs"),
        (lambda: P3Mask(step=float("nan")), "step"),
        (lambda: OPOM(model="other"), "model"),  # type: ignore[arg-type]
        (lambda: OPOM(epochs=0), "epochs"),
        (lambda: OPOM(step=float("nan")), "step"),
    ],
)
def test_settings_out_of_range_are_named(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_faces_and_surrogates_are_checked(portraits: Pixels, dlib: Recogniser) -> None:
    for method in (P3Mask(), OPOM()):
        with pytest.raises(ValueError, match="faces: expected"):
            method.fit(portraits[:0], [dlib], compute=CPU)
        with pytest.raises(ValueError, match="faces: expected"):
            method.fit(portraits.astype(np.float32), [dlib], compute=CPU)
        with pytest.raises(ValueError, match="surrogates"):
            method.fit(portraits, [], compute=CPU)


def test_what_every_method_makes_is_said_by_its_row() -> None:
    assert {method.product for method in CLOAKS.values()} == {"photo"}
    assert {method.product for method in (*PROTECTORS.values(), OnePassProtector())} == {"face"}
    assert not set(CLOAKS) & set(PROTECTORS)

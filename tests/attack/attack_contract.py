"""The contract of every attack, as functions of its name: what the registry's tests and a new attack's test run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from facemin.attack import ATTACKS, Budget, FitError, Knowledge, PublicFaces
from facemin.attack.link.student_attack import StudentAttack
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.white_box import WhiteBox
from tests.audit.conftest import people_of_patterns, tiny
from tests.audit.test_rows import tiny_key

NONE, ENDLESS = Budget(seconds=0), Budget(seconds=float("inf"))


def shuffled(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
    """A protection that shows a little: faces dimmed, upside down."""
    del budget
    return 0.3 * faces.flip(2) + 0.2, torch.arange(len(faces))


def known(people: int) -> Knowledge:
    train = people_of_patterns(people, 2, seed=3)
    return Knowledge(
        key=tiny_key(), protector=shuffled, public=PublicFaces(*train), recognisers=(tiny("teacher", 1),), seed=2
    )


def fitted(name: str, knowledge: Knowledge) -> Any:
    """With as few steps and epochs as there can be."""
    method: Any = ATTACKS[name].method
    if isinstance(method, WhiteBox):
        method = replace(method, steps=4)
    if isinstance(method, StudentAttack | InverterAttack):
        settings: Any = method.settings
        once = replace(settings, fitting=replace(settings.fitting, epochs=1))
        once = replace(once, width=4 if isinstance(method, InverterAttack) else 0.1)
        changed: Any = replace(method, settings=once)
        method = changed
        return method.fit(knowledge, ENDLESS)
    return method.fit(knowledge, NONE)


def check_attack(name: str) -> None:
    """Fit and apply: shapes, ranges, words, and nothing touched that is not its own."""
    attack = ATTACKS[name]
    # a student takes twice the pairs
    knowledge = known(104 if isinstance(attack.method, StudentAttack) else 52)
    assert knowledge.key is not None
    weights = [buffer.clone() for buffer in knowledge.key.shallow.buffers()]
    assert knowledge.public is not None
    faces = knowledge.public.faces.clone()
    state = torch.get_rng_state()
    made = fitted(name, knowledge)
    images = shuffled(people_of_patterns(20, 2, seed=9).faces, NONE)[0]
    before = images.clone()
    assert made.words
    if attack.kind == "prober":
        people = torch.arange(20).repeat_interleave(2)
        found = made.apply(images, people % 2, people)
        assert (found.shape, found.dtype) == (people.shape, torch.int64)
    elif attack.kind == "linker":
        rows, gallery = made.apply(images[:3]), made.gallery(faces[:3])
        assert rows.shape == gallery.shape
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(gallery.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(made.apply(images[:1]), rows[:1], atol=1e-4, rtol=1e-4)
    else:
        again = made.apply(images[:2])
        assert again.shape == (2, 3, 112, 112)
        assert float(again.min()) >= 0
        assert float(again.max()) <= 1
        assert made.most is None or made.most >= 1
    assert torch.equal(images, before)
    assert torch.equal(knowledge.public.faces, faces)
    assert all(torch.equal(one, other) for one, other in zip(weights, knowledge.key.shallow.buffers(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def check_attack_says_what_is_missing(name: str) -> None:
    """An attack that holds nothing says what it lacks; a probe on images alone lacks nothing."""
    attack = ATTACKS[name]
    if attack.kind == "prober" and "key" not in attack.adversary.knows:
        return
    with pytest.raises(FitError, match=r"it needs .*, and none was given"):
        attack.method.fit(Knowledge(), NONE)

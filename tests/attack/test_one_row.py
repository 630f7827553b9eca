"""A new attack is one file and one row of the registry: contract, audit and experiment take it from there."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.attack import ATTACKS, Adversary, Attack, Budget, Knowledge, PublicFaces
from facemin.attack.contract import FittedLinker, FittedReconstructor, needed
from facemin.audit import audit
from facemin.experiments.attacks import choose_attacks, try_linkers, try_reconstructors
from tests.attack.attack_contract import check_attack, check_attack_says_what_is_missing, shuffled
from tests.audit.conftest import Make, evidence, people_of_patterns
from tests.audit.test_rows import tiny_key

__all__ = ["evidence"]


@dataclass(frozen=True, kw_only=True)
class ColourLinker:
    """Compare mean colours of quarters, upside down as the protection leaves them."""

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        del budget
        mean = needed(knowledge.public, "plain faces of other people").faces.mean((0, 2, 3))

        def colours(images: Tensor) -> Tensor:
            found = F.adaptive_avg_pool2d(images - mean[:, None, None], 4)
            return F.normalize((found - found.mean((2, 3), keepdim=True)).flatten(1))

        return FittedLinker(apply=lambda images: colours(images.flip(2)), gallery=colours, words="colours")


@dataclass(frozen=True, kw_only=True)
class Upright:
    """Turn images up again."""

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedReconstructor:
        del budget
        needed(knowledge.key, "the key")
        return FittedReconstructor(apply=lambda images: ((images.flip(2) - 0.2) / 0.3).clamp(0, 1), words="turned up")


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    linker = Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "public faces")),
        method=ColourLinker(),
        words="mean colours",
    )
    reconstructor = Attack(
        kind="reconstructor",
        adversary=Adversary(row="T4", knows=("protected image", "pairs of protected image and face")),
        method=Upright(),
        words="turns images up",
    )
    monkeypatch.setitem(ATTACKS, "colours", linker)
    monkeypatch.setitem(ATTACKS, "upright", reconstructor)


@pytest.mark.usefixtures("two_rows")
class TestOneRow:
    @pytest.mark.parametrize("name", ["colours", "upright"])
    def test_meets_the_contract(self, name: str) -> None:
        check_attack(name)
        check_attack_says_what_is_missing(name)

    def test_runs_in_an_audit(self, evidence: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, attack in list(ATTACKS.items()):
            if attack.audit_row == "T4" and name != "upright":
                monkeypatch.delitem(ATTACKS, name)
        faces = people_of_patterns(20, 2).faces
        train = people_of_patterns(104, 1, seed=3)
        given = evidence(
            20, protected=shuffled(faces, Budget(seconds=0))[0], keys=(tiny_key(),), train=train, others=()
        )
        by_row = {row.row: row for row in audit(given, ["T4", "T5"], Budget(seconds=60)).rows}
        of = {figure.of for figure in by_row["T4"].figures}
        assert "turned up" in of
        assert by_row["T4"].outcome == "leak"
        ranks = [one for one in by_row["T5"].figures if (one.of, one.name) == ("colours", "rank-1")]
        assert [one.hits for one in ranks if one.where == "protected probe"] == [20]

    def test_runs_in_an_experiment(self) -> None:
        people = people_of_patterns(20, 2)
        knowledge = Knowledge(key=tiny_key(), public=PublicFaces(*people_of_patterns(30, 1, seed=3)))
        protected = shuffled(people.faces[::2], Budget(seconds=0))[0]
        (found,) = try_linkers(
            choose_attacks("linker", ["colours"]),
            knowledge,
            probes={"protected": protected},
            gallery=people.faces[1::2],
            far=1e-2,
        )
        assert (found.name, found.images, found.words) == ("colours", "protected", "colours")
        assert found.found["rank_1"] == 1
        ((tried, images),) = try_reconstructors(
            choose_attacks("reconstructor", ["upright"]),
            knowledge,
            images={"protected": protected},
            faces=people.faces[::2],
        )
        assert tried.found["ssim"] > 0.99
        torch.testing.assert_close(images, people.faces[::2], atol=1e-5, rtol=1e-5)


def test_an_experiment_refuses_unknown_attacks_and_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"attacks: expected some of key-features, .*, got oracle"):
        choose_attacks("linker", ["oracle"])
    faces = people_of_patterns(2, 1).faces
    found = try_linkers(
        choose_attacks("linker", ["ridge-linker"]), Knowledge(), probes={"plain": faces}, gallery=faces, far=0.5
    )
    assert [one.found["missing"] for one in found] == ["it needs another recogniser as a teacher, and none was given"]

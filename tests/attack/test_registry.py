"""Every attack of the registry: what it declares."""

import pytest

from facemin.attack import ATTACKS
from facemin.attack.link.key_linker import KeyLinking
from facemin.attack.link.student_attack import StudentAttack
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.white_box import WhiteBox


@pytest.mark.parametrize("name", ATTACKS)
class TestEveryAttack:
    def test_declares_row_and_target(self, name: str) -> None:
        attack = ATTACKS[name]
        assert attack.adversary.row in {"T2", "T3", "T4", "T5"}
        assert attack.adversary.knows[0] in {"protected image", "protected feature"}
        assert attack.words

    def test_holds_a_key_where_its_method_needs_one(self, name: str) -> None:
        attack = ATTACKS[name]
        needs = isinstance(attack.method, WhiteBox | KeyLinking) or (
            isinstance(attack.method, StudentAttack) and attack.method.settings.body == "key"
        )
        assert not needs or "key" in attack.adversary.knows

    def test_is_adaptive_where_it_learns_from_protected_images(self, name: str) -> None:
        attack = ATTACKS[name]
        if isinstance(attack.method, StudentAttack | InverterAttack):
            assert attack.adversary.adaptive == (attack.method.learns_from == "protected")


def test_white_boxes_are_row_t3_and_nothing_else_is() -> None:
    for attack in ATTACKS.values():
        assert isinstance(attack.method, WhiteBox) == (attack.adversary.row == "T3")


def test_key_only_attacks_never_see_a_protected_pair() -> None:
    assert not any(ATTACKS[name].adversary.adaptive for name in ("key-linker", "student-key-only", "inverter"))
    assert all(ATTACKS[name].adversary.adaptive for name in ("student", "ridge-linker", "inverter-protected-images"))


def test_the_denoiser_is_tried_with_the_inverters() -> None:
    assert (ATTACKS["denoiser"].adversary.row, ATTACKS["denoiser"].audit_row) == ("T2", "T4")
    assert ATTACKS["white-box-paper"].audit_row is None

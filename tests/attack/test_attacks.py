"""The contract of attacks, over every row of the registry."""

import pytest

from facemin.attack import ATTACKS
from tests.attack.attack_contract import check_attack, check_attack_says_what_is_missing


@pytest.mark.parametrize("name", ATTACKS)
def test_fits_and_applies(name: str) -> None:
    check_attack(name)


@pytest.mark.parametrize("name", ATTACKS)
def test_says_what_is_missing(name: str) -> None:
    check_attack_says_what_is_missing(name)

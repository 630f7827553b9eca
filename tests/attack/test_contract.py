"""Rows and knowledge, and what is neither."""

import pytest

from facemin.attack.contract import Adversary


def test_says_who_and_whether_adaptive() -> None:
    white_box = Adversary(row="T3", knows=("protected image", "key"))
    assert white_box.words == "T3: knows protected image, key"
    assert not white_box.adaptive
    assert not Adversary(row="T4", knows=("protected feature", "pairs of feature and face")).adaptive
    assert Adversary(row="T4", knows=("protected image", "pairs of protected image and face")).adaptive


def test_refuses_an_unknown_row() -> None:
    with pytest.raises(ValueError, match=r"row: expected one of T0.*'T7'"):
        Adversary(row="T7", knows=("key",))  # type: ignore[arg-type]


@pytest.mark.parametrize("knows", [(), ("everything",)])
def test_refuses_unknown_knowledge(knows: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="knows: expected some of"):
        Adversary(row="T3", knows=knows)  # type: ignore[arg-type]

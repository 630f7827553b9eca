"""People of the attacks' measurements: nobody tested is learnt from, and longer lists begin with the shorter ones."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from facemin.experiments.common import lfw_half
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "experiments" / "attacks"


@pytest.fixture
def setting(own_modules: None) -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    return import_module("setting")


def people(paths: list[str]) -> set[str]:
    return {path.split("/")[0] for path in paths}


def test_nobody_tested_is_learnt_from(setting: ModuleType, shared: Path) -> None:
    listed = setting.lfw_photos(shared, test=48, train=1008, photos=1)
    folds = {name for pair in lfw_half(shared, "test") for name in (pair.name_a, pair.name_b)}
    assert len(people(listed.test)) == 48
    assert people(listed.test) == people(listed.others) <= folds
    assert not set(listed.test) & set(listed.others)
    assert len(people(listed.train)) == 1008
    assert not people(listed.train) & (folds | people(listed.validation))
    assert not people(listed.validation) & folds


def test_fewer_are_the_first_of_more(setting: ModuleType, shared: Path) -> None:
    few, many = (setting.lfw_photos(shared, test=48, train=count, photos=1) for count in (64, 1008))
    assert many.train[:64] == few.train
    assert (many.test, many.others, many.validation) == (few.test, few.others, few.validation)
    with pytest.raises(ValueError, match=r"pairs: expected at most \d+ with 1 photos a person, got 100000"):
        setting.lfw_photos(shared, test=48, train=100_000, photos=1)

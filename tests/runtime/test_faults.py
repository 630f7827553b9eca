"""Faults of validated input: one line, with what was expected and what came, once each."""

from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel

from facemin.runtime.faults import faults_named


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"expected an even number, got {value}")
    return value


class Settings(BaseModel):
    count: Annotated[int, AfterValidator(_even)]


def test_a_validator_of_ours_says_itself_what_came() -> None:
    with pytest.raises(ValueError, match="expected") as refused, faults_named("file: "):
        Settings(count=3)
    assert str(refused.value) == "file: count: expected an even number, got 3"


def test_what_came_is_said_only_where_it_is_no_secret() -> None:
    for value in (True, False):
        with pytest.raises(ValueError, match="count") as refused, faults_named(value=value):
            Settings.model_validate({"count": "many"})
        assert ("'many'" in str(refused.value)) == value

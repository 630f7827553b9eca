"""A provider's answers, as a client reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a provider decided on one person."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    person: str
    accepted: bool
    score: float
    """Cosine."""
    threshold: float
    far: float
    """False accept rate that the threshold was measured for."""
    threshold_id: str
    enrolled_as: str
    """ "pseudonym", "protected" or "plain": what the deciding enrolment was made from."""


class Template(TypedDict):
    """One enrolled face, as far as a client looks at it."""

    epoch: NotRequired[int | None]


class Enrolled(TypedDict):
    """A person as enrolled."""

    person: str
    templates: NotRequired[list[Template]]


def held(enrolled: Enrolled, epoch: int) -> int:
    """How many templates a person has under an epoch; 0 where a provider does not say."""
    return sum(template.get("epoch") == epoch for template in enrolled.get("templates", []))


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What a request has to bring along, and the epoch that its pseudonym is under."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    challenge: str
    epoch: int = 0
    features: bool = True
    pseudonyms: str | None = None
    carriers: str | None = None
    threshold: float | None = None
    """Cosine that decides on a pseudonym at the collection's FAR."""


class Identified(TypedDict):
    """For each face the nearest people."""

    results: list[list[Decision]]

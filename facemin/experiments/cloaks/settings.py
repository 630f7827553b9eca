"""What an experiment on cloaks is: a TOML file, read into frozen models whose errors name file and key."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from facemin.attack.purify.registry import PURIFIERS
from facemin.experiments.settings import Section
from facemin.protection.registry import CLOAKS
from facemin.runtime.faults import all_faults
from facemin.runtime.toml_file import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.protection.contract import Cloak


class People(Section):
    """Whose photos, and how many."""

    people: int = Field(default=100, ge=2)
    """With at least `fit + 1 + probes` photos each."""
    fit: int = Field(default=5, ge=1)
    """Photos a mask is learnt from."""
    probes: int = Field(default=4, ge=1)
    """Further photos that are looked up; one more is enrolled."""
    distractors: int = Field(default=1000, ge=1)
    """Other people in the gallery, one photo each."""
    impostors: int = Field(default=1000, ge=2)
    """Still other people, one photo each, whose pairs give the thresholds."""
    apart_from: int = Field(default=0, ge=0)
    """People that another experiment with the same seed measures, of whom none is taken here."""


class CloakSettings(Section):
    """One method on one team."""

    name: str = Field(min_length=1)
    method: str
    """Of `facemin.protection.registry.CLOAKS`."""
    settings: dict[str, Any] = Field(default={})
    """In place of the method's own."""
    surrogates: Annotated[tuple[str, ...], Field(min_length=1)]
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the fit's products; depthwise convolutions are slower in bfloat16 on a CPU, others faster."""
    people: int | None = Field(default=None, ge=2)
    """The first so many alone."""
    purifiers: tuple[str, ...] = ()
    """What is done to cloaked probes, of `PURIFIERS`."""
    attacked: int = Field(default=1_000_000, ge=1)
    """Purifiers, estimated masks and removal are tried on the first so many people alone."""
    adaptive: bool = False
    """Whether heads are trained on other people's cloaked photos, and masks estimated and removed."""
    face_cure: tuple[str, ...] = ()
    """Recognisers, among the judges, that are fine-tuned on the cloaked photos of all but the first `attacked`."""

    @property
    def cloak(self) -> Cloak:
        """The method with these settings.

        Raises:
            ValueError: an unknown method or setting, or one out of range.
        """
        if self.method not in CLOAKS:
            raise ValueError(f"method: expected one of {', '.join(CLOAKS)}, got {self.method!r}")
        base: Any = CLOAKS[self.method]
        try:
            made: Cloak = TypeAdapter(type(base)).validate_python(
                {name: getattr(replace(base), name) for name in base.__dataclass_fields__} | self.settings, strict=False
            )
        except ValidationError as error:
            raise ValueError(f"settings: {error.errors()[0]['msg']}") from None
        unknown = sorted(set(self.settings) - set(base.__dataclass_fields__))
        if unknown:
            raise ValueError(f"settings: expected some of {', '.join(base.__dataclass_fields__)}, got {unknown}")
        return made

    @model_validator(mode="after")
    def _known(self) -> CloakSettings:
        absent = [name for name in self.purifiers if name not in PURIFIERS]
        if absent:
            raise ValueError(f"purifiers: expected some of {', '.join(PURIFIERS)}, got {absent}")
        if self.adaptive and self.method == "makeup":
            raise ValueError("adaptive: expected a mask that all photos of a person share, got makeup")
        _ = self.cloak
        return self


class CloakExperiment(Section):
    """An experiment's file."""

    title: str = Field(min_length=1)
    remark: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: People = People()
    judges: Annotated[tuple[str, ...], Field(min_length=1)]
    """Recognisers by name, or stems of ONNX files in the folder of models."""
    fars: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (1e-2, 1e-3)
    distance: str | None = None
    """Stem of an ONNX file that gives two images' distance."""
    cloak: Annotated[tuple[CloakSettings, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> CloakExperiment:
        names = [cloak.name for cloak in self.cloak]
        if len(set(names)) != len(names) or len(set(self.judges)) != len(self.judges):
            raise ValueError("cloak, judges: expected each name once")
        for cloak in self.cloak:
            people = min(cloak.people or self.data.people, self.data.people)
            if not set(cloak.face_cure) <= set(self.judges) or (cloak.face_cure and cloak.attacked >= people):
                raise ValueError(
                    f"face_cure of {cloak.name!r}: expected judges, and fewer people attacked than {people}, got "
                    f"{list(cloak.face_cure)} and {cloak.attacked}"
                )
        return self


def read_cloak_experiment(path: Path) -> CloakExperiment:
    """Read an experiment on cloaks.

    Raises:
        ValueError: no such file, not TOML, or keys that are missing, unknown or out of range, each named.
    """
    values = read_table(path, what="an experiment")
    try:
        # through JSON, because only there strict types still take a list for a tuple
        return CloakExperiment.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ValueError(f"{path}: {all_faults(error)}") from None

"""A protection method as an experiment file writes it, as the object that protects, and as a record resolves it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from facemin.ahm.mask import KEPT
from facemin.protection import METHODS, PROTECTORS, RULES, STARTS, FrequencyMask, Kernel
from facemin.protection.pmt.objective import Target
from facemin.protection.pmt.transforms import TRANSFORMS
from facemin.runtime.compute import Precision
from facemin.runtime.device import choose_device, choose_precision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facemin.protection import Protector

PLAIN = "plain"
"""The method that protects nothing: what is judged is the face itself."""

PARTS: dict[str, dict[str, type]] = {"rule": RULES, "start": STARTS, "transform": TRANSFORMS}
"""Parts of a method that come in kinds, by name."""


class _Numbers(BaseModel):
    """The rest of a method's settings; one that is left out is the preset's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(default=0, ge=0)
    residual: float | None = Field(default=None, ge=0, le=2)
    target: Target = "plain"
    pool: int | None = Field(default=None, ge=1)
    weights: tuple[float, ...] | None = None
    batch: int = Field(default=16, ge=1)
    precision: Precision = "auto"


class _MaskNumbers(BaseModel):
    """Settings of frequency masking."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kept: int = Field(default=KEPT, ge=1, le=63)
    gain: float = Field(default=0.5, gt=0)
    batch: int = Field(default=16, ge=1)


def make_method(table: Mapping[str, Any]) -> Protector | None:
    """The method that a table describes.

    Args:
        table: `preset`, one of `facemin.protection.METHODS` or "plain", and settings to vary it by. `rule`, `start`
            and `transform` are tables of a `kind` and its settings, `kernel` one of settings; "none" stands for no
            transform, kernel, pooling, weights, or residual.

    Returns:
        The method; None for "plain".

    Raises:
        ValueError: naming the setting, what was expected and what came.
    """
    settings = {name: None if value == "none" else value for name, value in table.items()}
    preset = settings.pop("preset", None)
    if preset == PLAIN:
        if settings:
            raise ValueError(f"expected no settings beside preset = {PLAIN!r}, got {', '.join(settings)}")
        return None
    if preset not in METHODS:
        raise ValueError(f"preset: expected one of {', '.join([*METHODS, PLAIN])}, got {preset!r}")
    if preset not in PROTECTORS:
        numbers = _parsed(TypeAdapter(_MaskNumbers), settings, "")
        return replace(METHODS[preset], **numbers.model_dump(exclude_unset=True))
    made: dict[str, Any] = {}
    for name, kinds in PARTS.items():
        if name in settings:
            made[name] = _part(name, settings.pop(name), kinds)
    if "kernel" in settings:
        value = settings.pop("kernel")
        made["kernel"] = None if value is None else _built(Kernel, value, "kernel")
    numbers = _parsed(TypeAdapter(_Numbers), settings, "")
    return replace(PROTECTORS[preset], **made, **numbers.model_dump(exclude_unset=True))


def describe_method(method: Protector | None) -> dict[str, Any]:
    """Every setting of a method that its images depend on, defaults included, as JSON has it."""
    if method is None:
        return {"preset": PLAIN}
    # neither decides the images: see `PMT`
    values = {f.name: getattr(method, f.name) for f in fields(method) if f.name not in ("device", "batch")}
    if isinstance(method, FrequencyMask):
        return {"kind": "frequency-mask"} | {name: value for name, value in values.items() if name != "precision"}
    for name, kinds in PARTS.items():
        values[name] = _described(values[name], kinds)
    values["kernel"] = None if method.kernel is None else asdict(method.kernel)
    values["precision"] = str(choose_precision(method.precision, choose_device(method.device))).removeprefix("torch.")
    return values


def _part(name: str, value: Any, kinds: dict[str, type]) -> Any:
    if value is None and name == "transform":
        return None
    if not isinstance(value, dict) or value.get("kind") not in kinds:
        got = value.get("kind") if isinstance(value, dict) else value
        raise ValueError(f"{name}.kind: expected one of {', '.join(kinds)}, got {got!r:.80}")
    settings = {key: given for key, given in value.items() if key != "kind"}
    return _built(kinds[value["kind"]], settings, name)


def _built(kind: Any, settings: Any, where: str) -> Any:
    _check_known(kind, settings, where)
    built = _parsed(TypeAdapter(kind), settings, where)
    for name, value in settings.items():
        if is_dataclass(part := getattr(built, name)):
            _check_known(part, value, f"{where}.{name}")
    return built


def _check_known(kind: Any, settings: Any, where: str) -> None:
    # pydantic passes over what a dataclass does not have
    known = [f.name for f in fields(kind)]
    unknown = sorted(set(settings) - set(known)) if isinstance(settings, dict) else [settings]
    if unknown:
        raise ValueError(f"{where}: expected settings among {', '.join(known) or 'none'}, got {unknown!r:.80}")


def _parsed(adapter: TypeAdapter[Any], settings: Any, where: str) -> Any:
    try:
        # through JSON, because only there strict types still take a list for a tuple
        return adapter.validate_json(json.dumps(settings, default=str), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in (where, *fault["loc"]) if part != "")
        message = fault["msg"].removeprefix("Value error, ")
        got = "" if fault["type"] == "value_error" else f", got {fault['input']!r:.80}"
        raise ValueError(f"{place}: {message}{got}" if place else f"{message}{got}") from None


def _described(part: Any, kinds: dict[str, type]) -> dict[str, Any] | None:
    if part is None:
        return None
    names = {kind: name for name, kind in kinds.items()}
    return {"kind": names[type(part)], **asdict(part)}

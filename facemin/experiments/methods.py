"""Protection methods of experiments: from a file's table to the object that protects, and to what a record says."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from facemin.protection import PMT, PROTECTORS, Kernel
from facemin.protection.pmt.method import PARTS
from facemin.protection.pmt.objective import Target
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute, Precision
from facemin.runtime.device import choose_device, choose_precision
from facemin.runtime.faults import fault_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facemin.protection import Protector

PLAIN = "plain"
"""The method that protects nothing: what is judged is the face itself."""

COMPUTED = ("batch", "precision")
"""Settings of a table that say how it is computed, not what."""


class _Numbers(BaseModel):
    """The rest of an optimisation's settings; one that is left out is the preset's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(default=0, ge=0)
    residual: float | None = Field(default=None, ge=0, le=2)
    target: Target = "plain"
    pool: int | None = Field(default=None, ge=1)
    weights: tuple[float, ...] | None = None


class _Computed(BaseModel):
    """How a method is computed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch: int = Field(default=16, ge=1)
    precision: Precision = "auto"


def make_method(table: Mapping[str, Any]) -> Protector | None:
    """The method that a table describes.

    Args:
        table: `preset`, one of `facemin.protection.PROTECTORS` or "plain", and settings to vary it by. Of the methods
            that optimise, `rule`, `start` and `transform` are tables of a `kind` and its settings, `kernel` one of
            settings; "none" stands for no transform, kernel, pooling, weights, or residual. `batch` and `precision`
            are `make_compute`'s.

    Returns:
        The method; None for "plain".

    Raises:
        ValueError: naming the setting, what was expected and what came.
    """
    settings = {name: None if value == "none" else value for name, value in table.items() if name not in COMPUTED}
    preset = settings.pop("preset", None)
    if preset == PLAIN:
        if settings:
            raise ValueError(f"expected no settings beside preset = {PLAIN!r}, got {', '.join(settings)}")
        return None
    if preset not in PROTECTORS:
        raise ValueError(f"preset: expected one of {', '.join([*PROTECTORS, PLAIN])}, got {preset!r}")
    base = PROTECTORS[preset]
    if not isinstance(base, PMT):
        _check_known(type(base), settings, preset)
        given = {each.name: getattr(base, each.name) for each in fields(base)}
        varied: Protector = _parsed(TypeAdapter(type(base)), given | settings, "")
        return varied
    made: dict[str, Any] = {}
    for name, kinds in PARTS.items():
        if name in settings:
            made[name] = _part(name, settings.pop(name), kinds)
    if "kernel" in settings:
        value = settings.pop("kernel")
        made["kernel"] = None if value is None else _built(Kernel, value, "kernel")
    numbers = _parsed(TypeAdapter(_Numbers), settings, "")
    return replace(base, **made, **numbers.model_dump(exclude_unset=True))


def make_compute(table: Mapping[str, Any], *, device: str = "auto") -> Compute:
    """How a table's method is computed.

    Args:
        table: as for `make_method`; all but `batch` and `precision` is passed over.
        device: where.

    Raises:
        ValueError: naming the setting, what was expected and what came.
    """
    computed = _parsed(TypeAdapter(_Computed), {name: table[name] for name in COMPUTED if name in table}, "")
    return Compute(device=device, batch=computed.batch, precision=computed.precision)


def describe_method(method: Protector | None, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Everything that a method's images depend on, defaults included, as JSON has it.

    Args:
        method: None for "plain".
        compute: where it runs: "auto" is no answer to the precision of its gradients.
    """
    if method is None:
        return {"preset": PLAIN}
    values = method.describe()
    if method.takes_gradients:
        precision = choose_precision(compute.precision, choose_device(compute.device))
        values["precision"] = str(precision).removeprefix("torch.")
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
        message = fault_message(fault)
        got = "" if fault["type"] == "value_error" else f", got {fault['input']!r:.80}"
        raise ValueError(f"{place}: {message}{got}" if place else f"{message}{got}") from None

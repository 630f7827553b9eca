"""Experiment file: TOML, read into frozen models whose errors name file and key."""

from __future__ import annotations

import copy
import itertools
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from facemin.attack import PURIFIERS
from facemin.experiments.methods import make_compute, make_method
from facemin.experiments.settings import LFW, Beside, Cell, Data, Judges, KeySettings, Noise, Paper, Quick, Section
from facemin.protection import PMT, PROTECTORS
from facemin.runtime.faults import all_faults
from facemin.runtime.toml_file import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Model = TypeVar("Model", bound=BaseModel)


class Experiment(Section):
    """An experiment's file."""

    title: str = Field(min_length=1)
    source: str = ""
    """Which table or figure of which paper."""
    remark: str = ""
    """What a reader of the result has to know."""
    layout: Literal["rows", "matrix", "noise", "selectivity"]
    """How the report shows it."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    data: Data
    quick: Quick = Quick()
    judges: Judges
    operations: Annotated[tuple[str, ...], Field(min_length=1)] = ("none",)
    """What is done to an upload before it is judged: of `facemin.attack.PURIFIERS`."""
    noise: Noise | None = None
    distance: str | None = None
    """Stem of an ONNX file in the folder of models that takes two images and gives their distance."""
    method: dict[str, Any]
    """See `facemin.experiments.methods.make_method`."""
    key: dict[str, KeySettings] = Field(default={})
    """Keys by name, so that cells can share them."""
    keys: tuple[KeySettings | str, ...] = ()
    """Keys as tables, or names of `key`."""
    sweep: dict[str, list[Any]] = Field(default={})
    """Values by dotted name, "method.steps" or "keys.residual"; every combination is a cell."""
    cell: tuple[dict[str, Any], ...] = ({"name": "all"},)
    """Each a name, and what it has in place of the above: method (merged), keys, sweep, paper."""
    paper: Paper | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        unknown = [name for name in self.operations if name not in PURIFIERS]
        if unknown or "none" not in self.operations:
            raise ValueError(
                f"operations: expected some of {', '.join(PURIFIERS)}, among them none; got {list(self.operations)}"
            )
        names = [cell.name for cell in self.cells()]
        if len(set(names)) != len(names):
            raise ValueError(f"cell: expected each name once, got {sorted(n for n in names if names.count(n) > 1)}")
        return self

    def cells(self, *, quick: bool = False) -> list[Cell]:
        """All measurements, in order.

        Args:
            quick: with the methods' steps cut short.

        Raises:
            ValueError: naming the cell and what is wrong with it.
        """
        return [cell for base in self.cell for cell in self._expanded(base, quick=quick)]

    def _expanded(self, base: dict[str, Any], *, quick: bool) -> Iterator[Cell]:
        name = base.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f"cell.name: expected a name, got {name!r}")
        unknown = sorted(set(base) - {"name", "method", "keys", "sweep", "paper"})
        if unknown:
            raise ValueError(f"cell {name!r}: expected name, method, keys, sweep and paper, got {unknown}")
        table = {
            "method": _merged(self.method, base.get("method", {})),
            "keys": [self._key(key, name) for key in base.get("keys", self.keys)],
        }
        sweep = base.get("sweep", self.sweep)
        for values in itertools.product(*sweep.values()):
            point = dict(zip(sweep, values, strict=True))
            passed = copy.deepcopy(table)
            for path, value in point.items():
                _set(passed, path, value, name)
            suffix = "".join(f", {path.rpartition('.')[2]} {_short(value)}" for path, value in point.items())
            yield self._cell(name + suffix, name, point, passed, base.get("paper", {}), quick=quick)

    def _key(self, key: Any, cell: str) -> Any:
        """A key as a table, wherever it stands."""
        if isinstance(key, str):
            if key not in self.key:
                raise ValueError(f"cell {cell!r}: keys: expected a table or one of {', '.join(self.key)}, got {key!r}")
            key = self.key[key]
        return key.model_dump(mode="json", exclude_unset=True) if isinstance(key, KeySettings) else key

    def _cell(
        self, name: str, series: str, point: dict[str, Any], passed: dict[str, Any], paper: Any, *, quick: bool
    ) -> Cell:
        try:
            method = make_method(_shortened(passed["method"], self.quick.steps) if quick else passed["method"])
            keys = tuple(_strictly(KeySettings, key) for key in passed["keys"])
            if not keys:
                raise ValueError("keys: expected at least one, got none")
            if (
                method is not None
                and getattr(method, "residual", None) is None
                and any(key.residual is None for key in keys)
            ):
                raise ValueError("residual: expected one for the method or for every key, got none")
            weights = getattr(method, "weights", None)
            if weights is not None and len(weights) != len(keys):
                raise ValueError(f"method.weights: expected {len(keys)}, one a key, got {len(weights)}")
            make_compute(passed["method"])
            absent = [key.recogniser for key in keys if key.recogniser not in self.judges.names]
            if absent:
                raise ValueError(f"keys: expected recognisers among the judges, got {absent}")
            return Cell(name, series, point, passed, method, keys, _strictly(Beside, paper))
        except ValidationError as error:
            raise ValueError(f"cell {name!r}: {all_faults(error)}") from None
        except ValueError as error:
            raise ValueError(f"cell {name!r}: {error}") from None


def read_experiment(path: Path) -> Experiment:
    """Read an experiment's TOML file; its relative paths become relative to its folder.

    Raises:
        ValueError: no such file, not TOML, or keys that are missing, unknown or out of range, each named.
    """
    values = read_table(path, what="an experiment")
    data = values.get("data")
    if isinstance(data, dict):
        for name in ("set", "pairs", "landmarks"):
            if isinstance(data.get(name), str) and (name, data[name]) != ("set", LFW):
                data[name] = str(path.parent / data[name])
    try:
        return _strictly(Experiment, values)
    except ValidationError as error:
        raise ValueError(f"{path}: {all_faults(error)}") from None


def _strictly(model: type[Model], values: Any) -> Model:
    # through JSON, because only there strict types still take a list for a tuple and text for a path
    return model.model_validate_json(json.dumps(values, default=str), strict=True)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with what `over` has instead; a table of another kind, or another preset, replaces the whole."""
    if any(name in over and over[name] != base.get(name) for name in ("kind", "preset")):
        return dict(over)
    merged = dict(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = _merged(base[name], value) if both else value
    return merged


def _set(table: dict[str, Any], path: str, value: Any, cell: str) -> None:
    first, *rest = path.split(".")
    if first not in ("method", "keys") or not rest:
        raise ValueError(f"cell {cell!r}: sweep: expected names like method.steps or keys.residual, got {path!r}")
    places = table["keys"] if first == "keys" else [table["method"]]
    for place in places:
        inner = place
        for name in rest[:-1]:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                message = f"cell {cell!r}: sweep: expected {path!r} to lie within a table, got {inner!r:.80}"
                raise ValueError(message)  # noqa: TRY004 - a file's content
        inner[rest[-1]] = value


def _short(value: Any) -> str:
    return str(value.get("kind", value)) if isinstance(value, dict) else str(value)


def _shortened(table: dict[str, Any], most: int) -> dict[str, Any]:
    # what takes no steps of its own cannot be cut short
    if not isinstance(PROTECTORS.get(str(table.get("preset"))), PMT):
        return table
    steps = table.get("steps", most)
    return {**table, "steps": min(steps, most) if isinstance(steps, int) else steps}

"""Faults of validated input in words: pydantic's errors in one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


@contextmanager
def faults_named(where: str = "", *, value: bool = True, error: type[ValueError] = ValueError) -> Iterator[None]:
    """Within the block, what pydantic refuses is said in one line.

    Args:
        where: what comes before the fault.
        value: as for `first_fault`.
        error: what is raised.
    """
    try:
        yield
    except ValidationError as refused:
        raise error(where + first_fault(refused, value=value)) from None


def first_fault(error: ValidationError, *, value: bool = True, root: str = "it") -> str:
    """The first fault: its field, what was expected, and the value that came.

    Args:
        error: pydantic's.
        value: say the value too; not where it may be a secret or an upload.
        root: what stands for the whole.
    """
    problem = error.errors(include_url=False, include_context=False, include_input=value)[0]
    where = ".".join(map(str, problem["loc"])) or root
    # our own validators say themselves what came
    got = f", got {problem['input']!r:.80}" if value and problem["type"] != "value_error" else ""
    return f"{where}: {fault_message(problem)}{got}"


def fault_message(fault: Mapping[str, Any]) -> str:
    """What was expected, without the words that pydantic writes before what a validator of ours says."""
    return str(fault["msg"]).removeprefix("Value error, ")


def all_faults(error: ValidationError, *, hidden: Collection[str] = ()) -> str:
    """Every fault of a file, one after the other.

    Args:
        error: pydantic's.
        hidden: parts of a field's place that mean nothing to who wrote the file: the variants of a union.
    """
    return "; ".join(_fault(fault, hidden) for fault in error.errors())


def _fault(fault: Any, hidden: Collection[str]) -> str:
    field = ".".join(str(part) for part in fault["loc"] if part not in hidden)
    message = fault_message(fault)
    if fault["type"] in {"missing", "value_error"}:
        return f"{field}: {message}" if field else message
    return f"{field}: {message}, got {fault['input']!r:.80}"

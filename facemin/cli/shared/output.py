"""Output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.markup import escape

from facemin.runtime.printable import printable

LONGEST_LINE = 20_000


def errors() -> Console:
    """Standard error."""
    return Console(stderr=True)


def say(console: Console, text: str) -> None:
    """Print marked-up text as it is: no wrapping, no colouring of numbers, and nothing that moves a cursor."""
    shown = "\n".join(printable(line, most=LONGEST_LINE) for line in text.split("\n"))
    console.print(shown, soft_wrap=True, highlight=False)


def tell(*lines: str) -> None:
    """Print a result on standard output, whoever wrote parts of it; a line break inside a line becomes "?"."""
    print("\n".join(printable(line, most=LONGEST_LINE) for line in lines))


def foreign(text: object) -> str:
    """What somebody else wrote, a file's name say, as a part of marked-up text: one line, no markup of its own."""
    return escape(printable(str(text), most=LONGEST_LINE))


def note(text: str) -> None:
    """A remark on standard error."""
    say(errors(), f"[yellow]note:[/] {escape(text)}")


def print_json(value: Any) -> None:
    """One JSON document on standard output; a number that is none is null, since JSON has no word for it."""
    print(json.dumps(_finite(value), indent=1, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def answer(values: Any, *lines: str, as_json: bool) -> None:
    """A result on standard output: as one JSON document, or in lines for people."""
    if as_json:
        print_json(values)
    elif lines:
        tell(*lines)


def print_values(values: dict[str, Any], *, as_json: bool, width: int = 12) -> None:
    """Name and value a line, or one JSON object."""
    answer(values, *(f"{name:{width}} {value}" for name, value in values.items()), as_json=as_json)


def available_device(name: str) -> str:
    """A device that is there: a GPU that was asked for and is not becomes the CPU, loudly.

    Raises:
        ValueError: a name that is no device at all.
    """
    from facemin.protection.one_pass.protector import torch_is_there

    # without torch everything runs on the processor; whoever asks for more is told what it takes
    if name in ("auto", "cpu") and not torch_is_there():
        return "cpu"
    from facemin.runtime.device import choose_device

    try:
        return str(choose_device(name))
    except ValueError as error:
        if name.split(":")[0] not in ("cuda", "mps", "xpu"):
            raise
        say(errors(), f"[bold white on red] NO GPU [/] {escape(str(error))}")
        say(errors(), "[bold]Computing on the CPU instead.[/]")
        return "cpu"

"""A progress bar that counts, for work of a known length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from rich.console import Console


def counting_bar(console: Console, *, worded: bool = False) -> Progress:
    """A bar on a terminal, gone when it ends; nothing elsewhere.

    Args:
        console: to draw on; a quiet one shows none.
        worded: tasks have a field `text`, shown between count and time left.
    """
    words = (TextColumn("{task.fields[text]}"),) if worded else ()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *words,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or console.quiet,
        transient=True,
    )

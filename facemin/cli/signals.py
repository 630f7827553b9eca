"""Signals that end a long run after the step at hand."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 128
"""Exit status of a run that a signal ended, plus the signal's number, as shells have it."""


@contextmanager
def ending_signals() -> Iterator[list[int]]:
    """Signals that asked to end; a second one does so at once."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

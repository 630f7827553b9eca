"""Signal handling of long runs: the first signal is noted, and the run ends where nothing finished is lost."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 128
"""Exit status of a run that a signal ended, plus the signal's number, as shells have it."""


class Interrupt:
    """Whether somebody asked to end."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """End here where that was asked for.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def ending_signals() -> Iterator[list[int]]:
    """Signals that asked to end; a second one does so at once."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    with _handled(SIGNALS, note):
        yield caught


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Within the block, the first Ctrl-C is only remembered; the second one ends at once."""
    interrupt = Interrupt()

    def remember(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupt.check()
        interrupt.asked = True

    with _handled((signal.SIGINT,), remember):
        yield interrupt


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # signals reach the main thread alone
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)

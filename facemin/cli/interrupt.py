"""Ctrl-C that waits for a place where nothing finished is lost."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


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
def interruptible() -> Iterator[Interrupt]:
    """Within the block, the first Ctrl-C is only remembered; the second one ends at once."""
    interrupt = Interrupt()

    def remember(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupt.check()
        interrupt.asked = True

    # signals reach the main thread alone
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)

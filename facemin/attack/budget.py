"""Time budget of attacks: seconds, and shares of what is left."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Seconds from when it was made.

    Args:
        seconds: how many; at least 0.
        clock: tells the time, in seconds.
        before: seconds of it that were spent before it was made.

    Raises:
        ValueError: seconds below 0, or not a number.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    before: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"seconds: expected a number of 0 or more, got {self.seconds}")
        object.__setattr__(self, "began", self.clock() - self.before)

    @property
    def spent(self) -> float:
        """Seconds since it was made."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left; 0 when it is over."""
        return max(0.0, self.seconds - self.spent)

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0

    def part(self, share: float) -> Budget:
        """A budget of a share of what is left, in [0, 1], from now on."""
        return Budget(seconds=self.left * share, clock=self.clock)

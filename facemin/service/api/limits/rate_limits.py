"""Rate limits: a bucket of requests for each caller, refilled steadily."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from facemin.service.api.errors import ServiceError


class RateLimit:
    """At most `per_minute` requests a minute for each name, and as many at once after a quiet minute.

    Of this process alone: several servers allow several times as much.

    Args:
        per_minute: how many.
        most: names remembered; the one idle longest is forgotten first, so memory stays bounded.
    """

    def __init__(self, per_minute: float, *, most: int = 10_000) -> None:
        self._rate, self._room, self._most = per_minute / 60, per_minute, most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, *, now: float | None = None) -> None:
        """Count a request.

        Args:
            name: of the caller.
            now: seconds on any clock that never goes back; the system's when None.

        Raises:
            ServiceError: the bucket is empty (429); says when it will not be.
        """
        self._spend(name, 1, now)

    def check(self, name: str, *, now: float | None = None) -> None:
        """The same without counting: raises where `take` would."""
        self._spend(name, 0, now)

    def _spend(self, name: str, cost: float, now: float | None) -> None:
        moment = time.monotonic() if now is None else now
        with self._lock:
            left, at = self._buckets.get(name, (max(1.0, self._room), moment))
            left = min(max(1.0, self._room), left + (moment - at) * self._rate)
            allowed = left >= 1
            self._buckets[name] = (left - cost if allowed else left, moment)
            self._buckets.move_to_end(name)
            while len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        if not allowed:
            raise ServiceError(
                429,
                "too_many_requests",
                f"rate: expected at most {self._room:g} requests a minute, got more",
                retry_after=(1 - left) / self._rate,
            )

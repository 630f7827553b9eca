"""Counters and times in the text format that Prometheus reads.

Source: Prometheus, "Exposition formats", text format version 0.0.4.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the histogram's buckets, seconds."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class _Times:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0


class Telemetry:
    """What this process has done since it started; names no person, token or upload."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._times: defaultdict[tuple[str, str], _Times] = defaultdict(_Times)
        self._decisions: defaultdict[tuple[str, str], int] = defaultdict(int)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request: its route's pattern, never its path, so that the number of series is bounded."""
        with self._lock:
            self._requests[method, route, status] += 1
            times = self._times[method, route]
            times.counts[bisect_left(BOUNDS, seconds)] += 1
            times.total += seconds

    def decision(self, action: str, outcome: str) -> None:
        """Count what was decided: an action and "accepted", "rejected", "plain_face", ..."""
        with self._lock:
            self._decisions[action, outcome] += 1

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        with self._lock:
            lines = ["# HELP facemin_requests_total Requests answered.", "# TYPE facemin_requests_total counter"]
            for (method, route, status), count in sorted(self._requests.items()):
                lines.append(
                    f'facemin_requests_total{{method="{method}",route="{_escaped(route)}",status="{status}"}} {count}'
                )
            name = "facemin_request_seconds"
            lines += [f"# HELP {name} Time to answer.", f"# TYPE {name} histogram"]
            for (method, route), times in sorted(self._times.items()):
                labels = f'method="{method}",route="{_escaped(route)}"'
                running = 0
                for bound, count in zip((*map(str, BOUNDS), "+Inf"), times.counts, strict=True):
                    running += count
                    lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {running}')
                lines += [f"{name}_sum{{{labels}}} {times.total:.6f}", f"{name}_count{{{labels}}} {running}"]
            lines += ["# HELP facemin_decisions_total Decisions.", "# TYPE facemin_decisions_total counter"]
            for (action, outcome), count in sorted(self._decisions.items()):
                lines.append(f'facemin_decisions_total{{action="{action}",outcome="{outcome}"}} {count}')
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

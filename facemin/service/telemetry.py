"""Counters and times for Prometheus, by its own client library."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the histogram's buckets, seconds."""
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Telemetry:
    """What this process has done since it started; names no person, token or upload."""

    def __init__(self) -> None:
        # a registry of its own: another application's metrics in this process are not ours to show
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "facemin_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "facemin_request_seconds", "Time to answer.", ("method", "route"), buckets=BOUNDS, registry=self._registry
        )
        self._decisions = Counter("facemin_decisions", "Decisions.", ("action", "outcome"), registry=self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request: its route's pattern, never its path, so that the number of series is bounded."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def decision(self, action: str, outcome: str) -> None:
        """Count what was decided: an action and "accepted", "rejected", "plain_face", ..."""
        self._decisions.labels(action, outcome).inc()

    def text(self) -> str:
        """Everything, in Prometheus's text format 0.0.4."""
        return generate_latest(self._registry).decode()

"""Prometheus figures, in a registry of our own. Other parts add their collectors to :attr:`Metrics.registry`."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: From "answered from memory" to "something is wrong", in seconds.
_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Metrics:
    """The figures of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "loa_api_requests", "Requests answered by the staff API.", ("operation", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "loa_api_seconds",
            "Time to answer a request, in seconds.",
            ("operation",),
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """A figure that is asked for at every scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)

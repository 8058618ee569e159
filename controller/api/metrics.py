"""Prometheus figures, in a registry of our own. Other parts add their collectors to :attr:`Metrics.registry`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

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

    def counts(self, name: str, help_text: str, label: str, values: Mapping[str, int]) -> None:
        """Counters kept by somebody else, by one label; read at every scrape."""
        self.registry.register(_Counts(name, help_text, label, values))

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class _Counts(Collector):
    """Reads a mapping of counters when it is asked."""

    def __init__(self, name: str, help_text: str, label: str, values: Mapping[str, int]) -> None:
        self._name, self._help, self._label, self._values = name, help_text, label, values

    def collect(self) -> Iterator[CounterMetricFamily]:
        """All of them, now."""
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for key, count in self._values.items():
            family.add_metric([key], count)
        yield family

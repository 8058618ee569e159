"""Figures about warnings for Prometheus, asked for at every scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.services.warnings import CapPublisher, WarningBook, WarningIntake, WarningSources
from controller.services.warnings.polling import WarningPolls

_ARRIVALS = {
    "received": "Warnings that came and were new.",
    "duplicates": "Warnings that came again.",
    "refused": "Documents and warnings that were refused.",
}


class WarningCollector(Collector):
    """Reads the parts when it is asked."""

    def __init__(
        self,
        *,
        book: WarningBook,
        intake: WarningIntake,
        sources: WarningSources,
        polls: WarningPolls,
        publisher: CapPublisher,
    ) -> None:
        self._book = book
        self._intake = intake
        self._sources = sources
        self._polls = polls
        self._publisher = publisher

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Every figure, now."""
        for name, text in _ARRIVALS.items():
            family = CounterMetricFamily(f"loa_warnings_{name}", text, labels=["source"])
            for source_id, health in self._intake.health.items():
                family.add_metric([source_id], getattr(health, name))
            yield family
        yield GaugeMetricFamily("loa_warnings_pending", "Warnings that wait to be judged.", value=self._book.pending)
        demoted = sum(source.demoted for source in self._sources.all())
        yield GaugeMetricFamily("loa_warning_sources_demoted", "Sources without their automatic way.", value=demoted)
        yield GaugeMetricFamily(
            "loa_warning_feeds_failing", "Feeds that fail again and again.", value=self._polls.failing
        )
        yield CounterMetricFamily(
            "loa_cap_published", "CAP messages about our own alerts.", value=self._publisher.published
        )

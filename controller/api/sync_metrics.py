"""Figures about how well the boxes keep time, for Prometheus, asked for at every scrape.

Over the whole fleet, not box by box: ten thousand boxes times ten figures would drown a monitoring system. One box's
figures are in its last status (``GET /api/v1/agents/{id}``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.services.fleet import FleetService
from protocol.telemetry import SyncTiming

_QUANTILES = (0.5, 0.95, 1.0)


class SyncCollector(Collector):
    """Reads the fleet when it is asked."""

    def __init__(self, fleet: FleetService) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every figure, now; of boxes whose last status may still be believed."""
        states = [status.sync for status in self._fleet.fresh_statuses() if status.sync is not None]
        for name, text, figures in (
            (
                "loa_fleet_clock_sigma_seconds",
                "Uncertainty of the boxes' mapping to the controller's time.",
                [one.sigma_us for one in states],
            ),
            (
                "loa_fleet_sound_error_seconds",
                "Distance of what sounds from its place, by the boxes' own measure (their p95 of a minute).",
                [one.error_p95_us for one in states],
            ),
            (
                "loa_fleet_path_excess_seconds",
                "Queueing on the way to the boxes.",
                [one.excess_us for one in states],
            ),
        ):
            yield _quantiles(name, text, figures)
        queues = sum(one.standing_us > 0 for one in states)
        yield GaugeMetricFamily("loa_fleet_queues_standing", "Boxes behind a queue that stands.", value=queues)
        degraded = sum(one.timing is SyncTiming.DEGRADED for one in states)
        yield GaugeMetricFamily(
            "loa_fleet_timing_degraded", "Boxes whose sound device does not tell the time well.", value=degraded
        )


def register(registry: CollectorRegistry, fleet: FleetService) -> None:
    """Add the figures to a registry."""
    registry.register(SyncCollector(fleet))


def _quantiles(name: str, text: str, figures: Sequence[int | None]) -> GaugeMetricFamily:
    """Microseconds of many boxes as seconds at a few quantiles; nothing while no box told any."""
    family = GaugeMetricFamily(name, text, labels=["quantile"])
    known = sorted(one for one in figures if one is not None)
    for share in _QUANTILES if known else ():
        family.add_metric([f"{share:g}"], known[min(len(known) - 1, int(len(known) * share))] / 1e6)
    return family

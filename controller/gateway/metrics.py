"""The gateway's and the fleet's figures for Prometheus, asked for at every scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.gateway.gateway import Gateway
from controller.services.fleet import FleetService

_COUNTS = {
    "sessions_begun": "Control sessions that began.",
    "handshakes_refused": "Control connections that proved nothing.",
    "flapping": "Sessions of agents that replace their own connection again and again.",
    "cut_off": "Sessions ended for nonsense or a flood.",
    "messages": "Messages agents sent.",
    "clock_replies": "Clock questions answered.",
    "records": "Play records received, repetitions included.",
    "commands_sent": "Orders and announcements written to agents.",
    "dropped": "Messages and bundles that a bound threw away.",
    "stalled": "Connections closed because they took nothing.",
    "tap_frames": "Frames of sound that agents sent to who listens in.",
    "tap_frames_refused": "Such frames that nobody had asked for, or that were malformed.",
}


class GatewayCollector(Collector):
    """Reads the gateway when it is asked."""

    def __init__(self, gateway: Gateway, fleet: FleetService) -> None:
        self._gateway = gateway
        self._fleet = fleet

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Every figure, now."""
        gateway = self._gateway
        for name, text in _COUNTS.items():
            yield CounterMetricFamily(f"loa_gateway_{name}", text, value=getattr(gateway.counts, name))
        yield CounterMetricFamily("loa_gateway_bundles_sent", "Bundles written to agents.", value=gateway.fanout.sends)
        yield CounterMetricFamily(
            "loa_gateway_bundles_late", "Bundles too late to be written at all.", value=gateway.fanout.too_late
        )
        yield CounterMetricFamily(
            "loa_gateway_content_bytes",
            "Bytes of recordings and documents served.",
            value=gateway.media_room.served_bytes,
        )
        yield CounterMetricFamily(
            "loa_gateway_connections_refused", "Connections one too many.", value=gateway.door.census.refused
        )
        yield GaugeMetricFamily("loa_gateway_connections", "Open connections.", value=gateway.door.census.total)
        yield GaugeMetricFamily("loa_gateway_sessions", "Agents connected.", value=len(gateway.online()))
        yield GaugeMetricFamily("loa_gateway_streams", "Live streams open.", value=len(gateway.fanout.streams))
        refused = CounterMetricFamily("loa_agent_refusals", "What agents refused as hostile, by code.", labels=["code"])
        for code, count in self._fleet.security_events.items():
            refused.add_metric([code], count)
        yield refused


def register(registry: CollectorRegistry, gateway: Gateway, fleet: FleetService) -> None:
    """Show the figures in ``registry``."""
    registry.register(GatewayCollector(gateway, fleet))

"""What the gateway counts; :mod:`controller.gateway.metrics` shows it to Prometheus."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class GatewayCounts:
    """Totals since the start. ``dropped`` counts messages and bundles that a bound threw away."""

    sessions_begun: int = 0
    handshakes_refused: int = 0
    flapping: int = 0
    cut_off: int = 0
    messages: int = 0
    clock_replies: int = 0
    records: int = 0
    commands_sent: int = 0
    dropped: int = 0
    stalled: int = 0
    tap_frames: int = 0
    tap_frames_refused: int = 0

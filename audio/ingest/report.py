"""What is known about a file after it was listened to, and the limits it was listened to under.

Rules kept here:

1. ``ok`` means that some sound can be decoded, be it silent, clipped or 10 ms long; what is odd about it is a warning.
2. Codes are stable words for programs; ``reason`` is a sentence for a person that says what to do.
3. Every number is finite or None, durations are of decoded sound, never of headers.

Refusals (``code`` when not ok): ``not_found``, ``not_permitted``, ``not_a_file``, ``empty``, ``too_large``,
``not_audio``, ``no_audio_track``, ``unreadable``, ``too_long``, ``too_demanding``, ``timeout``, ``crashed``,
``disk_full``. Warnings: :class:`MediaWarning`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from audio.errors import IngestError
from schedules.instants import Frames


class MediaWarning(StrEnum):
    """What an officer should know before this goes on air."""

    SILENT = "silent"
    CLIPPED = "clipped"
    VERY_SHORT = "very_short"
    DC_OFFSET = "dc_offset"
    DAMAGED = "damaged"
    HAS_VIDEO = "has_video"
    MANY_CHANNELS = "many_channels"
    OUT_OF_PHASE = "out_of_phase"
    DURATION_MISMATCH = "duration_mismatch"
    PEAK_LIMITED = "peak_limited"


#: One sentence for a person per warning.
WARNING_TEXT = {
    MediaWarning.SILENT: "there is nothing to hear in it: check that the right file was chosen",
    MediaWarning.CLIPPED: "it is distorted or reaches beyond full scale: record it at a lower level if you can",
    MediaWarning.VERY_SHORT: "it is shorter than half a second",
    MediaWarning.DC_OFFSET: "the recording device adds a constant offset, which is taken away: check the device",
    MediaWarning.DAMAGED: "parts of it could not be decoded and are left out: listen to it whole",
    MediaWarning.HAS_VIDEO: "only the sound of it is used, not the pictures",
    MediaWarning.MANY_CHANNELS: "its surround channels are mixed down to one",
    MediaWarning.OUT_OF_PHASE: "its channels cancel each other, so only the louder one is used",
    MediaWarning.DURATION_MISMATCH: "its header claims another length than there is sound: it may be cut short",
    MediaWarning.PEAK_LIMITED: "its peaks leave no room to make it as loud as other programmes",
}


@dataclass(frozen=True, slots=True)
class MediaReport:
    """The verdict on one file. ``file`` is what the caller named it, unchanged."""

    file: str
    ok: bool
    code: str
    reason: str
    warnings: tuple[str, ...] = ()
    duration_s: float | None = None
    codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    lufs_in: float | None = None
    lufs_out: float | None = None
    true_peak_out: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values, in the order of the fields."""
        return asdict(self) | {"warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_dict`."""
        return cls(**(values | {"warnings": tuple(values.get("warnings", ()))}))

    @classmethod
    def refused(cls, file: str, code: str, reason: str) -> Self:
        """A report that says no."""
        return cls(file, ok=False, code=code, reason=reason)


@dataclass(frozen=True, slots=True)
class Ingested:
    """A programme on disk: Ogg Opus, 48 kHz mono, named by the SHA-256 of its bytes."""

    sha256: str
    path: Path
    frames: Frames
    bytes: int
    report: MediaReport


class RefusedError(IngestError):
    """The file cannot become a programme; ``report`` says why."""

    def __init__(self, report: MediaReport) -> None:
        super().__init__(report.reason, code=report.code)
        self.report = report


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """What one file may cost.

    ``max_duration`` is the agents' own cap for an item (schedules.model.MAX_ITEM). ``memory_bytes`` is what decoding
    may add to the worker. A file may use ``cpu_grace_s`` of processor time plus ``cpu_per_second`` for each second of
    sound that comes out of a pass, so a small file that only burns time ends soon, and a long one is let finish.
    """

    max_bytes: int = 4 * 1024**3
    max_duration: timedelta = timedelta(minutes=180)
    memory_bytes: int = 512 * 1024**2
    cpu_grace_s: float = 30.0
    cpu_per_second: float = 0.5
    timeout_s: float = 3_600.0
    stall_s: float = 60.0
    workers: int = 2

    def as_dict(self) -> dict[str, Any]:
        """The limits as JSON values."""
        return asdict(self) | {"max_duration": self.max_duration.total_seconds()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_dict`."""
        return cls(**(values | {"max_duration": timedelta(seconds=values["max_duration"])}))

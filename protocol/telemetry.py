"""What an agent tells about itself: play records, health, status. Parts of messages, as frozen pydantic models.

Rules kept here:

1. Every text and list is bounded, every number finite and in range: a broken sensor says null, not NaN.
2. Instants are aware UTC in Python and integer microseconds on the wire; u64 are 16 hexadecimal digits.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator

from protocol.fields import ID_PATTERN, LATEST_US, TEXT_PATTERN, unsigned64_text
from protocol.limits import MAX_DETAIL, MAX_FAULTS, MAX_INT, MAX_TITLE, MAX_U32, MAX_U64
from schedules.instants import from_unix_us, to_unix_us

_U64_DIGITS = 16


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        to_unix_us(value)  # raises unless aware and in UTC
        return value
    if type(value) is not int or not 0 <= value <= LATEST_US:
        raise ValueError("expected microseconds since 1970")
    return from_unix_us(value)


def _unsigned64(value: Any) -> int:
    if type(value) is int and 0 <= value <= MAX_U64:
        return value
    if isinstance(value, str) and len(value) == _U64_DIGITS and not set(value) - set("0123456789abcdef"):
        return int(value, 16)
    raise ValueError("expected 16 lowercase hexadecimal digits")


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic gathers ValueError
    return value


Instant = Annotated[datetime, PlainValidator(_instant), PlainSerializer(to_unix_us, return_type=int)]
U64 = Annotated[int, PlainValidator(_unsigned64), PlainSerializer(unsigned64_text, return_type=str)]
Int = Annotated[int, Field(strict=True, ge=-MAX_INT, le=MAX_INT)]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
U32 = Annotated[int, Field(strict=True, ge=0, le=MAX_U32)]
Delay = Annotated[int, Field(strict=True, ge=0, le=65_535)]
Real = Annotated[float, BeforeValidator(_no_bool), Field(strict=True, allow_inf_nan=False, ge=-1e9, le=1e9)]
Flag = Annotated[bool, Field(strict=True)]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Title = Annotated[str, Field(max_length=MAX_TITLE, pattern=TEXT_PATTERN)]
Detail = Annotated[str, Field(max_length=MAX_DETAIL, pattern=TEXT_PATTERN)]
Short = Annotated[str, Field(max_length=100, pattern=TEXT_PATTERN)]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class Part(BaseModel):
    """A frozen part of a message; fields it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlayOutcome(StrEnum):
    """What became of an occurrence."""

    PLAYED = "played"
    PARTIAL = "partial"
    MISSED = "missed"
    SKIPPED = "skipped"
    REFUSED = "refused"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"


class PlayRecord(Part):
    """Proof of play: one occurrence, or one stream, at one cluster. ``seq`` rises by one within a journal."""

    seq: Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
    occurrence_id: Hex64
    rule_id: Id | None = None
    recurrence: Instant | None = None
    title: Title = ""
    priority: U32
    outcome: PlayOutcome
    planned_start: Instant | None = None
    started: Instant | None = None
    ended: Instant | None = None
    start_error_us: Int | None = None
    frames: Count = 0
    silence_frames: Count = 0
    code: Code | None = None
    stream: U64 | None = None


class ClockState(StrEnum):
    """What the agent knows about time."""

    UNTRUSTED = "untrusted"
    TRUSTED = "trusted"  # wall time may be believed; no timeline followed
    READY = "ready"  # follows the controller's timeline too


class OutputState(StrEnum):
    """What the sound output does."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class Health(Part):
    """The machine. Unknown is null."""

    uptime_s: Count
    temperature_c: Real | None = None
    disk_free_mb: Count | None = None
    memory_used_mb: Count | None = None
    memory_free_mb: Count | None = None
    load_1m: Real | None = None
    under_voltage: Flag | None = None
    clock: ClockState
    clock_sigma_us: Count | None = None
    clock_rtt_us: Count | None = None
    drift_ppm: Real | None = None
    output: OutputState
    output_name: Short = ""
    underruns: Count = 0


class PlanState(Part):
    """Which documents are in force, and how much of the audio they need is there."""

    plan_term: U32 = 0
    plan_seq: Count = 0
    settings_seq: Count = 0
    expires: Instant | None = None
    days_missing: Count = 0
    clips_needed: Count = 0
    clips_cached: Count = 0
    cache_bytes: Count = 0


class SoundingState(Part):
    """What sounds now."""

    occurrence_id: Hex64 | None = None
    stream: U64 | None = None
    title: Title = ""
    priority: U32
    since: Instant
    frames: Count = 0


class Fault(Part):
    """Something a technician should know. ``code`` is stable."""

    code: Code
    detail: Detail = ""
    since: Instant


class StockState(Part):
    """The sounds kept in stock: how many are wanted, how many are here and proven, how many were found altered."""

    wanted: Count = 0
    here: Count = 0
    bad: Count = 0


class MuteBy(StrEnum):
    """Who made a box mute."""

    TECHNICIAN = "technician"  # at the box itself; only the box, or time, ends it
    ORDER = "order"  # a signed STOP with a hold


class MuteState(Part):
    """Nothing sounds, emergencies included, until ``until``."""

    by: MuteBy
    since: Instant
    until: Instant


class Arrivals(Part):
    """How long live bundles took in the last ten minutes; ``bundles`` and ``late`` count since the agent began.

    ``reserve_ms``: how long before its first sample the agent must have a bundle. ``late``: it came after that was
    possible. ``needed_lead_ms``: how long before its first sample a bundle should be sent.
    """

    bundles: Count = 0
    late: Count = 0
    p50_ms: Delay | None = None
    p95_ms: Delay | None = None
    p995_ms: Delay | None = None
    reserve_ms: Delay = 200
    needed_lead_ms: Delay | None = None


class SyncTiming(StrEnum):
    """How well the sound output tells when a sample is heard."""

    EXACT = "exact"  # it has no clock of its own
    OK = "ok"
    DEGRADED = "degraded"  # it does not tell, tells nonsense, or runs dry again and again
    UNKNOWN = "unknown"  # not opened yet


class SyncState(Part):
    """How well an agent keeps time. Unknown is null; counters are of this process's life.

    ``age_ms``: since the last burst that taught something. ``held``: bursts that a standing queue explained.
    ``error_p50_us``, ``error_p95_us``: distance of what sounded from where it should have been, as the agent itself
    sees it, over the last minute of sound. ``gap_ms``: sound that was due and missing.
    """

    sigma_us: Count | None = None
    rtt_min_us: Count | None = None
    rtt_last_us: Count | None = None
    excess_us: Count | None = None
    standing_us: Count = 0
    age_ms: Count | None = None
    bursts: Count = 0
    held: Count = 0
    drift_ppm: Real | None = None
    dac_ppm: Real | None = None
    dac_latency_us: Count | None = None
    timing: SyncTiming = SyncTiming.UNKNOWN
    reason: Short = ""
    error_p50_us: Count | None = None
    error_p95_us: Count | None = None
    jumps: Count = 0
    underruns: Count = 0
    gap_ms: Count = 0


class StatusBody(Part):
    """What a status message carries; sent every 20 s, and at once when a fault comes or goes."""

    type: Literal["status"] = "status"
    at: Instant
    health: Health
    plan: PlanState = PlanState()
    sounding: SoundingState | None = None
    stock: StockState = StockState()
    muted: MuteState | None = None
    arrivals: Arrivals | None = None
    sync: SyncState | None = None
    faults: Annotated[tuple[Fault, ...], Field(max_length=MAX_FAULTS)] = ()

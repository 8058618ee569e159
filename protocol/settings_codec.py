"""A cluster's settings as JSON values, and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from protocol.fields import Fields
from protocol.limits import MAX_LANGUAGES
from schedules.ladder import Priority
from schedules.model import (
    DUCK_MAX_DB,
    DUCK_MIN_DB,
    MAX_EMERGENCY,
    MAX_ITEM,
    MAX_RELAY,
    Amplifier,
    ClusterSettings,
    QuietHours,
)

_MICROSECOND: Final = timedelta(microseconds=1)

#: Gains a loudspeaker may be set to, in decibels; the playout limiter guards what is above 0.
QUIETEST_DB: Final = -60.0
LOUDEST_DB: Final = 12.0

#: Acoustic delay: 5 s is 1.7 km of air. Negative values would be a promise to play before the plan says.
LONGEST_OUTPUT_DELAY: Final = timedelta(seconds=5)
LONGEST_AMPLIFIER_TIME: Final = timedelta(minutes=1)
_LAST_PIN: Final = 255

#: How long one emergency message may be allowed to sound.
LONGEST_EMERGENCY: Final = timedelta(minutes=60)
SHORTEST_EMERGENCY: Final = timedelta(minutes=1)


def encode_cluster(settings: ClusterSettings) -> dict[str, Any]:
    """Cluster settings as JSON values."""
    value: dict[str, Any] = {
        "id": settings.cluster_id,
        "timezone": settings.timezone,
        "gains": [[int(priority), db] for priority, db in settings.gains],
        "output_delay_us": settings.output_delay // _MICROSECOND,
        "amplifier": _encode_amplifier(settings.amplifier),
        "languages": list(settings.languages),
        "max_item_us": settings.max_item // _MICROSECOND,
        "max_relay_us": settings.max_relay // _MICROSECOND,
        "max_emergency_us": settings.max_emergency // _MICROSECOND,
    }
    if settings.duck_db is not None:
        value["duck_db"] = settings.duck_db
    if settings.quiet_hours is not None:
        quiet = settings.quiet_hours
        value["quiet_hours"] = {
            "begin": quiet.begin.isoformat(timespec="seconds"),
            "end": quiet.end.isoformat(timespec="seconds"),
        }
    return value


def decode_cluster(fields: Fields) -> ClusterSettings:
    """Cluster settings from JSON values.

    Raises:
        MalformedError: a field is missing, of the wrong type or out of bounds.
        ValueError: fields contradict each other (the document's reader turns it into a refusal).
    """
    return ClusterSettings(
        cluster_id=fields.identifier("id"),
        timezone=_decode_timezone(fields),
        quiet_hours=fields.optional("quiet_hours", lambda name: _decode_quiet(fields.object(name))),
        gains=_decode_gains(fields),
        output_delay=fields.duration("output_delay_us", LONGEST_OUTPUT_DELAY),
        amplifier=_decode_amplifier(fields.object("amplifier")),
        languages=fields.identifiers("languages", MAX_LANGUAGES),
        max_item=fields.duration("max_item_us", MAX_ITEM),
        max_relay=fields.duration("max_relay_us", MAX_RELAY),
        max_emergency=_decode_max_emergency(fields),
        duck_db=fields.optional("duck_db", lambda name: fields.number(name, DUCK_MIN_DB, DUCK_MAX_DB)),
    )


def _decode_max_emergency(fields: Fields) -> timedelta:
    if not fields.has("max_emergency_us"):
        return MAX_EMERGENCY
    return fields.duration("max_emergency_us", LONGEST_EMERGENCY, SHORTEST_EMERGENCY)


def _decode_timezone(fields: Fields) -> str:
    name = fields.identifier("timezone")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        fields.refuse("timezone", "not a time zone this machine knows")
    return name


def _decode_quiet(fields: Fields) -> QuietHours:
    return QuietHours(fields.clock_time("begin"), fields.clock_time("end"))


def _decode_gains(fields: Fields) -> tuple[tuple[Priority, float], ...]:
    gains = []
    for index, (priority, db) in enumerate(fields.pairs("gains", len(Priority))):
        entry = Fields({"class": priority, "db": db}, f"gains[{index}].")
        gains.append((entry.choice("class", Priority), entry.number("db", QUIETEST_DB, LOUDEST_DB)))
    return tuple(gains)


def _encode_amplifier(amplifier: Amplifier) -> dict[str, Any]:
    value: dict[str, Any] = {
        "port": amplifier.port,
        "lead_us": amplifier.lead // _MICROSECOND,
        "tail_us": amplifier.tail // _MICROSECOND,
    }
    if amplifier.pin is not None:
        value["pin"] = amplifier.pin
    return value


def _decode_amplifier(fields: Fields) -> Amplifier:
    lead = fields.duration("lead_us", LONGEST_AMPLIFIER_TIME)
    tail = fields.duration("tail_us", LONGEST_AMPLIFIER_TIME)
    port = fields.text("port", 16)
    if port == "none":
        return Amplifier("none", None, lead, tail)
    if port == "gpio":
        return Amplifier("gpio", fields.integer("pin", 0, _LAST_PIN), lead, tail)
    return fields.refuse("port", "expected none or gpio")

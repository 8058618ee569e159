"""Every bound of the wire in one place. PROTOCOL.md, section 12, repeats them.

Each is checked before the bytes are looked into. A bound is chosen so that the largest legitimate use fits with
room to spare and a hostile one costs at most a few milliseconds and a few megabytes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

#: Largest text frame either side may send, in bytes of UTF-8.
MAX_TEXT: Final = 128 * 1024

#: Largest binary frame: one live bundle.
MAX_BINARY: Final = 64 * 1024

#: Largest binary frame an agent may send: one tap frame. A second of sound at 24 kbit/s has 3 kB.
MAX_TAP: Final = 8 * 1024

#: Longest that a loudspeaker may be listened to without being asked for again, in seconds.
MAX_LISTEN_S: Final = 600

#: Bits a second that an agent may be asked to send back.
MIN_LISTEN_RATE: Final = 12_000
MAX_LISTEN_RATE: Final = 32_000

#: What a WebSocket library is to be given as its largest message (it knows one number for both kinds).
MAX_FRAME: Final = max(MAX_TEXT, MAX_BINARY)

#: Largest body of a signed document, before base64.
MAX_BODY: Final = 64 * 1024

#: Largest sealed document: the body in base64, and its wrapping.
MAX_ENVELOPE: Final = MAX_BODY * 4 // 3 + 2048

#: Largest day document, and largest sum of all days of one plan.
MAX_DAY: Final = 1024 * 1024
MAX_PLAN: Final = 4 * MAX_DAY

#: Deepest nesting of any JSON here; the deepest legitimate one is 6.
MAX_DEPTH: Final = 12

#: Every integer in JSON lies within plus or minus this (RFC 7493: what every language can read exactly).
MAX_INT: Final = 2**53 - 1
MAX_U32: Final = 2**32 - 1
MAX_U64: Final = 2**64 - 1

MAX_ID: Final = 64
MAX_TITLE: Final = 300
MAX_DETAIL: Final = 500
MAX_ITEMS_PER_DAY: Final = 2000
MAX_PIECES: Final = 1000
MAX_DAYS: Final = 36
MAX_TARGETS: Final = 1024
MAX_LANGUAGES: Final = 16
MAX_KEYS: Final = 32
MAX_RECORDS: Final = 100
MAX_FAULTS: Final = 32
MAX_ROOT_CHAIN: Final = 8
MAX_CHECKS: Final = 16

#: Sounds an agent keeps in stock: 20 templates in five languages, each with its cancel twin, and the notices.
MAX_STOCK: Final = 240

#: Largest sound: twelve hours of Opus at 96 kbit/s.
MAX_CLIP_BYTES: Final = 512 * 1024 * 1024

#: Longest sound a single clip may claim: twelve hours, the cap of a relay.
MAX_FRAMES: Final = 12 * 3600 * 48_000

#: How far ahead of the agent's trusted time a document may have been issued (two clocks are never equal).
MAX_SKEW: Final = timedelta(minutes=10)

#: Longest life of a command (a plan carries what must hold longer) and of an open stream (the relay cap).
MAX_COMMAND_LIFE: Final = timedelta(hours=24)
MAX_STREAM_LIFE: Final = timedelta(minutes=720)

#: Longest mute that one order can set.
MAX_HOLD: Final = timedelta(hours=24)

#: From an item's start to the end of its repetitions; a longer alert is extended by a later order. The shortest
#: time between two repetitions.
MAX_REPEAT: Final = timedelta(hours=24)
MIN_EVERY: Final = timedelta(minutes=1)

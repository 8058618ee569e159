"""The messages of the control and the enrolment connection: one tagged union, its tag in ``type``.

Rules kept here:

1. A text frame is checked for size, then parsed once by :mod:`protocol.jsonsafe`, then validated; whatever is wrong
   with it is a :class:`~protocol.errors.MalformedError`.
2. A type this side does not know becomes :class:`Unknown` and is to be ignored; so are fields it does not know.
3. A hello of another version is refused as ``wrong_version`` before anything else in it is looked at.
4. Signed documents travel as the text of their envelopes: what was signed is never re-encoded.

The tables for strangers are PROTOCOL.md, sections 4 to 6.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationError

from protocol.documents import DocumentKind
from protocol.errors import MalformedError, WrongVersionError
from protocol.jsonsafe import loads_object
from protocol.limits import (
    MAX_CHECKS,
    MAX_ENVELOPE,
    MAX_LISTEN_RATE,
    MAX_LISTEN_S,
    MAX_RECORDS,
    MAX_ROOT_CHAIN,
    MAX_TEXT,
    MIN_LISTEN_RATE,
)
from protocol.telemetry import (
    U32,
    U64,
    Code,
    Count,
    Detail,
    Flag,
    Hex32,
    Hex64,
    Hex128,
    Id,
    Instant,
    Int,
    Part,
    PlayRecord,
    Short,
    StatusBody,
)
from protocol.version import WIRE_VERSION

Envelope = Annotated[str, Field(min_length=2, max_length=MAX_ENVELOPE)]
Software = Short
Version = Annotated[int, Field(strict=True, ge=WIRE_VERSION, le=WIRE_VERSION)]


class UtcQuality(StrEnum):
    """How well the controller knows wall time."""

    SYNCHRONISED = "synchronised"  # disciplined by NTP or GNSS
    FREE_RUNNING = "free_running"  # a clock that was set once: an RTC, or NTP lost
    UNKNOWN = "unknown"  # not to be believed


# Agent to controller


class Hello(Part):
    """Opens the handshake."""

    type: Literal["hello"] = "hello"
    version: Version = WIRE_VERSION
    agent_id: Hex32
    public_key: Hex64
    nonce: Hex64
    software: Software = ""


class Auth(Part):
    """The agent's proof; ``certificate`` is the hash it saw."""

    type: Literal["auth"] = "auth"
    signature: Hex128
    certificate: Hex64


class Clock(Part):
    """Asks for the time. ``t0`` is the agent's monotonic time, stamped right before writing."""

    type: Literal["clock"] = "clock"
    t0: Int


class AckOutcome(StrEnum):
    """What an agent did with a document."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class Ack(Part):
    """A document was judged. ``already_have`` comes with ``accepted``."""

    type: Literal["ack"] = "ack"
    document: DocumentKind
    term: U32 = 0
    seq: Count = 0
    outcome: AckOutcome
    code: Code | None = None
    detail: Detail = ""
    at: Instant


class Status(StatusBody):
    """Health, plan, sound and faults."""


class Records(Part):
    """Play records, oldest first. ``journal`` names the agent's journal; a new one after its disk was lost."""

    type: Literal["records"] = "records"
    journal: Hex32
    records: Annotated[tuple[PlayRecord, ...], Field(min_length=1, max_length=MAX_RECORDS)]


class Event(Part):
    """Something happened that is worth a line: a refusal, a preemption, a fault."""

    type: Literal["event"] = "event"
    code: Code
    detail: Detail = ""
    occurrence_id: Hex64 | None = None
    at: Instant


class ProgressStage(StrEnum):
    """How far an order got."""

    STARTED = "started"
    FINISHED = "finished"  # with a code when it was not heard whole
    REFUSED = "refused"  # accepted, and yet not sounded
    MUTED = "muted"  # this box is mute; nothing of it sounds
    TESTED = "tested"  # a silent test was done; ``checks`` tell what was found


class Check(Part):
    """One thing a silent test looked at."""

    name: Code
    ok: Flag
    detail: Detail = ""


class Progress(Part):
    """What becomes of an order of class 70 and above, told at once.

    ``term`` and ``seq`` name the order; of a live voice the opening of its ``stream``.
    """

    type: Literal["progress"] = "progress"
    term: U32
    seq: Count
    rule_id: Id | None = None
    recurrence: Instant | None = None
    stream: U64 | None = None
    stage: ProgressStage
    at: Instant
    start_error_us: Int | None = None
    code: Code | None = None
    checks: Annotated[tuple[Check, ...], Field(max_length=MAX_CHECKS)] = ()


class Listening(Part):
    """The answer to ``listen``, and told again when the tap ends by itself."""

    type: Literal["listening"] = "listening"
    tap: U32
    on: Flag
    code: Code | None = None
    detail: Detail = ""


class Bye(Part):
    """The agent ends the connection on purpose."""

    type: Literal["bye"] = "bye"
    reason: Detail = ""


# Controller to agent


class Challenge(Part):
    """The controller's proof. ``root_chain`` leads from older roots to ``root_public``, oldest first."""

    type: Literal["challenge"] = "challenge"
    version: Version = WIRE_VERSION
    nonce: Hex64
    key_id: U32
    signature: Hex128
    certificate: Hex64
    root_public: Hex64
    root_chain: Annotated[tuple[Envelope, ...], Field(max_length=MAX_ROOT_CHAIN)] = ()
    key_set: Envelope


class Welcome(Part):
    """The session begins."""

    type: Literal["welcome"] = "welcome"
    session: Hex32
    agent_id: Hex32
    cluster_id: Id | None = None
    timeline: U64
    media_ticket: Short
    heartbeat_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 20


class Refused(Part):
    """The controller, or the agent, will not go on; the connection closes after it."""

    type: Literal["refused"] = "refused"
    code: Code
    detail: Detail = ""


class ClockReply(Part):
    """The answer to ``clock``: media time at arrival and right before writing, and UTC at ``t2``."""

    type: Literal["clock_reply"] = "clock_reply"
    t0: Int
    t1: Int
    t2: Int
    timeline: U64
    utc_us: Count
    utc_quality: UtcQuality


class _Sealed(Part):
    envelope: Envelope


class RootOffer(_Sealed):
    """A successor of the root."""

    type: Literal["root"] = "root"


class KeySetOffer(_Sealed):
    """A key set."""

    type: Literal["key_set"] = "key_set"


class SettingsOffer(_Sealed):
    """Settings."""

    type: Literal["settings"] = "settings"


class PlanOffer(_Sealed):
    """A plan manifest."""

    type: Literal["plan"] = "plan"


class CommandOffer(_Sealed):
    """An order."""

    type: Literal["command"] = "command"


class StreamOpenOffer(_Sealed):
    """A live stream opens, or is extended."""

    type: Literal["stream_open"] = "stream_open"


class StreamClose(Part):
    """Nothing more will come of a stream."""

    type: Literal["stream_close"] = "stream_close"
    stream: U64


class Listen(Part):
    """Send back what the loudspeaker sounds (section 7.1). It makes no sound, so the session's proof is enough.

    ``anyway``: also on a metered link, whose cost somebody has accepted.
    """

    type: Literal["listen"] = "listen"
    tap: U32
    bit_rate: Annotated[int, Field(strict=True, ge=MIN_LISTEN_RATE, le=MAX_LISTEN_RATE)] = 20_000
    seconds: Annotated[int, Field(strict=True, ge=1, le=MAX_LISTEN_S)] = MAX_LISTEN_S
    anyway: Flag = False


class ListenEnd(Part):
    """Nobody listens any more."""

    type: Literal["listen_end"] = "listen_end"
    tap: U32


class RecordsAck(Part):
    """All records of ``journal`` up to ``up_to`` are kept by the controller for good."""

    type: Literal["records_ack"] = "records_ack"
    journal: Hex32
    up_to: Count


class MediaTicket(Part):
    """A fresh ticket for the media connection and for files."""

    type: Literal["media_ticket"] = "media_ticket"
    ticket: Short
    expires_s: Annotated[int, Field(strict=True, ge=1, le=86_400)]


# Enrolment, both directions


class EnrolToken(Part):
    """Agent: a one-time token, sent only to a controller that proved the root the provisioning file names."""

    type: Literal["enrol_token"] = "enrol_token"
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,128}$")]
    signature: Hex128
    certificate: Hex64


class EnrolCommit(Part):
    """Agent: its key, and a commitment to a nonce it keeps to itself for now."""

    type: Literal["enrol_commit"] = "enrol_commit"
    version: Version = WIRE_VERSION
    public_key: Hex64
    commitment: Hex64
    software: Software = ""


class EnrolNonce(Part):
    """Controller: its nonce, its root, its key set, and its proof that it holds an online key of that root."""

    type: Literal["enrol_nonce"] = "enrol_nonce"
    nonce: Hex64
    root_public: Hex64
    key_set: Envelope
    key_id: U32
    signature: Hex128
    certificate: Hex64


class EnrolReveal(Part):
    """Agent: the nonce it committed to, and its proof that it holds its key."""

    type: Literal["enrol_reveal"] = "enrol_reveal"
    nonce: Hex64
    signature: Hex128


class EnrolPending(Part):
    """Controller: eight digits wait for a person."""

    type: Literal["enrol_pending"] = "enrol_pending"


class Enrolled(Part):
    """Controller: approved. The agent pins the root and connects to the control endpoint."""

    type: Literal["enrolled"] = "enrolled"
    cluster_id: Id
    agent_id: Hex32


class Unknown(Part):
    """A message of a later version: to be ignored."""

    type: str


AgentMessage = (
    Hello
    | Auth
    | Clock
    | Ack
    | Status
    | Progress
    | Records
    | Event
    | Listening
    | Bye
    | EnrolToken
    | EnrolCommit
    | EnrolReveal
    | Refused
)
ControllerMessage = (
    Challenge
    | Welcome
    | Refused
    | ClockReply
    | RootOffer
    | KeySetOffer
    | SettingsOffer
    | PlanOffer
    | CommandOffer
    | StreamOpenOffer
    | StreamClose
    | Listen
    | ListenEnd
    | RecordsAck
    | MediaTicket
    | EnrolNonce
    | EnrolPending
    | Enrolled
)
Message = AgentMessage | ControllerMessage | Unknown

_MODELS: Final[dict[str, type[Part]]] = {
    model.model_fields["type"].default: model for model in (*get_args(AgentMessage), *get_args(ControllerMessage))
}
_VERSIONED: Final = frozenset({"hello", "enrol_commit", "challenge"})


def encode(message: Message) -> str:
    """A message as the text of one frame. Fields that are null are left out."""
    return message.model_dump_json(exclude_none=True)


def decode(text: str | bytes, *, max_bytes: int = MAX_TEXT) -> Message:
    """Read the text of one frame.

    Raises:
        WrongVersionError: a hello, an enrolment or a challenge of another version.
        MalformedError: the text breaks the format (``bad_message``, or a code of :mod:`protocol.jsonsafe`).
    """
    value = loads_object(text, max_bytes=max_bytes)
    kind = value.get("type")
    if not isinstance(kind, str):
        raise MalformedError("bad_message", "a message has no type")
    model = _MODELS.get(kind)
    if model is None:
        return Unknown(type=kind[:64])
    if kind in _VERSIONED:
        _check_version(value.get("version"))
    try:
        return model.model_validate(value)  # type: ignore[return-value]
    except ValidationError as error:
        raise MalformedError("bad_message", f"{kind}: {_first_fault(error)}") from None


def _check_version(version: Any) -> None:
    if type(version) is not int or version != WIRE_VERSION:
        said = version if type(version) is int else "no"
        raise WrongVersionError(f"the peer speaks version {said} of the wire; this side speaks {WIRE_VERSION}")


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"

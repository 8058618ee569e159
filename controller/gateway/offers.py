"""A signed envelope as the message that carries it. The envelope says by its payload type what it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from controller.gateway.frames import text_frame
from protocol.documents import PAYLOAD_TYPES, DocumentKind
from protocol.envelope import open_envelope
from protocol.errors import MalformedError
from protocol.messages import (
    CommandOffer,
    KeySetOffer,
    Message,
    PlanOffer,
    SettingsOffer,
    StreamOpenOffer,
    encode,
)

_OFFERS: dict[DocumentKind, Callable[..., Message]] = {
    DocumentKind.KEY_SET: KeySetOffer,
    DocumentKind.SETTINGS: SettingsOffer,
    DocumentKind.PLAN: PlanOffer,
    DocumentKind.COMMAND: CommandOffer,
    DocumentKind.STREAM_OPEN: StreamOpenOffer,
}
_KINDS = {PAYLOAD_TYPES[kind]: kind for kind in _OFFERS}


def kind_of_envelope(envelope: bytes) -> DocumentKind:
    """What an envelope of ours carries. Root successors are not offered, they come with the challenge.

    Raises:
        ProtocolError: it is no envelope, or of no type that is offered.
    """
    payload_type = open_envelope(envelope).payload_type
    kind = _KINDS.get(payload_type)
    if kind is None:
        raise MalformedError("bad_envelope", f"{payload_type} is not offered to agents")
    return kind


@lru_cache(maxsize=64)
def offer(envelope: bytes) -> bytes:
    """The frame that offers an envelope to an agent; the same bytes for every agent.

    Raises:
        ProtocolError: it is no envelope.
    """
    message = _OFFERS[kind_of_envelope(envelope)](envelope=envelope.decode())
    return text_frame(encode(message))

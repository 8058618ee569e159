"""Who may sign what, and when a document counts: the rules of :mod:`protocol.trust` that need no state.

========================  =======================================================
document                  roles that may sign it
========================  =======================================================
settings, plan            plan
play, class 10 to 60      plan
play, class 70            drill
play, class 80 and 90     emergency
stop, release, withdraw,
close                     plan, emergency
silent test               drill
stream, class 10 to 60    live
stream, class 70          none: a drill is never live
stream, class 80 and 90   emergency
anything of class 100     none: STOP is an order, not a sound
========================  =======================================================
"""

from __future__ import annotations

from datetime import datetime

from protocol.documents import Command, PlanManifest, PlayOrder, Settings, SilentTestOrder, StreamOpen
from protocol.errors import TrustError
from protocol.keys import Role, roles_for
from protocol.limits import MAX_SKEW
from schedules.ladder import Priority
from schedules.model import Clip, Recorded

#: Documents that an online key signs.
OnlineDocument = Settings | PlanManifest | Command | StreamOpen


#: Who may order silence. The live key may not: it is the most exposed one, and an emergency must survive its loss.
_SILENCERS = frozenset({Role.PLAN, Role.EMERGENCY})


def roles_of(document: OnlineDocument) -> frozenset[Role]:
    """The roles any of which may sign ``document``."""
    match document:
        case StreamOpen(priority=priority):
            return roles_for(priority, streamed=True)
        case Command(order=PlayOrder(item)):
            return roles_for(item.priority, streamed=False)
        case Command(order=SilentTestOrder()):
            return frozenset({Role.DRILL})
        case Command():
            return _SILENCERS
        case _:
            return frozenset({Role.PLAN})


def span_of(document: OnlineDocument) -> tuple[datetime, datetime]:
    """When a document was issued and when it expires."""
    if isinstance(document, StreamOpen):
        return document.opened, document.not_after
    return document.issued, document.expires


def check_drill(document: OnlineDocument, notices: frozenset[str]) -> None:
    """Require that a drill says what it is: its first and its last sound are notices of the signed settings.

    A live voice cannot be made to say so, therefore no stream is a drill.

    Raises:
        TrustError: ``drill_unmarked``.
    """
    if not isinstance(document, Command | StreamOpen) or document.priority is not Priority.DRILL:
        return
    order = document.order if isinstance(document, Command) else None
    content = order.item.content if isinstance(order, PlayOrder) else None
    ends = (content.pieces[0], content.pieces[-1]) if isinstance(content, Recorded) else ()
    if not ends or any(not isinstance(piece, Clip) or piece.sha256 not in notices for piece in ends):
        why = "a drill must begin and end with the drill notice of this agent's signed settings"
        raise TrustError("drill_unmarked", why)


def check_time(issued: datetime, expires: datetime, now: datetime | None) -> None:
    """Require that ``now``, where it is known, lies within a document's life.

    Raises:
        TrustError: ``expired`` or ``not_yet_valid``.
    """
    if now is None:
        return
    if now >= expires:
        raise TrustError("expired", f"expired at {expires.isoformat()}")
    if issued > now + MAX_SKEW:
        raise TrustError("not_yet_valid", f"issued at {issued.isoformat()}, which has not come yet")


def check_without_time(document: OnlineDocument) -> None:
    """What may be believed by an agent that does not know the time: no sound below class 80.

    Raises:
        TrustError: ``time_untrusted``.
    """
    sounding = document.priority if isinstance(document, Command | StreamOpen) else None
    if sounding is not None and sounding < Priority.EMERGENCY_STORED:
        raise TrustError("time_untrusted", "no trusted time to tell whether this is fresh")

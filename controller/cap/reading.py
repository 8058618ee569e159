"""From bytes to alerts: strict first, lenient with a flag, quarantine, refusal.

Rules kept here:

1. A mandatory element of the alert itself that is absent, empty, unreadable or said twice differently refuses that
   alert (``missing_…``, ``bad_sent``, ``ambiguous_…``). The other alerts of the document are not touched by it.
2. A mandatory element of an info block that is absent or empty quarantines the alert: it is shown, and a machine
   never acts on it. So does an Update, Cancel, Ack or Error that names no alert, and an envelope (EDXL) that says it
   is not actual.
3. Every other departure from the version's schema is a flag. ``Reading.flags`` are stable codes, ``Reading.faults``
   say where and in words.
4. What is read is what was signed: when a signature is intact, the alert is taken from the bytes it covers
   (:mod:`controller.cap.signatures`).

Whole documents are refused by :class:`CapError` (:mod:`controller.cap.document`). Not here: what to do with an alert
(:mod:`controller.cap.disposition`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.x509 import Certificate

from controller.cap.alert import CapAlert
from controller.cap.blocks import read_info, read_references
from controller.cap.document import FoundAlert, find_alerts
from controller.cap.elements import BlockReader, snake
from controller.cap.faults import Fault, FaultList
from controller.cap.life import all_expired
from controller.cap.schema import SCHEMAS
from controller.cap.signatures import Verdict, judge

_NEED_REFERENCES = frozenset({"Update", "Cancel", "Ack", "Error"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one alert in a document."""

    #: None when it is refused.
    alert: CapAlert | None
    #: ``ok``, or why it is refused.
    code: str
    #: The same for people; empty when ok.
    reason: str = ""
    faults: tuple[Fault, ...] = ()
    flags: tuple[str, ...] = ()
    #: A machine must not act on it.
    quarantine: bool = False
    signature: Verdict = Verdict.NONE
    #: SHA-256 (hex) of the trusted certificate that vouches for a valid signature.
    certificate: str | None = None
    #: Identifier, sender and so on as written, also of an alert that is refused.
    remains: dict[str, str | None] = field(default_factory=dict, compare=False)

    @property
    def ok(self) -> bool:
        """Whether there is an alert with its version's mandatory elements."""
        return self.alert is not None


def read_alerts(data: bytes, *, now: datetime, trust: Sequence[Certificate] = ()) -> tuple[Reading, ...]:
    """Every alert in a document, in its order.

    Args:
        data: the document as it came.
        now: for the validity of certificates and the ``expired`` flag.
        trust: certificates of senders, or of authorities that issue them; a signature is valid only by one of them.

    Raises:
        CapError: the document as a whole cannot be read (see :func:`controller.cap.document.find_alerts`).
    """
    return tuple(_read(found, now, trust) for found in find_alerts(data))


def _read(found: FoundAlert, now: datetime, trust: Sequence[Certificate]) -> Reading:
    judgement = judge(found.element, now=now, trust=trust)
    faults = FaultList()
    for flag in found.flags:
        faults.add(flag, "document", _HOW_FOUND.get(flag, flag), quarantine=flag == "envelope_not_actual")
    for flag, detail in judgement.flags:
        faults.add(flag, "signature", detail)
    if found.version != "1.2" and judgement.verdict is not Verdict.NONE:
        faults.add("signature_not_in_version", "signature", f"CAP {found.version} has no place for a signature")
    block = BlockReader(judgement.content, SCHEMAS[found.version].alert, "alert", faults)
    sent, sent_text = block.time("sent")
    refusal = _refusal(block)
    if refusal is None and sent is None:
        refusal = ("bad_sent", "the time it was sent cannot be read")
    alert = None
    if refusal is None and sent is not None:
        alert = _alert(block, found, (sent, sent_text or ""), faults)
        _check_sense(alert, block)
        if alert.infos and all_expired(alert, now):
            said = any(info.expires for info in alert.infos)
            faults.add(
                *(("expired", "alert", "it is over") if said else ("stale", "alert", "it is old and names no end"))
            )
    code, reason = refusal or ("ok", "")
    return Reading(
        alert,
        code,
        reason,
        faults=tuple(faults.faults),
        flags=faults.flags,
        quarantine=faults.quarantine,
        signature=judgement.verdict,
        certificate=judgement.certificate,
        remains=_remains(block, sent_text),
    )


def _refusal(block: BlockReader) -> tuple[str, str] | None:
    required = {"identifier", "sender", "sent", "status", "msgType", "scope"}
    if block.missing:
        name = block.missing[0]
        return f"missing_{snake(name)}", f"the alert has no <{name}>, which every alert must have"
    doubtful = [name for name in block.ambiguous if name in required]
    if doubtful:
        return f"ambiguous_{snake(doubtful[0])}", f"the alert says <{doubtful[0]}> twice, and not the same"
    return None


def _alert(block: BlockReader, found: FoundAlert, sent: tuple[datetime, str], faults: FaultList) -> CapAlert:
    schema = SCHEMAS[found.version]
    references_text = block.text("references")
    return CapAlert(
        identifier=block.text("identifier") or "",
        sender=block.text("sender") or "",
        sent=sent[0],
        status=block.text("status") or "",
        msg_type=block.text("msgType") or "",
        scope=block.text("scope"),
        source=block.text("source") or "",
        restriction=block.text("restriction") or "",
        addresses=block.text("addresses") or "",
        codes=block.texts("code"),
        note=block.text("note") or "",
        references=read_references(references_text or "", block),
        incidents=block.text("incidents") or "",
        infos=tuple(
            read_info(element, schema, f"info {number}", faults)
            for number, element in enumerate(block.blocks("info"), start=1)
        ),
        version=found.version,
        sent_text=sent[1],
        references_text=references_text,
    )


def _check_sense(alert: CapAlert, block: BlockReader) -> None:
    """What no schema says: words and elements that only make sense together."""
    for name, value in (("identifier", alert.identifier), ("sender", alert.sender)):
        if any(letter in " ,<&" or letter.isspace() for letter in value):
            block.fault(f"bad_{name}", f"<{name}> has blanks, commas or markup, so no reference can name it")
    if alert.msg_type in _NEED_REFERENCES and not alert.references:
        block.fault("references_missing", f"{alert.msg_type} names no alert it is about", quarantine=True)
    elif alert.references_text == "":
        block.fault("references_empty", "<references> is empty")
    if alert.scope == "Restricted" and not alert.restriction:
        block.fault("restriction_missing", "it is restricted and does not say how")
    if alert.scope == "Private" and not alert.addresses:
        block.fault("addresses_missing", "it is private and names nobody")
    if not alert.infos:
        block.fault("no_info", "it has no info block")


def _remains(block: BlockReader, sent_text: str | None) -> dict[str, str | None]:
    names = ("identifier", "sender", "status", "msgType", "scope", "references")
    return {snake(name): block.text(name) for name in names} | {"sent": sent_text}


_HOW_FOUND = {
    "namespace_missing": "it has no namespace; read as CAP 1.2",
    "namespace_unknown": "its namespace is not one of CAP's",
    "wrapped_edxl": "it came in an EDXL distribution",
    "envelope_not_actual": "its envelope says that it is not actual, whatever it says itself",
    "wrapped_atom": "it came in an Atom feed",
    "wrapped_rss": "it came in an RSS feed",
    "wrapped": "it came wrapped in something else",
    "alert_as_text": "it came as text inside another document",
    "encoding_guessed": "its bytes are not in the encoding it says; read as Windows-1252",
}

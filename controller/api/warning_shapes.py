"""Shapes of warnings and their sources, as the API takes and gives them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from cryptography import x509
from pydantic import Field, StringConstraints

from controller.api.schema import LINE, PROSE, Id, Line, Patch, Reason, Schema
from controller.feeds.addresses import MAX_URL
from controller.services.warnings import SourceEntry, SourceHealth, TokenEntry, WarningEntry, WarningPolicy, fingerprint
from controller.services.warnings.polling import PollState
from controller.services.warnings.source_checks import INTERVAL_RANGE, MAX_CERTIFICATES, MAX_GEOCODES, MAX_TEMPLATES

Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL)]
Pem = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=LINE)]
Interval = Annotated[int, Field(ge=INTERVAL_RANGE[0], le=INTERVAL_RANGE[1], description="Seconds between two looks")]


class Geocode(Schema):
    """A code of the sender, and our areas that it means."""

    name: _Words = Field(description="valueName, for example XA or UGC; * for any")
    value: _Words
    areas: tuple[Id, ...] = Field(min_length=1, max_length=100)


Geocodes = Annotated[tuple[Geocode, ...], Field(max_length=MAX_GEOCODES)]
Templates = Annotated[
    dict[_Words, Id], Field(max_length=MAX_TEMPLATES, description="Event or event code -> emergency template")
]
Pems = Annotated[tuple[Pem, ...], Field(max_length=MAX_CERTIFICATES)]


class NewWarningSource(Schema):
    """A source to add."""

    name: Line
    area_id: Id = Field(description="It speaks for this area and everything below it")
    kind: Literal["push", "poll"] = "push"
    url: Address | None = Field(None, description="Of the feed, for kind poll: Atom, RSS, EDXL or CAP")
    interval_s: Interval = 120
    certificates: Pems = Field((), description="PEM: what XML signatures must lead to, to be valid")
    client_certificates: Pems = Field((), description="PEM: who may push by mutual TLS")
    policy: WarningPolicy = Field(default_factory=WarningPolicy)
    geocodes: Geocodes = ()
    templates: Templates = Field(default_factory=dict)
    enabled: bool = True


class WarningSourceChange(Patch):
    """What to change; what is not named stays."""

    name: Line | None = None
    area_id: Id | None = None
    url: Address | None = None
    interval_s: Interval | None = None
    certificates: Pems | None = None
    client_certificates: Pems | None = None
    policy: WarningPolicy | None = None
    geocodes: Geocodes | None = None
    templates: Templates | None = None
    enabled: bool | None = None
    restore: bool | None = Field(None, description="true: give a demoted source its automatic way back")


class CertificateView(Schema):
    """A certificate."""

    fingerprint: str = Field(description="SHA-256 of its DER, hex")
    subject: str
    not_after: datetime

    @classmethod
    def of(cls, pem: str) -> CertificateView:
        """The view of a certificate."""
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return cls(
            fingerprint=fingerprint(pem),
            subject=certificate.subject.rfc4514_string()[:300],
            not_after=certificate.not_valid_after_utc,
        )


class PushTokenView(Schema):
    """A push token, without the token."""

    id: str
    label: str
    created_by: str
    created_at: datetime


class PollView(Schema):
    """Where a feed stands."""

    next_at: datetime
    tried_at: datetime | None
    succeeded_at: datetime | None
    failures: int = Field(description="In a row")
    code: str
    detail: str


class ArrivalView(Schema):
    """How warnings have been arriving since the controller started."""

    received: int
    duplicates: int
    refused: int
    last_received: datetime | None
    fault_code: str
    fault_detail: str
    fault_at: datetime | None


class WarningSourceView(Schema):
    """A source."""

    id: str
    name: str
    area_id: str
    kind: str
    url: str | None
    interval_s: int
    certificates: tuple[CertificateView, ...]
    client_certificates: tuple[CertificateView, ...]
    policy: WarningPolicy
    geocodes: tuple[Geocode, ...]
    templates: dict[str, str]
    enabled: bool
    demoted_at: datetime | None = Field(description="Since then nothing of it is automatic")
    demoted_why: str
    tokens: tuple[PushTokenView, ...]
    poll: PollView | None
    arrivals: ArrivalView
    created_by: str
    created_at: datetime

    @classmethod
    def of(
        cls,
        entry: SourceEntry,
        *,
        url: str | None,
        tokens: Sequence[TokenEntry],
        poll: PollState | None,
        health: SourceHealth | None,
    ) -> WarningSourceView:
        """The view of a source."""
        plain = ("id", "name", "area_id", "interval_s", "policy", "enabled", "demoted_at", "demoted_why",
                 "created_by", "created_at")  # fmt: skip
        return cls(
            **{name: getattr(entry, name) for name in plain},
            kind=entry.kind.value,
            url=url,
            certificates=tuple(CertificateView.of(pem) for pem in entry.certificates),
            client_certificates=tuple(CertificateView.of(pem) for pem in entry.client_certificates),
            geocodes=tuple(Geocode(name=row.name, value=row.value, areas=row.areas) for row in entry.geocodes),
            templates=dict(entry.templates),
            tokens=tuple(PushTokenView.model_validate(token) for token in tokens),
            poll=None if poll is None else PollView.model_validate(poll),
            arrivals=ArrivalView.model_validate(health or SourceHealth()),
        )


class NewPushToken(Schema):
    """A push token to make."""

    label: Line


class PushTokenMade(Schema):
    """A fresh push token; shown this once."""

    token: str
    id: str
    label: str


class WordsView(Schema):
    """What is said in one language."""

    language: str
    text: str


class ProposalView(Schema):
    """What a warning asks for, filled in."""

    kind: str = Field(description="alert, or cancel of one of ours")
    title: str
    category: str
    template: str | None
    words: tuple[WordsView, ...]
    communes: tuple[str, ...]
    spoken: tuple[str, ...] = Field(description="Languages the warning has")
    lacking: dict[str, tuple[str, ...]] = Field(description="Clusters that would not hear all their languages")
    outside: int = Field(description="Clusters it names for which the source does not speak")
    unplaced: tuple[str, ...] = Field(description="Its areas that are nowhere of ours")
    expires: datetime | None
    two_hourly: bool
    replaces: tuple[str, ...] = Field(description="Alerts of ours that it takes the place of, or cancels")


class WarningLine(Schema):
    """A warning in a list."""

    id: str
    source_id: str
    source: str | None
    sender: str
    identifier: str
    sent_at: datetime
    status: str
    msg_type: str
    scope: str
    event: str
    headline: str
    severity: str
    urgency: str
    certainty: str
    languages: tuple[str, ...]
    expires: datetime | None
    signature: str
    quarantine: bool
    flags: tuple[str, ...]
    state: str = Field(description="received, shown, proposed, accepted, declined, issued, cancelled or expired")
    reasons: tuple[str, ...] = Field(description="Codes: what kept it from more")
    reached: int = Field(description="Clusters of ours that it reaches")
    rule: str
    alert_id: str | None
    superseded_by: str | None
    reason: str
    decided_by: str | None
    decided_at: datetime | None
    received_at: datetime
    via: str


class WarningView(WarningLine):
    """A warning with everything."""

    clusters: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    reading: dict[str, Any] = Field(
        description="As cap check shows it; long figures are cut, the document has them whole"
    )
    proposal: ProposalView | None


class WarningPage(Schema):
    """Warnings, newest first."""

    items: tuple[WarningLine, ...]
    next: int | None = Field(description="Give it as 'before' to go on; null at the end")


class ChosenWords(Schema):
    """Words in one language that a person puts in place of the warning's."""

    language: Annotated[
        str, StringConstraints(min_length=2, max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")
    ]
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000, pattern=PROSE)]


class Acceptance(Schema):
    """What to change of the proposal; nothing = as it was filled in."""

    title: Line | None = None
    template: Id | None = None
    words: tuple[ChosenWords, ...] | None = Field(None, min_length=1, max_length=8)
    areas: tuple[Id, ...] | None = Field(None, min_length=1, max_length=500)
    clusters: tuple[Id, ...] | None = Field(None, min_length=1, max_length=5_000)
    zones: tuple[Id, ...] | None = Field(None, min_length=1, max_length=200)
    again: bool = Field(default=False, description="It is meant to sound again, though the same sounded a moment ago")


class AcceptedView(Schema):
    """What accepting gave."""

    alert_id: str
    code: str | None = Field(description="What the second person needs to confirm; null when an alert was cancelled")
    warning: WarningView


class Refusal(Schema):
    """Why a warning is declined."""

    reason: Reason


class PushResult(Schema):
    """What became of one alert of a pushed document."""

    code: str = Field(description="received, duplicate, duplicate_differs, or why it was refused")
    id: str | None
    sender: str
    identifier: str
    detail: str


class PushAnswer(Schema):
    """What became of a pushed document."""

    source_id: str
    results: tuple[PushResult, ...]


def line_of(entry: WarningEntry, source: str | None) -> dict[str, Any]:
    """The fields of a line."""
    own = set(WarningLine.model_fields) - {"source", "reached", "state"}
    said = {name: getattr(entry, name) for name in own}
    return {**said, "source": source, "reached": len(entry.clusters), "state": entry.state.value}


def view_of(entry: WarningEntry, source: str | None) -> WarningView:
    """A warning with everything."""
    return WarningView(
        **line_of(entry, source),
        clusters=entry.clusters,
        references=entry.references,
        reading=dict(entry.reading),
        proposal=_proposal(entry),
    )


def _proposal(entry: WarningEntry) -> ProposalView | None:
    if not entry.proposal:
        return None
    return ProposalView.model_validate({name: entry.proposal[name] for name in ProposalView.model_fields})

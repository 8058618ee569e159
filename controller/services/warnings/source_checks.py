"""What a person says about a warning source, and whether it makes sense. No memory, no database.

Rules kept here: an address is one that may be fetched from, and only a polled source has one; certificates are whole
and each there once; geocodes name areas that exist; every list is bounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from yarl import URL

from controller.feeds import AddressPolicy, FeedRefusedError
from controller.services.errors import FieldProblem
from controller.services.warnings.model import GeocodeRow, SourceEntry, SourceKind
from controller.services.warnings.policy import WarningPolicy

#: Certificates of one source, lines of its tables.
MAX_CERTIFICATES, MAX_GEOCODES, MAX_TEMPLATES = 20, 5_000, 200
#: Seconds between two looks at a feed.
INTERVAL_RANGE = (30, 3_600)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Everything a person says about a source."""

    name: str
    area_id: str
    kind: SourceKind = SourceKind.PUSH
    url: str | None = None
    interval_s: int = 120
    certificates: tuple[str, ...] = ()
    client_certificates: tuple[str, ...] = ()
    policy: WarningPolicy = field(default_factory=WarningPolicy)
    geocodes: tuple[GeocodeRow, ...] = ()
    templates: Mapping[str, str] | None = None
    enabled: bool = True

    @classmethod
    def of(cls, entry: SourceEntry) -> SourceSpec:
        """What was said about an existing source."""
        return cls(**{name: getattr(entry, name) for name in cls.__dataclass_fields__})

    def columns(self) -> dict[str, Any]:
        """The columns of :class:`controller.store.warning_tables.WarningSource` that hold it."""
        return {
            "name": self.name,
            "area_id": self.area_id,
            "kind": self.kind.value,
            "url": self.url,
            "interval_s": self.interval_s,
            "certificates": list(self.certificates),
            "client_certificates": list(self.client_certificates),
            "policy": self.policy.model_dump(mode="json"),
            "geocodes": [{"name": row.name, "value": row.value, "areas": list(row.areas)} for row in self.geocodes],
            "templates": dict(self.templates or {}),
            "enabled": self.enabled,
        }


def address_problems(spec: SourceSpec, policy: AddressPolicy) -> list[FieldProblem]:
    """What is wrong with where a source is, if anything."""
    low, high = INTERVAL_RANGE
    if not low <= spec.interval_s <= high:
        return [FieldProblem("interval_s", f"{low} to {high} seconds")]
    if spec.kind is SourceKind.PUSH:
        return [] if spec.url is None else [FieldProblem("url", "a source that pushes has no address of a feed")]
    if spec.url is None:
        return [FieldProblem("url", "a source that is polled needs the address of its feed", "required")]
    try:
        policy.check(spec.url)
    except FeedRefusedError as error:
        return [FieldProblem("url", str(error), error.code)]
    return []


def table_problems(spec: SourceSpec, areas: Collection[str]) -> list[FieldProblem]:
    """What is wrong with a source's tables, if anything. ``areas``: those that exist."""
    problems = []
    if len(spec.geocodes) > MAX_GEOCODES:
        problems.append(FieldProblem("geocodes", f"at most {MAX_GEOCODES}"))
    if len(spec.templates or {}) > MAX_TEMPLATES:
        problems.append(FieldProblem("templates", f"at most {MAX_TEMPLATES}"))
    for index, row in enumerate(spec.geocodes[:MAX_GEOCODES]):
        missing = [area for area in row.areas if area not in areas]
        if missing:
            problems.append(FieldProblem(f"geocodes.{index}", f"there is no area {missing[0]!r}", "area_not_found"))
    return problems


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate's DER, in hex."""
    return hashlib.sha256(der_of(pem)).hexdigest()


def der_of(pem: str) -> bytes:
    """A certificate's very bytes."""
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def read_certificates(field: str, texts: Sequence[str]) -> tuple[tuple[str, ...], list[FieldProblem]]:
    """Each certificate of these texts (a file may hold several), once, as PEM."""
    found: dict[str, None] = {}
    for index, text in enumerate(texts):
        try:
            loaded = x509.load_pem_x509_certificates(text.encode())
        except ValueError:
            return (), [FieldProblem(f"{field}.{index}", "this is not a certificate in PEM form", "bad_certificate")]
        found.update((one.public_bytes(Encoding.PEM).decode(), None) for one in loaded)
    if len(found) > MAX_CERTIFICATES:
        return (), [FieldProblem(field, f"at most {MAX_CERTIFICATES}")]
    return tuple(found), []


def audited(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as the audit log keeps them: certificates by fingerprint, addresses without passwords."""
    return {
        **columns,
        "url": None if columns["url"] is None else public_address(columns["url"]),
        "certificates": [fingerprint(pem) for pem in columns["certificates"]],
        "client_certificates": [fingerprint(pem) for pem in columns["client_certificates"]],
    }


def public_address(url: str) -> str:
    """An address without name and password."""
    return str(URL(url).with_user(None))

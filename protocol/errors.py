"""What can be wrong with what a peer sent, as one tree.

::

    ProtocolError                anything this package refuses
    ├── MalformedError           bytes that break a format: JSON, a document's fields, a message, a bundle
    │   └── WrongVersionError    a peer that speaks another version of the wire
    ├── ClockError               a time exchange that cannot be, or time asked of a clock that follows nothing
    └── RefusedError             well formed, but not believed
        ├── TrustError           a signed document or bundle that does not verify, is old, or is for another
        │   └── AlreadyHaveError the very document that was accepted last (an offer repeated after a reconnect)
        ├── HandshakeError       a peer that is not who it says, or a link that ends somewhere else
        └── EnrolmentError       an enrolment that broke its own commitment or came out of order

Rules kept here:

1. Whatever a peer sends, the only exceptions that leave this package are these.
2. ``code`` is stable and listed in PROTOCOL.md, section 11; ``detail`` is for people and may change.
3. A detail never repeats more than a little of what the peer sent.
"""

from __future__ import annotations

from typing import Any

_LONGEST_DETAIL = 300


class ProtocolError(Exception):
    """Something a peer sent was refused.

    Attributes:
        code: stable name of the reason, snake_case.
        detail: one sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail[:_LONGEST_DETAIL]
        super().__init__(f"{code}: {self.detail}")


class MalformedError(ProtocolError):
    """The bytes break their format."""


class WrongVersionError(MalformedError):
    """The peer speaks another version of the wire. Its code is always ``wrong_version``."""

    def __init__(self, detail: str) -> None:
        super().__init__("wrong_version", detail)


class ClockError(ProtocolError):
    """A time exchange that cannot be, or time asked of a clock that follows nothing yet."""


class RefusedError(ProtocolError):
    """Well formed, but not believed."""


class TrustError(RefusedError):
    """A signed document or bundle that must not be acted on."""


class AlreadyHaveError(TrustError):
    """The document offered is, byte for byte, the one accepted last.

    Nothing is to be done and nothing is wrong: a controller offers again after a reconnect.

    Attributes:
        document: the document, verified.
    """

    def __init__(self, detail: str, document: Any) -> None:
        super().__init__("already_have", detail)
        self.document = document


class HandshakeError(RefusedError):
    """The peer did not prove who it is, or the link does not end where the peer says."""


class EnrolmentError(RefusedError):
    """An enrolment that cannot be trusted or came out of order."""

"""What goes wrong between a radio station and the controller.

* FeedError
    * FeedRefusedError    -- our rule says no (address, scheme, too many redirects): trying again will not help
    * FeedContentError    -- the station answered, but not with sound that can be relayed
    * FeedLostError       -- no connection, a time-out, a broken stream: worth another try
        * FeedBusyError   -- the server asks to be left alone for a while

Every error has a stable ``code`` that reaches the health page and the audit log.
"""

from __future__ import annotations

from datetime import timedelta


class FeedError(Exception):
    """Something about a live source is wrong. ``code`` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FeedRefusedError(FeedError):
    """The address is not one the controller may fetch from."""


class FeedContentError(FeedError):
    """What came back is not a stream of sound."""


class FeedLostError(FeedError):
    """The source cannot be reached, or it stopped sending."""


class FeedBusyError(FeedLostError):
    """The server asks for patience. ``retry_after``: how much, None when it does not say."""

    def __init__(self, code: str, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after

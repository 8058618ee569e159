"""The gate a live stream passes: one for each stream that was opened.

Rules kept here:

1. No open, no sound: a gate is made from a verified :class:`~protocol.documents.StreamOpen`
   (:meth:`protocol.trust.TrustedState.gate`) and lets through that stream, timeline and key alone.
2. ``seq`` rises strictly, and moves only after the signature was checked, so that forged bundles cannot move it.
3. Cheap checks come first; a bundle that fails one costs no signature.
4. After ``not_after``, nothing passes.
"""

from __future__ import annotations

from datetime import datetime

from protocol.bundle import DOMAIN, Bundle, unpack
from protocol.documents import StreamOpen
from protocol.errors import TrustError
from protocol.keys import SIGNATURE_BYTES, OnlineKey, verifies


class BundleGate:
    """Judges the bundles of one stream."""

    __slots__ = ("_key", "_last", "_opened")

    def __init__(self, opened: StreamOpen, key: OnlineKey) -> None:
        """For the makers in :mod:`protocol.trust`; ``key`` was checked to be allowed the stream's class."""
        self._opened = opened
        self._key = key
        self._last = -1

    @property
    def opened(self) -> StreamOpen:
        """The opening in force."""
        return self._opened

    def extend(self, opened: StreamOpen) -> None:
        """Take a later opening of the same stream, already verified; ``seq`` goes on from where it was.

        Raises:
            TrustError: ``wrong_stream``: it changes the stream, its timeline, class or key.
        """
        before = self._opened
        same = (before.stream, before.timeline, before.priority, before.key_id)
        if (opened.stream, opened.timeline, opened.priority, opened.key_id) != same:
            raise TrustError("wrong_stream", "an extension may change the end and the targets only")
        self._opened = opened

    def accept(self, data: bytes, *, now: datetime | None) -> Bundle:
        """Judge one bundle.

        Args:
            data: the binary frame.
            now: trusted wall time; None when there is none, and then the end of the stream's life is not judged.

        Raises:
            MalformedError: the frame breaks the format.
            TrustError: ``wrong_stream``, ``wrong_timeline``, ``unknown_key``, ``expired``, ``replayed`` or
                ``bad_signature``.
        """
        bundle = unpack(data)
        opened = self._opened
        if bundle.stream != opened.stream:
            raise TrustError("wrong_stream", "a bundle of another stream")
        if bundle.timeline != opened.timeline:
            raise TrustError("wrong_timeline", "a bundle of another timeline")
        if bundle.key_id != opened.key_id:
            raise TrustError("unknown_key", "signed with another key than the stream was opened for")
        if now is not None and now >= opened.not_after:
            raise TrustError("expired", "the stream's time is over")
        if bundle.seq <= self._last:
            raise TrustError("replayed", f"bundle {bundle.seq} does not follow {self._last}")
        if not verifies(self._key.public, data[-SIGNATURE_BYTES:], DOMAIN + data[:-SIGNATURE_BYTES]):
            raise TrustError("bad_signature", "the bundle's signature does not verify")
        self._last = bundle.seq
        return bundle

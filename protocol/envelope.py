"""Sealing and opening: DSSE envelopes as JSON, signed with Ed25519.

Rules kept here:

1. What is signed is DSSE's pre-authentication encoding of payload type and payload, so a document of one type never
   passes for another, and no envelope passes for a live bundle or a handshake.
2. An envelope is checked for size and shape before its signatures are; how many signatures there must be is known
   beforehand, and any other number is refused.
3. A signature names its key by the full fingerprint.

Not here: whom to believe (:mod:`protocol.trust`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer._key import Key
from securesystemslib.signer._signature import Signature
from securesystemslib.signer._signer import Signer

from protocol.errors import MalformedError, TrustError
from protocol.jsonsafe import dumps, loads_object
from protocol.keys import SIGNATURE_BYTES, SigningKey, fingerprint, verifies
from protocol.limits import MAX_BODY, MAX_ENVELOPE

_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST_TYPE = 100


class _PublicKey(Key):
    """An Ed25519 public key as DSSE wants to see it."""

    def __init__(self, public: bytes) -> None:
        super().__init__(fingerprint(public), "ed25519", "ed25519", {"public": public.hex()})
        self._public = public

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> NoReturn:
        raise NotImplementedError("keys come from a key set, never from a document")

    def to_dict(self) -> dict[str, Any]:
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        if not verifies(self._public, bytes.fromhex(signature.signature), data):
            raise UnverifiedSignatureError(f"not the signature of {self.keyid}")


class _Sealer(Signer):
    """A private key as DSSE wants to see it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @classmethod
    def from_priv_key_uri(cls, *_: Any, **__: Any) -> NoReturn:
        raise NotImplementedError("keys come from the controller's vault")

    @property
    def public_key(self) -> Key:
        return _PublicKey(self._key.public)

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._key.fingerprint, self._key.sign(payload).hex())


def seal(payload_type: str, body: bytes, *keys: SigningKey) -> bytes:
    """Sign ``body`` as a document of one type.

    Args:
        payload_type: one of the types of :mod:`protocol.documents`.
        body: the document's bytes, at most :data:`~protocol.limits.MAX_BODY`.
        keys: usually one; a root's successor is signed by both roots.

    Returns:
        The envelope as JSON.

    Raises:
        MalformedError: ``too_large``: agents would refuse it.
    """
    if len(body) > MAX_BODY:
        raise MalformedError("too_large", f"a document of {len(body)} bytes; {MAX_BODY} are allowed")
    envelope = Envelope(body, payload_type, {})
    for key in keys:
        envelope.sign(_Sealer(key))
    return dumps(envelope.to_dict())


def open_envelope(data: bytes | str, *, signatures: int = 1) -> Envelope:
    """Parse an envelope; nothing is verified yet.

    Args:
        data: the envelope as JSON.
        signatures: how many it must carry.

    Raises:
        MalformedError: it is too large, not JSON, or not an envelope.
        TrustError: ``unsigned``, or ``too_many_signatures``.
    """
    return _opened(data, signatures) if len(data) <= _SHARED_BYTES else _parsed(data, signatures)


def _parsed(data: bytes | str, signatures: int) -> Envelope:
    value = loads_object(data, max_bytes=MAX_ENVELOPE, max_depth=4)
    payload_type, listed = value.get("payloadType"), value.get("signatures")
    if not isinstance(payload_type, str) or not 0 < len(payload_type) <= _LONGEST_TYPE or not payload_type.isascii():
        raise MalformedError("bad_envelope", "payloadType is missing or odd")
    payload = _unbase64(value.get("payload"), "payload")
    if not isinstance(listed, list):
        raise MalformedError("bad_envelope", "signatures must be a list")
    if len(listed) < signatures:
        raise TrustError("unsigned", f"{len(listed)} signatures where {signatures} are needed")
    if len(listed) > signatures:
        raise TrustError("too_many_signatures", f"{len(listed)} signatures where {signatures} are needed")
    parsed = [_signature(each) for each in listed]
    found = {each.keyid: each for each in parsed}
    if len(found) != len(parsed):
        raise MalformedError("bad_envelope", "two signatures of one key")
    return Envelope(payload, payload_type, found)


#: Agents of one process are told the same order at once. The same bytes parse to the same envelope, so the parsing is
#: done once (as is the check of the signature, :func:`~protocol.keys.verifies`); what an order may do, every agent
#: judges by itself. An order to thousands is some dozens of envelopes.
_SHARED_BYTES = 16_384
_opened = lru_cache(maxsize=64)(_parsed)


def check_signatures(envelope: Envelope, publics: Sequence[bytes]) -> None:
    """Require a valid signature of every key in ``publics``, and of no other.

    Raises:
        TrustError: ``unknown_key`` when a signature names another key, ``bad_signature`` when one does not verify.
    """
    if {fingerprint(public) for public in publics} != set(envelope.signatures):
        raise TrustError("unknown_key", "signed with a key that is not known for this")
    for public in publics:
        check_signature(envelope, public)


def check_signature(envelope: Envelope, public: bytes) -> None:
    """Require a valid signature of one key, whatever else is signed.

    Raises:
        TrustError: ``bad_signature``.
    """
    try:
        envelope.verify([_PublicKey(public)], threshold=1)
    except VerificationError:
        raise TrustError("bad_signature", "the signature does not verify") from None


def _signature(value: Any) -> Signature:
    if not isinstance(value, dict):
        raise MalformedError("bad_envelope", "a signature must be an object")
    name = value.get("keyid")
    if not isinstance(name, str) or not _FINGERPRINT.match(name):
        raise MalformedError("bad_envelope", "keyid must be a key's fingerprint")
    signature = _unbase64(value.get("sig"), "sig")
    if len(signature) != SIGNATURE_BYTES:
        raise TrustError("bad_signature", "an Ed25519 signature has 64 bytes")
    return Signature(name, signature.hex())


def _unbase64(value: Any, name: str) -> bytes:
    if not isinstance(value, str):
        raise MalformedError("bad_envelope", f"{name} must be base64 text")
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("bad_envelope", f"{name} is not base64") from None
    if base64.b64encode(decoded).decode() != value:
        raise MalformedError("bad_envelope", f"{name} is not canonical base64")
    return decoded

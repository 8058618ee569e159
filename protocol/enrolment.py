"""How a new agent comes to know its controller, and the controller its agent. Sans-IO, two routes.

Provisioning file (a card prepared beforehand)::

    agent                                     controller
    hello(agent_id, public_key, nonce)  ->
                                        <-    challenge(…)                    as in a handshake
    enrol_token(token, signature)       ->                                    only to the root the file names
                                        <-    enrolled(cluster_id, agent_id)  or refused(code)

Eight digits (a technician on site)::

    enrol_commit(public_key, H(nonce))  ->
                                        <-    enrol_nonce(nonce, root, key set, signature)
    enrol_reveal(nonce, signature)      ->
                                        <-    enrol_pending
              both show the digits; a person compares and approves
                                        <-    enrolled(cluster_id, agent_id)

Rules kept here:

1. A token leaves the agent only after the controller proved, over this very TLS connection, the root that the
   provisioning file names; a rogue that answers mDNS learns nothing.
2. Of the digits nobody can choose any: the agent is bound by its commitment before it sees the controller's nonce,
   and the controller's nonce is out before the agent's is revealed. A machine in the middle has one chance in 10^8.
3. Approving at the desk protects the controller; what protects the agent is :meth:`AgentCode.confirm`, by the person
   who stands at it. The two may come in either order. An agent that was told to do without (``confirmed=True``)
   trusts whoever answers first.
4. What was learnt is pinned by the caller, once, from :class:`Pinned`.

The controller's side of the provisioning route is :meth:`protocol.handshake.ControllerHandshake.on_token`.

Not here: how often one may try (the gateway), who may approve (the controller's services).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from protocol.errors import EnrolmentError, TrustError
from protocol.fields import Fields
from protocol.handshake import AgentHandshake, Peer
from protocol.jsonsafe import dumps, loads_object
from protocol.keys import SigningKey, agent_id_of, fingerprint, verifies
from protocol.link import NONCE_BYTES, code_digits, commitment, nonce_words, reveal_words, token_words
from protocol.messages import (
    Challenge,
    EnrolCommit,
    Enrolled,
    EnrolNonce,
    EnrolPending,
    EnrolReveal,
    EnrolToken,
    Hello,
)
from protocol.trust import TrustedState, Verified

_MAX_FILE: Final = 64 * 1024
_MAX_TOKENS: Final = 8192
_LONGEST_URL: Final = 300
_SHORTEST_TOKEN: Final = 16
_LONGEST_TOKEN: Final = 128


@dataclass(frozen=True, slots=True)
class Provisioning:
    """What a technician puts on the card: where to look, whom to believe, and one-time tokens."""

    controller: str | None
    root: str
    tokens: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """The file."""
        where = {} if self.controller is None else {"controller": self.controller}
        return dumps({"v": 1, "root": self.root, "tokens": list(self.tokens)} | where) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Provisioning:
        """Read the file.

        Raises:
            MalformedError: it is not a provisioning file.
        """
        value = loads_object(data, max_bytes=_MAX_TOKENS * (_LONGEST_TOKEN + 4) + _MAX_FILE)
        fields = Fields(value, "provisioning.")
        tokens = value.get("tokens")
        if not isinstance(tokens, list) or not 0 < len(tokens) <= _MAX_TOKENS or not all(map(_is_token, tokens)):
            fields.refuse("tokens", "expected tokens of 16 to 128 letters, digits, - and _")
        where = fields.optional("controller", lambda name: fields.text(name, _LONGEST_URL))
        if where is not None and not where.startswith(("https://", "http://", "wss://", "ws://")):
            fields.refuse("controller", "expected a URL")
        return cls(where, fields.hexadecimal("root", 64), tuple(tokens))


def _is_token(value: Any) -> bool:
    return (
        isinstance(value, str)
        and _SHORTEST_TOKEN <= len(value) <= _LONGEST_TOKEN
        and value.isascii()
        and value.replace("-", "").replace("_", "").isalnum()
    )


@dataclass(frozen=True, slots=True)
class Pinned:
    """What an agent keeps of a finished enrolment, for good.

    Attributes:
        root_public: the root to pin.
        cluster_id: the cluster it serves.
        key_set: verified under that root; persist and commit it as always.
    """

    root_public: bytes
    cluster_id: str
    key_set: Verified[Any]


class AgentToken:
    """The agent's side of the provisioning route; one token, one connection."""

    def __init__(
        self, identity: SigningKey, *, root: str, token: str, certificate: bytes, nonce: bytes, software: str = ""
    ) -> None:
        self._identity = identity
        self._root = root
        self._token = token
        self._certificate = certificate
        self._nonce = nonce
        self._software = software
        self._learned: tuple[bytes, Verified[Any]] | None = None

    def hello(self) -> Hello:
        """The first message."""
        public = self._identity.public
        return Hello(
            agent_id=agent_id_of(public), public_key=public.hex(), nonce=self._nonce.hex(), software=self._software
        )

    def on_challenge(self, challenge: Challenge, *, now: datetime | None) -> EnrolToken:
        """Judge the controller; only a good one gets the token.

        Raises:
            TrustError: ``wrong_root``, or its key set does not verify.
            HandshakeError: ``bad_signature`` or ``certificate_mismatch``.
        """
        root = bytes.fromhex(challenge.root_public)
        if fingerprint(root) != self._root:
            raise TrustError("wrong_root", "the controller has another root than the provisioning file names")
        trust = TrustedState(agent_id_of(self._identity.public), root)
        handshake = AgentHandshake(self._identity, trust, certificate=self._certificate, nonce=self._nonce)
        proof = handshake.on_challenge(challenge, now=now)
        self._learned = root, proof.learned[-1]
        theirs = bytes.fromhex(challenge.nonce)
        words = token_words(self._nonce, theirs, self._certificate, self._identity.public, root, token=self._token)
        return EnrolToken(
            token=self._token, signature=self._identity.sign(words).hex(), certificate=self._certificate.hex()
        )

    def on_enrolled(self, message: Enrolled) -> Pinned:
        """The controller took the token.

        Raises:
            EnrolmentError: ``out_of_order`` or ``wrong_agent_id``.
        """
        if self._learned is None:
            raise EnrolmentError("out_of_order", "enrolled before the controller proved anything")
        return _pinned(self._identity, message, *self._learned)


class AgentCode:
    """The agent's side of the eight digits."""

    def __init__(
        self, identity: SigningKey, *, certificate: bytes, nonce: bytes, software: str = "", confirmed: bool = False
    ) -> None:
        """Prepare.

        Args:
            identity: the agent's own key.
            certificate: :func:`~protocol.link.certificate_hash` of what the server showed.
            nonce: 32 random bytes, used once.
            software: name and version.
            confirmed: do without a person at the agent (rule 3).
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError("a nonce has 32 bytes")
        self._identity = identity
        self._certificate = certificate
        self._nonce = nonce
        self._software = software
        self._confirmed = confirmed
        self._digits: str | None = None
        self._learned: tuple[bytes, Verified[Any]] | None = None
        self._enrolled: Enrolled | None = None

    def commit(self) -> EnrolCommit:
        """The first message."""
        public = self._identity.public
        return EnrolCommit(
            public_key=public.hex(), commitment=commitment(self._nonce, public).hex(), software=self._software
        )

    def on_nonce(self, message: EnrolNonce, *, now: datetime | None) -> EnrolReveal:
        """The controller answered: from here on there are :attr:`digits`.

        Raises:
            TrustError: its key set does not verify under its own root, or its key may not do this.
            EnrolmentError: ``out_of_order``, ``bad_signature`` or ``certificate_mismatch``.
        """
        if self._learned is not None:
            raise EnrolmentError("out_of_order", "a second nonce for one commitment")
        root, theirs = bytes.fromhex(message.root_public), bytes.fromhex(message.nonce)
        public, claimed = self._identity.public, bytes.fromhex(message.certificate)
        trust = TrustedState(agent_id_of(public), root)
        key_set = trust.verify_keyset(message.key_set, now=now)
        trust.commit(key_set)
        key = trust.link_key(message.key_id, now=now)
        words = nonce_words(commitment(self._nonce, public), theirs, claimed, public, root)
        if not verifies(key.public, bytes.fromhex(message.signature), words):
            raise EnrolmentError("bad_signature", "the controller's proof does not verify")
        if claimed != self._certificate:
            raise EnrolmentError("certificate_mismatch", "this connection does not end at the controller")
        parts = (self._nonce, theirs, self._certificate, public, root)
        self._digits = code_digits(*parts)
        self._learned = root, key_set
        return EnrolReveal(nonce=self._nonce.hex(), signature=self._identity.sign(reveal_words(*parts)).hex())

    @property
    def digits(self) -> str | None:
        """What to show and, on request, to say; None until the controller answered."""
        return self._digits

    def confirm(self) -> None:
        """A person at the agent has seen the same digits at the controller.

        Raises:
            EnrolmentError: ``out_of_order``: there are no digits yet.
        """
        if self._digits is None:
            raise EnrolmentError("out_of_order", "there are no digits to confirm yet")
        self._confirmed = True

    def on_enrolled(self, message: Enrolled) -> None:
        """A person approved at the controller.

        Raises:
            EnrolmentError: ``out_of_order`` or ``wrong_agent_id``.
        """
        if self._learned is None:
            raise EnrolmentError("out_of_order", "enrolled before there were digits")
        _check_agent(self._identity, message)
        self._enrolled = message

    @property
    def pinned(self) -> Pinned | None:
        """The result, once both people (or the one in both places) have said yes."""
        if self._enrolled is None or self._learned is None or not self._confirmed:
            return None
        return _pinned(self._identity, self._enrolled, *self._learned)


class ControllerCode:
    """The controller's side of the eight digits."""

    def __init__(
        self, key: SigningKey, *, root_public: bytes, key_set: bytes, certificate: bytes, nonce: bytes
    ) -> None:
        """Prepare; the arguments are those of :class:`~protocol.handshake.ControllerHandshake`."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError("a nonce has 32 bytes")
        self._key = key
        self._root = root_public
        self._key_set = key_set
        self._certificate = certificate
        self._nonce = nonce
        self._commit: EnrolCommit | None = None
        self._digits: str | None = None

    def on_commit(self, message: EnrolCommit) -> EnrolNonce:
        """Answer a commitment.

        Raises:
            EnrolmentError: ``out_of_order``: one connection, one commitment.
        """
        if self._commit is not None:
            raise EnrolmentError("out_of_order", "a second commitment")
        self._commit = message
        committed, public = bytes.fromhex(message.commitment), bytes.fromhex(message.public_key)
        words = nonce_words(committed, self._nonce, self._certificate, public, self._root)
        return EnrolNonce(
            nonce=self._nonce.hex(),
            root_public=self._root.hex(),
            key_set=self._key_set.decode(),
            key_id=self._key.key_id,
            signature=self._key.sign(words).hex(),
            certificate=self._certificate.hex(),
        )

    def on_reveal(self, message: EnrolReveal) -> EnrolPending:
        """Check the commitment and the agent's key: from here on there are :attr:`digits` and a :attr:`peer`.

        Raises:
            EnrolmentError: ``out_of_order``, ``broken_commitment`` or ``bad_signature``.
        """
        if self._commit is None or self._digits is not None:
            raise EnrolmentError("out_of_order", "a nonce is revealed once, after a commitment")
        public, nonce = bytes.fromhex(self._commit.public_key), bytes.fromhex(message.nonce)
        if commitment(nonce, public).hex() != self._commit.commitment:
            raise EnrolmentError("broken_commitment", "the nonce is not the one committed to")
        parts = (nonce, self._nonce, self._certificate, public, self._root)
        if not verifies(public, bytes.fromhex(message.signature), reveal_words(*parts)):
            raise EnrolmentError("bad_signature", "the agent's proof does not verify, or it sees another certificate")
        self._digits = code_digits(*parts)
        return EnrolPending()

    @property
    def digits(self) -> str:
        """What to show to the person who approves.

        Raises:
            EnrolmentError: ``out_of_order``: nothing was revealed yet.
        """
        if self._digits is None:
            raise EnrolmentError("out_of_order", "there are no digits yet")
        return self._digits

    @property
    def peer(self) -> Peer:
        """The agent that proved its key.

        Raises:
            EnrolmentError: ``out_of_order``: nothing was revealed yet.
        """
        if self._commit is None or self._digits is None:
            raise EnrolmentError("out_of_order", "the agent proved nothing yet")
        public = bytes.fromhex(self._commit.public_key)
        return Peer(agent_id_of(public), public, self._commit.software)

    def approve(self, cluster_id: str) -> Enrolled:
        """A person compared the digits and said yes."""
        return Enrolled(cluster_id=cluster_id, agent_id=self.peer.agent_id)


def _check_agent(identity: SigningKey, message: Enrolled) -> None:
    if message.agent_id != agent_id_of(identity.public):
        raise EnrolmentError("wrong_agent_id", "enrolled under another id than this agent's")


def _pinned(identity: SigningKey, message: Enrolled, root: bytes, key_set: Verified[Any]) -> Pinned:
    _check_agent(identity, message)
    return Pinned(root, message.cluster_id, key_set)

"""Two strangers on a wire prove who they are. Sans-IO: messages in, messages out.

::

    agent                                     controller
    hello(agent_id, public_key, nonce)  ->
                                        <-    challenge(nonce, root, key set, certificate, signature)
    auth(certificate, signature)        ->
                                        <-    welcome(session, …)    or refused(code)

Rules kept here:

1. The controller proves that the pinned root signed a key set that names the key it signs with. A controller of
   another root, or at the end of another TLS connection, is refused before the agent says anything of value.
2. The agent proves that it holds the key its id is made of.
3. Both sign both nonces, their role and the SHA-256 of the server's certificate.
4. The newer of the offered and the known key set is used; an older one is ignored, not an error, so that a
   controller restored from a backup can still be talked to (and raise the term).
5. Nothing is changed by :meth:`AgentHandshake.on_challenge`: what it verified is to be persisted and committed by the
   caller, as always (:mod:`protocol.trust`).

Not here: who is approved (the controller's fleet), what follows (messages).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protocol.errors import AlreadyHaveError, HandshakeError, ProtocolError, TrustError
from protocol.keys import SigningKey, agent_id_of, fingerprint, verifies
from protocol.link import AGENT, CONTROLLER, NONCE_BYTES, auth_words, token_words
from protocol.messages import Auth, Challenge, EnrolToken, Hello, Refused
from protocol.trust import TrustedState, Verified


def refusal(error: ProtocolError) -> Refused:
    """The message that tells a peer why the connection closes."""
    return Refused(code=error.code, detail=error.detail)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a good challenge leads to.

    Attributes:
        auth: send it, after ``learned`` was persisted and committed.
        learned: verified documents (root successors, a newer key set), oldest first; usually empty.
    """

    auth: Auth
    learned: tuple[Verified[Any], ...]


class AgentHandshake:
    """The agent's side of one connection."""

    def __init__(
        self, identity: SigningKey, trust: TrustedState, *, certificate: bytes, nonce: bytes, software: str = ""
    ) -> None:
        """Prepare.

        Args:
            identity: the agent's own key.
            trust: what it believes.
            certificate: :func:`~protocol.link.certificate_hash` of what the server showed.
            nonce: 32 random bytes, used once.
            software: name and version, for the fleet page.
        """
        self._identity = identity
        self._trust = trust
        self._certificate = certificate
        self._nonce = _nonce(nonce)
        self._software = software

    def hello(self) -> Hello:
        """The first message."""
        public = self._identity.public
        return Hello(
            agent_id=agent_id_of(public), public_key=public.hex(), nonce=self._nonce.hex(), software=self._software
        )

    def on_challenge(self, challenge: Challenge, *, now: datetime | None) -> Proof:
        """Judge the controller.

        Raises:
            TrustError: ``wrong_root`` and whatever :meth:`TrustedState.verify_keyset` refuses.
            HandshakeError: ``bad_signature`` or ``certificate_mismatch``.
        """
        scratch = self._trust.scratch()
        learned = [*_follow_roots(scratch, challenge), *_learn_keys(scratch, challenge, now)]
        key = scratch.link_key(challenge.key_id, now=now)
        claimed, theirs = bytes.fromhex(challenge.certificate), bytes.fromhex(challenge.nonce)
        words = auth_words(CONTROLLER, self._nonce, theirs, claimed, self._identity.public)
        if not verifies(key.public, bytes.fromhex(challenge.signature), words):
            raise HandshakeError("bad_signature", "the controller's proof does not verify")
        if claimed != self._certificate:
            raise HandshakeError(
                "certificate_mismatch",
                "the controller is genuine but this connection does not end at it: something in between shows "
                "another certificate (behind a proxy, configure the proxy's certificate on the controller)",
            )
        words = auth_words(AGENT, self._nonce, theirs, self._certificate, self._identity.public)
        auth = Auth(signature=self._identity.sign(words).hex(), certificate=self._certificate.hex())
        return Proof(auth, tuple(learned))


def _follow_roots(scratch: TrustedState, challenge: Challenge) -> list[Verified[Any]]:
    root = bytes.fromhex(challenge.root_public)
    learned: list[Verified[Any]] = []
    for envelope in challenge.root_chain:
        if scratch.root_public == root:
            break
        try:
            step = scratch.verify_root(envelope)
        except TrustError as error:
            if error.code in ("wrong_root", "older_version"):
                continue  # a link of the chain this agent has behind it
            raise
        scratch.commit(step)
        learned.append(step)
    if scratch.root_public != root:
        raise TrustError(
            "wrong_root", f"the controller has root {fingerprint(root)[:16]}, not {scratch.root_fingerprint[:16]}"
        )
    return learned


def _learn_keys(scratch: TrustedState, challenge: Challenge, now: datetime | None) -> list[Verified[Any]]:
    try:
        offered = scratch.verify_keyset(challenge.key_set, now=now)
    except AlreadyHaveError:
        return []
    except TrustError as error:
        if error.code == "older_version" and scratch.key_set is not None:
            return []
        raise
    scratch.commit(offered)
    return [offered]


@dataclass(frozen=True, slots=True)
class Peer:
    """An agent that proved its key."""

    agent_id: str
    public_key: bytes
    software: str


class ControllerHandshake:
    """The controller's side of one connection."""

    def __init__(
        self,
        key: SigningKey,
        *,
        root_public: bytes,
        key_set: bytes,
        certificate: bytes,
        nonce: bytes,
        root_chain: tuple[bytes, ...] = (),
    ) -> None:
        """Prepare.

        Args:
            key: an online key with the plan role, named in ``key_set``.
            root_public: the root's public key.
            key_set: the sealed key set in force.
            certificate: :func:`~protocol.link.certificate_hash` of what agents see (the proxy's, behind one).
            nonce: 32 random bytes, used once.
            root_chain: sealed successors that lead from older roots to this one, oldest first.
        """
        self._key = key
        self._root = root_public
        self._key_set = key_set
        self._certificate = certificate
        self._nonce = _nonce(nonce)
        self._root_chain = root_chain
        self._hello: Hello | None = None

    def on_hello(self, hello: Hello) -> Challenge:
        """Answer an agent's first message.

        Raises:
            HandshakeError: ``wrong_agent_id``: its id is not made of its key; ``out_of_order``.
        """
        if self._hello is not None:
            raise HandshakeError("out_of_order", "a second hello")
        public = bytes.fromhex(hello.public_key)
        if hello.agent_id != agent_id_of(public):
            raise HandshakeError("wrong_agent_id", "an agent's id is the first half of its key's SHA-256")
        self._hello = hello
        words = auth_words(CONTROLLER, bytes.fromhex(hello.nonce), self._nonce, self._certificate, public)
        return Challenge(
            nonce=self._nonce.hex(),
            key_id=self._key.key_id,
            signature=self._key.sign(words).hex(),
            certificate=self._certificate.hex(),
            root_public=self._root.hex(),
            root_chain=tuple(each.decode() for each in self._root_chain),
            key_set=self._key_set.decode(),
        )

    def on_auth(self, auth: Auth) -> Peer:
        """Judge the agent's proof.

        Raises:
            HandshakeError: ``out_of_order``, ``certificate_mismatch`` or ``bad_signature``.
        """

        def words(hello: Hello, public: bytes, seen: bytes) -> bytes:
            return auth_words(AGENT, bytes.fromhex(hello.nonce), self._nonce, seen, public)

        return self._judge(auth.signature, auth.certificate, words)

    def on_token(self, message: EnrolToken) -> tuple[Peer, str]:
        """Judge the proof that comes with a provisioning token (:mod:`protocol.enrolment`).

        Returns:
            The agent and its token. Whether that is good, unused and unexpired is for the caller to find.

        Raises:
            HandshakeError: ``out_of_order``, ``certificate_mismatch`` or ``bad_signature``.
        """

        def words(hello: Hello, public: bytes, seen: bytes) -> bytes:
            nonce = bytes.fromhex(hello.nonce)
            return token_words(nonce, self._nonce, seen, public, self._root, token=message.token)

        return self._judge(message.signature, message.certificate, words), message.token

    def _judge(self, signature: str, certificate: str, words: Callable[[Hello, bytes, bytes], bytes]) -> Peer:
        hello = self._hello
        if hello is None:
            raise HandshakeError("out_of_order", "a proof before hello")
        public, seen = bytes.fromhex(hello.public_key), bytes.fromhex(certificate)
        if not verifies(public, bytes.fromhex(signature), words(hello, public, seen)):
            raise HandshakeError("bad_signature", "the agent's proof does not verify")
        if seen != self._certificate:
            raise HandshakeError("certificate_mismatch", "the agent sees another certificate than this controller's")
        return Peer(hello.agent_id, public, hello.software)


def _nonce(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError("a nonce has 32 bytes")
    return nonce

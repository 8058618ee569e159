"""What both sides of a new link sign: the words of every proof of handshake and enrolment.

Rules kept here:

1. Every proof starts with its domain and the role of the signer, so that no proof serves for another purpose or in
   the other direction.
2. Every part has a fixed length, so that no two lists of parts are the same bytes.
3. The certificate is part of every proof: a link that ends at another machine cannot be relayed.
"""

from __future__ import annotations

import hashlib
from typing import Final

from protocol.errors import HandshakeError

NONCE_BYTES: Final = 32

#: What stands for the TLS certificate on a plain connection, which only loopback may be.
NO_CERTIFICATE: Final = bytes(32)

_AUTH: Final = b"loa-auth-1\0"
_ENROL: Final = b"loa-enrol-1\0"
CONTROLLER: Final = b"controller\0"
AGENT: Final = b"agent\0\0\0\0\0\0"  # as long as the other, rule 2


def certificate_hash(der: bytes | None) -> bytes:
    """SHA-256 of the server's certificate in DER; zeros on a plain connection."""
    return NO_CERTIFICATE if der is None else hashlib.sha256(der).digest()


def auth_words(role: bytes, agent_nonce: bytes, controller_nonce: bytes, certificate: bytes, agent: bytes) -> bytes:
    """What ``role`` signs in a handshake; ``agent`` is the agent's public key."""
    return _AUTH + role + _fixed(agent_nonce, controller_nonce, certificate, agent)


def token_words(
    agent_nonce: bytes, controller_nonce: bytes, certificate: bytes, agent: bytes, root: bytes, *, token: str
) -> bytes:
    """What an agent signs when it gives a token."""
    named = hashlib.sha256(token.encode()).digest()
    return _ENROL + b"token\0\0\0\0\0\0" + _fixed(agent_nonce, controller_nonce, certificate, agent, root, named)


def commitment(agent_nonce: bytes, agent: bytes) -> bytes:
    """What an agent shows of its nonce before it knows the controller's."""
    return hashlib.sha256(_ENROL + b"commit\0\0\0\0\0" + _fixed(agent_nonce, agent)).digest()


def nonce_words(committed: bytes, controller_nonce: bytes, certificate: bytes, agent: bytes, root: bytes) -> bytes:
    """What the controller signs when it answers a commitment."""
    return _ENROL + CONTROLLER + _fixed(committed, controller_nonce, certificate, agent, root)


def reveal_words(agent_nonce: bytes, controller_nonce: bytes, certificate: bytes, agent: bytes, root: bytes) -> bytes:
    """What the agent signs when it reveals its nonce."""
    return _ENROL + AGENT + _fixed(agent_nonce, controller_nonce, certificate, agent, root)


def code_digits(agent_nonce: bytes, controller_nonce: bytes, certificate: bytes, agent: bytes, root: bytes) -> str:
    """The eight digits both sides show, grouped as people read them: ``1234 5678``.

    SHA-256 over the domain and all parts; the first eight bytes as a big-endian number, modulo 10^8. Neither side
    can choose them: the agent is bound by its commitment, the controller answers before it sees the nonce.
    """
    digest = hashlib.sha256(
        _ENROL + b"code\0\0\0\0\0\0\0" + _fixed(agent_nonce, controller_nonce, certificate, agent, root)
    ).digest()
    digits = f"{int.from_bytes(digest[:8], 'big') % 100_000_000:08d}"
    return f"{digits[:4]} {digits[4:]}"


def _fixed(*parts: bytes) -> bytes:
    if any(len(part) != NONCE_BYTES for part in parts):
        raise HandshakeError("bad_nonce", "a nonce, hash or key has not 32 bytes")
    return b"".join(parts)

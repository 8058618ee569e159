"""Whether the key behind an intact signature belongs to somebody we trust, now.

Rules kept here:

1. A key is trusted when a trusted certificate has it (pinned: this also does for signatures that carry only the raw
   key), or when a certificate that came with the signature has it and leads to a trusted authority (CA:TRUE).
2. Every certificate on the way must be in its time at ``now``. One that is over or not yet begun is told apart from
   one that nobody knows: renewing helps the first.
3. A certificate whose key usage forbids signing vouches for nothing. RSA keys have at least 2048 bits.
4. Revocation lists are not fetched (nothing here has a network): take a revoked certificate out of the trusted ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import (
    BasicConstraints,
    Certificate,
    DuplicateExtension,
    ExtensionNotFound,
    KeyUsage,
    UnsupportedGeneralNameType,
)
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

_MIN_RSA_BITS: Final = 2048
_BAD_EXTENSIONS: Final = (DuplicateExtension, UnsupportedGeneralNameType, ValueError)


@dataclass(frozen=True, slots=True)
class Trust:
    """The verdict on a key. ``certificate``: SHA-256 of the trusted certificate, None when there is none.

    ``fault`` is a stable code: ``signer_unknown``, ``signature_weak``, ``certificate_expired``,
    ``certificate_not_yet_valid`` or ``certificate_usage``.
    """

    certificate: str | None
    fault: str | None = None
    detail: str = ""


def trust_in(key_pem: bytes, chain: Sequence[Certificate], *, trust: Sequence[Certificate], now: datetime) -> Trust:
    """Judge the key ``key_pem``; ``chain`` is what came with the signature, the key's own certificate first."""
    key = load_pem_public_key(key_pem)
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        return Trust(None, "signature_weak", "the key is neither RSA nor elliptic curve")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        return Trust(None, "signature_weak", f"the key has {key.key_size} bits, fewer than {_MIN_RSA_BITS}")
    wanted = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pinned = [one for one in trust if _spki(one) == wanted]
    verdicts = [_in_time(one, now) for one in pinned]
    if not pinned and chain and _spki(chain[0]) == wanted:
        verdicts = [_lead(chain, trust, now)]
    good = next((verdict for verdict in verdicts if verdict.fault is None), None)
    if good:
        return good
    return verdicts[0] if verdicts else Trust(None, "signer_unknown", "no trusted certificate vouches for the key")


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the certificate's DER, in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _spki(certificate: Certificate) -> bytes:
    """The certificate's key; nothing when it is of a kind that cannot be used here."""
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (UnsupportedAlgorithm, ValueError):
        return b""


def _in_time(certificate: Certificate, now: datetime) -> Trust:
    if now > certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.date().isoformat()
        return Trust(None, "certificate_expired", f"the trusted certificate ended on {ended}")
    if now < certificate.not_valid_before_utc:
        begins = certificate.not_valid_before_utc.date().isoformat()
        return Trust(None, "certificate_not_yet_valid", f"the trusted certificate begins on {begins}")
    if not _may_sign(certificate):
        return Trust(None, "certificate_usage", "the certificate is not for signing")
    return Trust(fingerprint(certificate))


def _may_sign(certificate: Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(KeyUsage).value
    except ExtensionNotFound:
        return True
    except _BAD_EXTENSIONS:
        return False
    return usage.digital_signature or usage.content_commitment


def _lead(chain: Sequence[Certificate], trust: Sequence[Certificate], now: datetime) -> Trust:
    """Whether ``chain`` leads to a trusted authority at ``now``; if not, whether time alone is why."""
    anchors = [one for one in trust if _is_authority(one)]
    unknown = Trust(None, "signer_unknown", "the certificate leads to no trusted authority")
    if not anchors:
        return unknown
    leaf = chain[0]
    anchor = _anchor(chain, anchors, now)
    if anchor is not None:
        if not _may_sign(leaf):
            return Trust(None, "certificate_usage", "the certificate is not for signing")
        return Trust(fingerprint(anchor))
    # A moment at which every certificate was in its time, if there is one, tells expiry from a stranger.
    begun = max(one.not_valid_before_utc for one in chain)
    moments = sorted({max(begun, one.not_valid_before_utc) for one in anchors})
    once = next((at for at in moments if _anchor(chain, anchors, at) is not None), None)
    if once is None:
        return unknown
    if now < once:
        return Trust(None, "certificate_not_yet_valid", "a certificate of the signature is not yet valid")
    return Trust(None, "certificate_expired", "a certificate of the signature has expired")


def _anchor(chain: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime) -> Certificate | None:
    policy = PolicyBuilder().store(Store(list(anchors))).time(at)
    verifier = policy.extension_policies(ee_policy=_ANY, ca_policy=_AUTHORITY).build_client_verifier()
    try:
        return verifier.verify(chain[0], list(chain[1:])).chain[-1]
    except (VerificationError, UnsupportedAlgorithm, *_BAD_EXTENSIONS):
        return None


def _is_authority(certificate: Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except (ExtensionNotFound, *_BAD_EXTENSIONS):
        return False


def _require_authority(_policy: Policy, _certificate: Certificate, constraints: BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")


def _require_cert_sign(_policy: Policy, _certificate: Certificate, usage: KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("its key may not sign certificates")


_ANY: Final = ExtensionPolicy.permit_all()
_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(BasicConstraints, Criticality.AGNOSTIC, _require_authority)
    .may_be_present(KeyUsage, Criticality.AGNOSTIC, _require_cert_sign)
)

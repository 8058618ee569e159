"""Enveloped XML signatures on alerts: none, valid, invalid or untrusted.

Rules kept here:

1. **valid** needs everything: an intact signature over the whole alert, with SHA-256 or better, by a key that a
   trusted certificate vouches for now (:mod:`controller.cap.trust`).
2. **invalid**: it is broken, or not where and what a signature of an alert must be: a child of the alert, one
   reference, to the whole document, with no transforms but "enveloped" and canonical XML. That leaves no room for
   signature wrapping.
3. **untrusted**: intact, and nobody we trust stands behind it (stranger, raw key, SHA-1, expired certificate); or it
   cannot be checked (an algorithm we do not take, no key). A flag says which.
4. What is read is what was verified: :attr:`Judgement.content` of an intact signature is parsed from the very bytes
   the digest was made of.
5. Several signatures (NAADS has two, each made with both taken out): each is checked with the other removed, then
   with the other in place (a countersignature). One good one among them does for "valid" only if none is broken; a
   broken one beside an intact one is ``signature_mixed``, untrusted.
6. An alert that came in an envelope is judged alone. A signature of the envelope says nothing about it.
"""

from __future__ import annotations

import binascii
import copy
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from cryptography.x509 import Certificate, load_der_x509_certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidSignature
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from controller.cap.document import hardened_parser
from controller.cap.elements import SIGNATURE_NAMESPACE
from controller.cap.trust import Trust, trust_in

#: Signatures on one alert that are looked at.
MAX_SIGNATURES: Final = 2
#: Certificates in one signature that are looked at.
MAX_CERTIFICATES: Final = 4

_DS: Final = {"ds": SIGNATURE_NAMESPACE}
_SIGNATURE: Final = f"{{{SIGNATURE_NAMESPACE}}}Signature"
_CHECKED_BY: Final = frozenset(
    f"{{{SIGNATURE_NAMESPACE}}}{name}" for name in ("SignedInfo", "SignatureValue", "KeyInfo")
)
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_CANONICAL: Final = frozenset(method.value for method in CanonicalizationMethod)

_METHODS: Final = frozenset(
    method
    for method in SignatureMethod
    if method.name.startswith(("RSA_SHA", "ECDSA_SHA")) or method.name.endswith("_RSA_MGF1")
)
_DIGESTS: Final = frozenset(DigestAlgorithm)


class Verdict(StrEnum):
    """What a signature is worth."""

    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the element to read the alert from."""

    verdict: Verdict
    content: etree._Element
    certificate: str | None = None
    #: (stable code, words) of what stands in the way of "valid".
    flags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Checked:
    """One signature: ``content`` is there when it is intact; ``fault`` says what is wrong otherwise."""

    content: etree._Element | None = None
    trust: Trust | None = None
    fault: str = ""
    detail: str = ""

    @property
    def broken(self) -> bool:
        return self.content is None and self.fault in {"signature_broken", "signature_partial", "signature_malformed"}


class _Verifier(XMLVerifier):
    """Canonicalises a part of a document as a document of its own.

    libxml2, asked by lxml for the inclusive form of an element that inherits its default namespace, writes
    ``xmlns=""`` on its grandchildren, and intact signatures would look broken. signxml has no public place for this;
    tests/unit/controller/cap/test_signatures.py fails loudly if an upgrade moves it.
    """

    def _c14n(self, nodes: Any, algorithm: Any, inclusive_ns_prefixes: Any = None) -> Any:
        if isinstance(nodes, etree._Element) and nodes.getparent() is not None:  # noqa: SLF001 - lxml's own name
            nodes = _reparsed(nodes)
        return super()._c14n(nodes, algorithm, inclusive_ns_prefixes)


class _UncheckableError(Exception):
    """The signature may be good, but cannot be checked here."""


class _PartialError(Exception):
    """The signature is not of the whole alert."""


def judge(alert: etree._Element, *, now: datetime, trust: Sequence[Certificate] = ()) -> Judgement:
    """The verdict on the signatures of an alert element (which is not changed)."""
    signatures = list(alert.iter(_SIGNATURE))
    if not signatures:
        return Judgement(Verdict.NONE, alert)
    if any(one.getparent() is not alert for one in signatures):
        detail = "a signature stands where an alert has none"
        return Judgement(Verdict.INVALID, alert, flags=(("signature_misplaced", detail),))
    if len(signatures) > MAX_SIGNATURES:
        detail = f"more than {MAX_SIGNATURES} signatures"
        return Judgement(Verdict.INVALID, alert, flags=(("signature_malformed", detail),))
    checked = [_check(alert, index, now, trust) for index in range(len(signatures))]
    return _combine(alert, checked)


def _combine(alert: etree._Element, checked: Sequence[_Checked]) -> Judgement:
    intact = [one for one in checked if one.content is not None]
    broken = [one for one in checked if one.broken]
    flags = {one.fault: one.detail for one in checked if one.fault}
    if not intact:
        verdict = Verdict.INVALID if broken else Verdict.UNTRUSTED
        return Judgement(verdict, alert, flags=tuple(flags.items()))
    good = next((one for one in intact if one.trust and one.trust.certificate), None)
    content = (good or intact[0]).content
    assert content is not None  # noqa: S101 - what makes it intact
    if broken:
        flags["signature_mixed"] = "one signature is intact and another is broken"
    if good and good.trust and not broken:
        return Judgement(Verdict.VALID, content, good.trust.certificate)
    return Judgement(Verdict.UNTRUSTED, content, flags=tuple(flags.items()))


def _check(alert: etree._Element, index: int, now: datetime, trust: Sequence[Certificate]) -> _Checked:
    signature = alert.findall("ds:Signature", _DS)[index]
    try:
        weak = _require_form(signature)
        chain = _certificates(signature)
        verified, chain = _verify(alert, index, chain, trust)
    except _UncheckableError as error:
        return _Checked(fault="signature_uncheckable", detail=str(error))
    except _PartialError as error:
        return _Checked(fault="signature_partial", detail=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a hostile signature provokes below, it is a broken signature
        return _Checked(fault="signature_broken", detail=_words(error))
    content = verified.signed_xml
    if content is None or content.tag != alert.tag:
        return _Checked(fault="signature_partial", detail="what is signed is not the alert")
    judged = trust_in(verified.signature_key, chain, trust=trust, now=now)
    if weak:
        judged = Trust(None, "signature_weak", "it is made with SHA-1, which can be forged")
    return _Checked(content, judged, judged.fault or "", judged.detail)


def _words(error: Exception) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return text[:200] or type(error).__name__


def _require_form(signature: etree._Element) -> bool:
    """Check what a signature of an alert must be; tells whether it rests on SHA-1.

    Raises:
        _PartialError: it is not over the whole alert.
        _UncheckableError: an algorithm is not one we take.
    """
    infos = signature.findall("ds:SignedInfo", _DS)
    references = signature.findall("ds:SignedInfo/ds:Reference", _DS)
    if len(infos) != 1 or len(references) != 1:
        raise _PartialError("a signature of an alert has exactly one reference")
    if references[0].get("URI") != "":
        raise _PartialError("the signature is not over the whole alert")
    transforms = [one.get("Algorithm") for one in references[0].findall("ds:Transforms/ds:Transform", _DS)]
    if _ENVELOPED not in transforms or any(one not in _CANONICAL for one in transforms if one != _ENVELOPED):
        raise _PartialError("the signature is over something made from the alert, not over the alert")
    algorithms = [
        one.get("Algorithm", "")
        for path in ("CanonicalizationMethod", "SignatureMethod", "Reference/DigestMethod")
        for one in signature.findall("ds:SignedInfo/ds:" + path.replace("/", "/ds:"), _DS)
    ]
    if len(algorithms) != 3 or algorithms[0] not in _CANONICAL:  # noqa: PLR2004 - one of each
        raise _UncheckableError("the signature does not say how it was made")
    if algorithms[1] not in {one.value for one in _METHODS} or algorithms[2] not in {one.value for one in _DIGESTS}:
        raise _UncheckableError("the signature is made in a way that is not taken here")
    return "sha1" in algorithms[1] or "sha1" in algorithms[2]


def _certificates(signature: etree._Element) -> list[Certificate]:
    found = signature.findall("ds:KeyInfo/ds:X509Data/ds:X509Certificate", _DS)
    if len(found) > MAX_CERTIFICATES:
        raise _UncheckableError(f"the signature carries more than {MAX_CERTIFICATES} certificates")
    try:
        return [load_der_x509_certificate(b64decode("".join((one.text or "").split()), validate=True)) for one in found]
    except (binascii.Error, ValueError) as error:
        raise _UncheckableError("the certificate in the signature cannot be read") from error


def _verify(
    alert: etree._Element, index: int, chain: Sequence[Certificate], trust: Sequence[Certificate]
) -> tuple[VerifyResult, list[Certificate]]:
    """Verify signature ``index``: with the keys it brings, or else with those we know.

    Returns what was verified and the certificates that came with it, the signing one first.
    """
    raw_key = alert.findall("ds:Signature", _DS)[index].find("ds:KeyInfo/ds:KeyValue", _DS) is not None
    keys: list[Certificate | None] = list(chain)
    if not keys:
        keys = [None] if raw_key else list(trust)
    if not keys:
        raise _UncheckableError("the signature does not say whose it is")
    for document, skeleton in _documents(alert, index):
        key_at = next((at for at, key in enumerate(keys) if _fits(skeleton, key)), None)
        if key_at is None:
            continue
        key = keys[key_at]
        others = [one for one in chain if one is not key]
        try:
            return _verify_with(document, key), [key, *others] if key is not None and chain else []
        except InvalidDigest:
            continue  # made of another form of the document, or altered
    if not chain and not raw_key:
        raise _UncheckableError("the signature does not say whose it is, and no trusted certificate fits")
    raise InvalidSignature("the signature does not fit the alert: one of them was altered")


def _fits(skeleton: bytes, key: Certificate | None) -> bool:
    """Whether ``key`` made the signature, whatever it is of: cheap, so that many keys can be tried on a large alert."""
    try:
        _verify_with(skeleton, key)
    except InvalidDigest:
        return True
    except Exception:  # noqa: BLE001 - of the wrong kind, unreadable, not canonical: it does not fit
        return False
    return True


def _verify_with(document: bytes, key: Certificate | None) -> VerifyResult:
    config = SignatureConfiguration(
        require_x509=key is not None,
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
    )
    if key is not None:  # whether it is in its time is judged apart from whether the signature is intact
        config = replace(config, verification_time=key.not_valid_before_utc)
    verified = _Verifier().verify(document, x509_cert=key, parser=hardened_parser(), expect_config=config)
    if isinstance(verified, list):
        raise _PartialError("a signature of an alert has exactly one reference")
    return verified


def _documents(alert: etree._Element, index: int) -> Iterator[tuple[bytes, bytes]]:
    """The bytes a signature may have been made of, the likeliest first; each with a skeleton: the signature alone.

    The other signatures are removed (then left in place: this one may countersign them). What is still of the
    envelope's namespaces is kept, then taken off: senders sign before they wrap.
    """
    seen: set[bytes] = set()
    for alone in (True, False):
        root = _reparsed(alert)
        signatures = root.findall("ds:Signature", _DS)
        own = signatures[index]
        _strip(own)
        for other in signatures if alone else ():
            if other is not own:
                _remove(other)
        if index and not alone:  # the verifier looks at the first; where it stood makes no difference, it is taken out
            _remove(own)
            own.tail = None
            signatures[0].addprevious(own)
        tidy = copy.deepcopy(root)
        etree.cleanup_namespaces(tidy)
        for document in (etree.tostring(root), etree.tostring(tidy)):
            if document not in seen:
                seen.add(document)
                yield document, _skeleton(document)


def _skeleton(document: bytes) -> bytes:
    """The alert's own tag with nothing in it but its first signature: the same namespaces, few bytes."""
    root = etree.fromstring(document, hardened_parser())
    for child in list(root):
        if child.tag != _SIGNATURE:
            root.remove(child)
    return etree.tostring(root)


def _reparsed(element: etree._Element) -> etree._Element:
    return etree.fromstring(etree.tostring(element, with_tail=False), hardened_parser())


def _strip(signature: etree._Element) -> None:
    """Leave of a signature what it is checked by; the rest is not signed, and its schema would refuse NAADS's Ids."""
    signature.attrib.clear()
    for child in list(signature):
        if child.tag not in _CHECKED_BY:
            signature.remove(child)


def _remove(signature: etree._Element) -> None:
    """Take a signature out and keep the text after it."""
    parent, before = signature.getparent(), signature.getprevious()
    assert parent is not None  # noqa: S101 - a signature here is a child of the alert
    if before is not None:
        before.tail = (before.tail or "") + (signature.tail or "")
    else:
        parent.text = (parent.text or "") + (signature.tail or "")
    parent.remove(signature)

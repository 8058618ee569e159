"""Alerts as CAP 1.2 documents, and their signature.

Rules kept here:

1. Elements come in the standard's order, empty ones are left out, everything is escaped by the XML library.
2. ``read_alerts(write_alert(alert))`` gives ``alert`` back, if its texts are trimmed and its times whole seconds.
3. Signatures are enveloped, over the whole document, SHA-256, exclusive canonical XML, with the certificate inside:
   the form that IPAWS and most others take.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import Certificate
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from controller.cap.alert import AlertKey, CapAlert, CapArea, CapInfo, CapResource, NameValue
from controller.cap.document import parse
from controller.cap.errors import CapError
from controller.cap.moments import write_moment

_NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def write_alert(alert: CapAlert) -> bytes:
    """``alert`` as a CAP 1.2 document in UTF-8.

    Raises:
        CapError: ``bad_text`` (a control character, which XML cannot carry), ``bad_time`` (no zone) or
            ``bad_reference`` (a sender or identifier with blanks, commas or markup).
    """
    root = etree.Element(f"{{{_NAMESPACE}}}alert", nsmap={None: _NAMESPACE})
    for part in (alert.sender, alert.identifier):
        _require_name(part)
    try:
        _fill_alert(root, alert)
    except ValueError as error:
        raise CapError("bad_text", f"this cannot be written in XML: {error}") from error
    return _bytes(root)


def sign_alert(xml: bytes, key: SigningKey, certificate: Certificate) -> bytes:
    """The document ``xml`` with an enveloped signature by ``key``, whose certificate is put inside.

    Raises:
        CapError: ``xml`` cannot be read, is no alert (``no_alert``), is signed already (``already_signed``), or the
            certificate is of another key (``wrong_key``).
    """
    root, _ = parse(xml)
    if etree.QName(root).localname != "alert":
        raise CapError("no_alert", "only an alert on its own can be signed")
    if root.find("{http://www.w3.org/2000/09/xmldsig#}Signature") is not None:
        raise CapError("already_signed", "the alert is signed already")
    if key.public_key() != certificate.public_key():
        raise CapError("wrong_key", "the certificate is of another key")
    signer = XMLSigner(
        signature_algorithm=(
            SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else SignatureMethod.ECDSA_SHA256
        ),
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    signed = signer.sign(root, key=key, cert=[certificate])
    return etree.tostring(signed, xml_declaration=True, encoding="UTF-8")


def _bytes(root: etree._Element) -> bytes:
    etree.indent(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") + b"\n"


def _require_name(text: str) -> None:
    if not text or any(letter in ",<&" or letter.isspace() for letter in text):
        raise CapError("bad_reference", f"{text!r} cannot name an alert: no blanks, commas or markup")


def _add(parent: etree._Element, name: str, text: str | None, *, keep_empty: bool = False) -> None:
    if text or (keep_empty and text is not None):
        etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}").text = text


def _add_time(parent: etree._Element, name: str, at: datetime | None) -> None:
    if at is None:
        return
    try:
        _add(parent, name, write_moment(at))
    except ValueError as error:
        raise CapError("bad_time", str(error)) from error


def _add_pairs(parent: etree._Element, name: str, pairs: tuple[NameValue, ...]) -> None:
    for pair in pairs:
        element = etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}")
        _add(element, "valueName", pair.name, keep_empty=True)
        _add(element, "value", pair.value, keep_empty=True)


def _reference(key: AlertKey) -> str:
    _require_name(key.sender)
    _require_name(key.identifier)
    return f"{key.sender},{key.identifier},{write_moment(key.sent)}"


def _fill_alert(root: etree._Element, alert: CapAlert) -> None:
    _add(root, "identifier", alert.identifier)
    _add(root, "sender", alert.sender)
    _add_time(root, "sent", alert.sent)
    _add(root, "status", alert.status)
    _add(root, "msgType", alert.msg_type)
    _add(root, "source", alert.source)
    _add(root, "scope", alert.scope)
    _add(root, "restriction", alert.restriction)
    _add(root, "addresses", alert.addresses)
    for code in alert.codes:
        _add(root, "code", code)
    _add(root, "note", alert.note)
    _add(root, "references", " ".join(_reference(key) for key in alert.references))
    _add(root, "incidents", alert.incidents)
    for info in alert.infos:
        _fill_info(etree.SubElement(root, f"{{{_NAMESPACE}}}info"), info)


def _fill_info(element: etree._Element, info: CapInfo) -> None:
    _add(element, "language", info.language, keep_empty=True)
    for category in info.categories:
        _add(element, "category", category)
    _add(element, "event", info.event, keep_empty=True)
    for response in info.response_types:
        _add(element, "responseType", response)
    _add(element, "urgency", info.urgency, keep_empty=True)
    _add(element, "severity", info.severity, keep_empty=True)
    _add(element, "certainty", info.certainty, keep_empty=True)
    _add(element, "audience", info.audience)
    _add_pairs(element, "eventCode", info.event_codes)
    _add_time(element, "effective", info.effective)
    _add_time(element, "onset", info.onset)
    _add_time(element, "expires", info.expires)
    _add(element, "senderName", info.sender_name)
    _add(element, "headline", info.headline)
    _add(element, "description", info.description)
    _add(element, "instruction", info.instruction)
    _add(element, "web", info.web)
    _add(element, "contact", info.contact)
    _add_pairs(element, "parameter", info.parameters)
    for resource in info.resources:
        _fill_resource(etree.SubElement(element, f"{{{_NAMESPACE}}}resource"), resource)
    for area in info.areas:
        _fill_area(etree.SubElement(element, f"{{{_NAMESPACE}}}area"), area)


def _fill_resource(element: etree._Element, resource: CapResource) -> None:
    _add(element, "resourceDesc", resource.desc, keep_empty=True)
    _add(element, "mimeType", resource.mime_type, keep_empty=True)
    _add(element, "size", None if resource.size is None else str(resource.size))
    _add(element, "uri", resource.uri)
    _add(element, "digest", resource.digest)


def _fill_area(element: etree._Element, area: CapArea) -> None:
    _add(element, "areaDesc", area.desc, keep_empty=True)
    for polygon in area.polygons:
        _add(element, "polygon", polygon.text())
    for circle in area.circles:
        _add(element, "circle", circle.text())
    _add_pairs(element, "geocode", area.geocodes)
    _add(element, "altitude", area.altitude)
    _add(element, "ceiling", area.ceiling)

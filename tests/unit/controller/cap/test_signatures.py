"""Signatures: every verdict, wrapping, two signatures, time, and xmlsec1 as an independent judge both ways."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from controller.cap import CapError, Verdict, sign_alert, write_alert
from controller.cap.trust import fingerprint
from tests.unit.controller.cap.cap_kit import CORPUS, FLOOD, NOW, Identity, edited, identity, read_one, rsa_key

xmlsec1 = shutil.which("xmlsec1")
needs_xmlsec1 = pytest.mark.skipif(xmlsec1 is None, reason="xmlsec1 is not installed")
DS = "{http://www.w3.org/2000/09/xmldsig#}"
SENDER = identity(key=rsa_key())
STRANGER = identity("stranger")


def signed(who: Identity = SENDER, data: bytes = FLOOD.encode()) -> bytes:
    return sign_alert(data, who.key, who.certificate)


def test_a_version_without_signatures() -> None:
    reading = read_one(signed(data=edited(("cap:1.2", "cap:1.1"))), (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.VALID, ("signature_not_in_version",))


def test_none() -> None:
    assert read_one(FLOOD.encode(), (SENDER.certificate,)).signature is Verdict.NONE


@pytest.mark.parametrize("who", [SENDER, identity(), identity(key=ec.generate_private_key(ec.SECP384R1()))])
def test_valid_by_a_pinned_certificate(who: Identity) -> None:
    reading = read_one(signed(who), (STRANGER.certificate, who.certificate))
    assert (reading.signature, reading.flags) == (Verdict.VALID, ())
    assert reading.certificate == fingerprint(who.certificate)
    assert reading.alert == read_one(FLOOD.encode()).alert


@pytest.mark.parametrize("trust", [(), (STRANGER.certificate,)])
def test_untrusted_when_nobody_vouches(trust: tuple[object, ...]) -> None:
    reading = read_one(signed(), trust)  # type: ignore[arg-type]
    assert (reading.signature, reading.flags, reading.certificate) == (Verdict.UNTRUSTED, ("signer_unknown",), None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VN-QT-1", "VN-QT-2"),
        ("2026-10-17T16:30:00+07:00", "2026-10-18T16:30:00+07:00"),
        ("<status>Actual", "<status>Actual "),
        ("Extreme", "Severe"),
        ("</info>", "<web>javascript:alert(1)</web></info>"),
        ("16.5,106.9 ", "16.4,106.9 "),
    ],
)
def test_invalid_when_altered(old: str, new: str) -> None:
    altered = signed().decode().replace(old, new, 1).encode()
    reading = read_one(altered, (SENDER.certificate,))
    assert (reading.signature, reading.flags[0]) == (Verdict.INVALID, "signature_broken")


@pytest.mark.parametrize("part", ["SignatureValue", "DigestValue"])
def test_invalid_or_untrusted_when_the_signature_is_altered(part: str) -> None:
    root = etree.fromstring(signed())
    element = next(root.iter(DS + part))
    text = (element.text or "").strip()
    element.text = ("B" if text[40] == "A" else "A").join((text[:40], text[41:]))
    assert read_one(etree.tostring(root), (SENDER.certificate,)).signature in {Verdict.INVALID, Verdict.UNTRUSTED}
    element.text = None
    assert read_one(etree.tostring(root), (SENDER.certificate,)).signature in {Verdict.INVALID, Verdict.UNTRUSTED}


def test_a_certificate_beside_somebody_elses_signature() -> None:
    """The key that verified is what counts, not a certificate that happens to be there."""
    root = etree.fromstring(signed(STRANGER))
    data = next(root.iter(DS + "X509Data"))
    mine = etree.SubElement(data, DS + "X509Certificate")
    mine.text = next(etree.fromstring(signed()).iter(DS + "X509Certificate")).text
    reading = read_one(etree.tostring(root), (SENDER.certificate,))
    assert reading.signature is Verdict.UNTRUSTED


# -- authorities and time ---------------------------------------------------------------------------------------------


def test_valid_by_an_authority() -> None:
    root = identity("authority", authority=True)
    between = identity("between", issuer=root, authority=True)
    leaf = identity("kttv", issuer=between)
    data = XMLSigner(
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0, signature_algorithm="ecdsa-sha256"
    ).sign(etree.fromstring(FLOOD.encode()), key=leaf.key, cert=[leaf.certificate, between.certificate])
    xml = etree.tostring(data)
    assert read_one(xml, (root.certificate,)).signature is Verdict.VALID
    assert read_one(xml, (between.certificate,)).signature is Verdict.VALID
    assert read_one(xml, (STRANGER.certificate,)).flags == ("signer_unknown",)
    lone = signed(leaf)
    assert read_one(lone, (root.certificate,)).flags == ("signer_unknown",)
    assert read_one(signed(identity("kttv", issuer=root)), (root.certificate,)).signature is Verdict.VALID


def test_a_sender_is_no_authority() -> None:
    """A trusted sender's certificate does not vouch for certificates that its key signed."""
    leaf = identity("pupil", issuer=STRANGER)
    assert read_one(signed(leaf), (STRANGER.certificate,)).flags == ("signer_unknown",)


def test_expired_and_not_yet_valid() -> None:
    old = identity(ends=NOW - timedelta(days=1))
    assert read_one(signed(old), (old.certificate,)).flags == ("certificate_expired",)
    early = identity(begins=NOW + timedelta(days=1))
    reading = read_one(signed(early), (early.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.UNTRUSTED, ("certificate_not_yet_valid",))
    renewed = identity(key=old.key)
    assert read_one(signed(old), (old.certificate, renewed.certificate)).signature is Verdict.VALID


def test_expired_below_an_authority() -> None:
    root = identity("authority", authority=True)
    old = identity(issuer=root, ends=NOW - timedelta(days=1))
    assert read_one(signed(old), (root.certificate,)).flags == ("certificate_expired",)
    early = identity(issuer=root, begins=NOW + timedelta(days=1))
    assert read_one(signed(early), (root.certificate,)).flags == ("certificate_not_yet_valid",)


def test_odd_certificates_among_the_trusted() -> None:
    """A key of a kind that signs no alerts, and an authority nobody asked for, harm nobody."""
    odd = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(odd.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    trust = (builder.sign(odd, None), identity("authority", authority=True).certificate, SENDER.certificate)
    assert read_one(signed(), trust).signature is Verdict.VALID
    assert read_one(signed(STRANGER), trust).flags == ("signer_unknown",)


def test_a_certificate_that_is_not_for_signing() -> None:
    wrong = identity(may_sign=False)
    assert read_one(signed(wrong), (wrong.certificate,)).flags == ("certificate_usage",)
    root = identity("authority", authority=True)
    leaf = identity(issuer=root, may_sign=False)
    assert read_one(signed(leaf), (root.certificate,)).flags == ("certificate_usage",)


# -- other forms ------------------------------------------------------------------------------------------------------


def raw_key_signed(who: Identity) -> bytes:
    root = etree.fromstring(FLOOD.encode())
    method = "rsa-sha256" if who is SENDER else "ecdsa-sha256"
    return etree.tostring(XMLSigner(signature_algorithm=method).sign(root, key=who.key))


@pytest.mark.parametrize("who", [SENDER, STRANGER])
def test_a_raw_key_is_untrusted_unless_pinned(who: Identity) -> None:
    reading = read_one(raw_key_signed(who))
    assert (reading.signature, reading.flags) == (Verdict.UNTRUSTED, ("signer_unknown",))
    assert read_one(raw_key_signed(who), (who.certificate,)).signature is Verdict.VALID


def test_no_key_at_all() -> None:
    root = etree.fromstring(signed())
    info = next(root.iter(DS + "KeyInfo"))
    info.getparent().remove(info)  # type: ignore[union-attr]
    bare = etree.tostring(root)
    assert read_one(bare, (STRANGER.certificate, SENDER.certificate)).signature is Verdict.VALID
    assert read_one(bare).flags == ("signature_uncheckable",)
    assert read_one(bare).signature is Verdict.UNTRUSTED
    assert read_one(bare, (STRANGER.certificate,)).signature is Verdict.UNTRUSTED


def test_wrapping_is_refused() -> None:
    """The classic: the signed alert moved inside, where only the verifier looks; a forged one outside."""
    forged = etree.fromstring(edited(("Lũ quét", "Hết lũ")))
    inner = etree.fromstring(signed())
    signature = inner.find(DS + "Signature")
    assert signature is not None
    holder = etree.SubElement(signature, DS + "Object")
    inner.remove(signature)
    holder.append(inner)
    forged.append(signature)
    reading = read_one(etree.tostring(forged), (SENDER.certificate,))
    assert reading.signature is Verdict.INVALID
    assert reading.alert is not None
    assert reading.alert.infos[0].event == "Hết lũ"


@pytest.mark.parametrize("uri", ["#x", "#xpointer(/)", "http://127.0.0.1:1/alert", "file:///etc/passwd", None])
def test_a_reference_to_anything_but_the_document(uri: str | None) -> None:
    root = etree.fromstring(signed())
    root.set("Id", "x")
    reference = next(root.iter(DS + "Reference"))
    if uri is None:
        del reference.attrib["URI"]
    else:
        reference.set("URI", uri)
    reading = read_one(etree.tostring(root), (SENDER.certificate,))
    assert (reading.signature, reading.flags[0]) == (Verdict.INVALID, "signature_partial")


def test_a_transform_that_cuts() -> None:
    root = etree.fromstring(signed())
    transforms = next(root.iter(DS + "Transforms"))
    transform = etree.SubElement(transforms, DS + "Transform")
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xpath-19991116")
    reading = read_one(etree.tostring(root), (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.INVALID, ("signature_partial",))


def test_misplaced_and_too_many() -> None:
    root = etree.fromstring(signed())
    signature = root.find(DS + "Signature")
    info = root.find("{urn:oasis:names:tc:emergency:cap:1.2}info")
    assert signature is not None
    assert info is not None
    info.append(signature)
    assert read_one(etree.tostring(root), (SENDER.certificate,)).flags == ("signature_misplaced",)
    many = signed().decode()
    block = many[many.index("<ds:Signature") : many.index("</alert>")]
    assert read_one(many.replace("</alert>", block * 2 + "</alert>").encode()).flags == ("signature_malformed",)


def test_hmac_with_the_public_certificate_as_secret() -> None:
    data = signed().decode().replace("2001/04/xmldsig-more#rsa-sha256", "2001/04/xmldsig-more#hmac-sha256")
    reading = read_one(data.encode(), (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.UNTRUSTED, ("signature_uncheckable",))


def twice_signed(first: Identity, second: Identity) -> bytes:
    """As NAADS does: each signature is made with both taken out, and the Id has a blank."""
    root = etree.fromstring(signed(first))
    other = etree.fromstring(signed(second)).find(DS + "Signature")
    assert other is not None
    other.set("Id", "NAADS Signature")
    other.append(
        etree.fromstring('<Object><SignatureProperties><SignatureProperty Id="a b"/></SignatureProperties></Object>')
    )
    root.append(other)
    return etree.tostring(root)


def test_two_signatures_each_made_with_both_removed() -> None:
    naads = identity("naads")
    both = twice_signed(SENDER, naads)
    assert read_one(both).signature is Verdict.UNTRUSTED
    assert read_one(both, (SENDER.certificate,)).signature is Verdict.VALID
    assert read_one(both, (naads.certificate,)).signature is Verdict.VALID
    altered = both.replace(b"Extreme", b"Minor")
    assert read_one(altered, (SENDER.certificate, naads.certificate)).signature is Verdict.INVALID


def test_a_countersignature() -> None:
    """The second covers the first. Both orders are met."""
    office = identity("office")
    first = etree.fromstring(signed())
    signer = XMLSigner(signature_algorithm="ecdsa-sha256")
    both = signer.sign(first, key=office.key, cert=[office.certificate])
    own, counter = both.findall(DS + "Signature")
    assert read_one(etree.tostring(both), (office.certificate,)).signature is Verdict.VALID
    assert read_one(etree.tostring(both), (SENDER.certificate,)).signature is Verdict.VALID
    own.addprevious(counter)
    assert read_one(etree.tostring(both), (office.certificate,)).signature is Verdict.VALID
    next(own.iter(DS + "SignatureValue")).text = "AAAA"
    assert read_one(etree.tostring(both), (SENDER.certificate, office.certificate)).signature is Verdict.INVALID


def test_a_strangers_good_signature_does_not_heal_a_broken_one() -> None:
    altered = signed().replace(b"Extreme", b"Minor")
    root = etree.fromstring(altered)
    bare = etree.fromstring(altered)
    bare.remove(bare.find(DS + "Signature"))  # type: ignore[arg-type]
    root.append(etree.fromstring(signed(STRANGER, etree.tostring(bare))).find(DS + "Signature"))  # type: ignore[arg-type]
    for trust in ((SENDER.certificate,), (SENDER.certificate, STRANGER.certificate)):
        reading = read_one(etree.tostring(root), trust)
        assert reading.signature is not Verdict.VALID
        assert "signature_mixed" in reading.flags


def test_an_alert_signed_before_it_was_wrapped() -> None:
    alert = signed().decode().partition("?>")[2]
    wrapped = (
        '<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0" xmlns:xsi="http://x/"><contentObject>'
        f"<xmlContent><embeddedXMLContent>{alert}</embeddedXMLContent></xmlContent></contentObject></EDXLDistribution>"
    )
    reading = read_one(wrapped.encode(), (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.VALID, ("wrapped_edxl",))
    inclusive = etree.tostring(
        XMLSigner().sign(etree.fromstring(FLOOD.encode()), key=SENDER.key, cert=[SENDER.certificate])
    ).decode()
    feed = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:cap="x" xmlns:a="b:c">'
    wrapped = f"{feed}<entry><content>{inclusive}</content></entry></feed>"
    reading = read_one(wrapped.encode(), (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.VALID, ("wrapped_atom",))


def test_what_is_read_is_what_was_signed() -> None:
    """Comments are not covered by the signature, so they must not cut the text that is read either."""
    data = signed().replace("Lũ quét trên".encode(), "Lũ <!-- không có --> quét trên".encode())
    plain = sign_alert(edited(("Lũ quét trên", "Lũ  quét trên")), SENDER.key, SENDER.certificate)
    spaced = plain.replace("Lũ  quét trên".encode(), "Lũ <!-- không có --> quét trên".encode())
    assert read_one(data, (SENDER.certificate,)).signature is Verdict.INVALID
    reading = read_one(spaced, (SENDER.certificate,))
    assert reading.signature is Verdict.VALID
    assert reading.alert is not None
    assert reading.alert.infos[0].headline == "Lũ  quét trên sông Đakrông"


# -- signing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "who", "code"),
    [
        (b"<a/>", SENDER, "no_alert"),
        (b"", SENDER, "empty"),
        (signed(), SENDER, "already_signed"),
        (FLOOD.encode(), Identity(SENDER.key, STRANGER.certificate), "wrong_key"),
    ],
)
def test_what_is_not_signed(data: bytes, who: Identity, code: str) -> None:
    with pytest.raises(CapError) as caught:
        sign_alert(data, who.key, who.certificate)
    assert caught.value.code == code


# -- xmlsec1 ----------------------------------------------------------------------------------------------------------


def run_xmlsec1(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    assert xmlsec1 is not None
    return subprocess.run([xmlsec1, *map(str, arguments)], capture_output=True, check=False, timeout=20)


@needs_xmlsec1
@pytest.mark.parametrize("who", [SENDER, identity()], ids=["rsa", "ecdsa"])
def test_xmlsec1_accepts_what_we_sign(tmp_path: Path, who: Identity) -> None:
    alert = read_one(FLOOD.encode()).alert
    assert alert is not None
    (tmp_path / "trusted.pem").write_bytes(who.pem())
    (tmp_path / "alert.xml").write_bytes(signed(who, write_alert(alert)))
    arguments = (
        "--verify",
        "--trusted-pem",
        tmp_path / "trusted.pem",
        "--verification-gmt-time",
        "2026-10-17 00:00:00",
    )
    judged = run_xmlsec1(*arguments, tmp_path / "alert.xml")
    assert judged.returncode == 0, judged.stderr
    (tmp_path / "altered.xml").write_bytes((tmp_path / "alert.xml").read_bytes().replace(b"Extreme", b"Minor"))
    assert run_xmlsec1(*arguments, tmp_path / "altered.xml").returncode != 0


TEMPLATE = """<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>
<CanonicalizationMethod Algorithm="{c14n}"/><SignatureMethod Algorithm="{method}"/>
<Reference URI=""><Transforms><Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>{more}</Transforms>
<DigestMethod Algorithm="{digest}"/><DigestValue/></Reference></SignedInfo><SignatureValue/>
{key}</Signature></alert>"""
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"


@needs_xmlsec1
@pytest.mark.parametrize("key", ["<KeyInfo><X509Data/></KeyInfo>", "<KeyInfo><KeyValue/></KeyInfo>", ""])
@pytest.mark.parametrize("c14n", [INCLUSIVE, EXCLUSIVE, "http://www.w3.org/2006/12/xml-c14n11"])
def test_we_accept_what_xmlsec1_signs(tmp_path: Path, c14n: str, key: str) -> None:
    more = f'<Transform Algorithm="{c14n}"/>' if c14n == EXCLUSIVE else ""
    block = TEMPLATE.format(
        c14n=c14n, method=MORE + "rsa-sha256", digest="http://www.w3.org/2001/04/xmlenc#sha256", key=key, more=more
    )
    (tmp_path / "key.pem").write_bytes(SENDER.key_pem())
    (tmp_path / "cert.pem").write_bytes(SENDER.pem())
    (tmp_path / "in.xml").write_text(FLOOD.replace("</alert>", block))
    made = run_xmlsec1(
        "--sign", "--privkey-pem", f"{tmp_path / 'key.pem'},{tmp_path / 'cert.pem'}", "--output", tmp_path / "out.xml",
        tmp_path / "in.xml",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    xml = (tmp_path / "out.xml").read_bytes()
    reading = read_one(xml, (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.VALID, ())
    assert read_one(xml.replace(b"Extreme", b"Minor"), (SENDER.certificate,)).signature in (
        {Verdict.INVALID} if key else {Verdict.UNTRUSTED, Verdict.INVALID}
    )


@needs_xmlsec1
def test_sha_1_is_intact_and_never_trusted(tmp_path: Path) -> None:
    block = TEMPLATE.format(
        c14n=INCLUSIVE,
        method="http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        digest="http://www.w3.org/2000/09/xmldsig#sha1",
        key="<KeyInfo><X509Data/></KeyInfo>",
        more="",
    )
    (tmp_path / "key.pem").write_bytes(SENDER.key_pem())
    (tmp_path / "cert.pem").write_bytes(SENDER.pem())
    (tmp_path / "in.xml").write_text(FLOOD.replace("</alert>", block))
    made = run_xmlsec1(
        "--sign", "--privkey-pem", f"{tmp_path / 'key.pem'},{tmp_path / 'cert.pem'}", "--output", tmp_path / "out.xml",
        tmp_path / "in.xml",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    xml = (tmp_path / "out.xml").read_bytes()
    reading = read_one(xml, (SENDER.certificate,))
    assert (reading.signature, reading.flags) == (Verdict.UNTRUSTED, ("signature_weak",))
    assert read_one(xml.replace(b"Extreme", b"Minor"), (SENDER.certificate,)).signature is Verdict.INVALID


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize(
    "name", ["oasiscap_ipaws-5e6dd964023f1930ef638846.xml", "oasiscap_ipaws-5e6ddbad023f1930ef6c1a5a.xml"]
)
def test_real_signatures_of_a_national_gateway(name: str) -> None:
    from controller.cap.signatures import _certificates  # noqa: PLC0415

    data = (CORPUS / name).read_bytes()
    (own,) = _certificates(next(etree.fromstring(data).iter(DS + "Signature")))
    at = own.not_valid_after_utc - timedelta(days=30)
    assert read_one(data, (own,), at).signature is Verdict.VALID
    assert read_one(data, (own,)).flags[0] == "certificate_expired"
    assert read_one(data, (), at).flags[0] == "signer_unknown"
    altered = data.replace(b"2019-", b"2029-", 1)
    assert read_one(altered, (own,), at).signature is Verdict.INVALID

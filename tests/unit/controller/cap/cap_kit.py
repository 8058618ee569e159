"""Alerts, keys and certificates that the CAP tests make."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from controller.cap import Reading, read_alerts
from controller.cap.writing import SigningKey

NOW = datetime(2026, 10, 17, 9, 32, tzinfo=UTC)
CORPUS = Path(__file__).resolve().parents[4] / ".." / "shared" / "corpus" / "cap"
CAP = "urn:oasis:names:tc:emergency:cap:1.2"

FLOOD = f"""<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="{CAP}">
  <identifier>VN-QT-1</identifier>
  <sender>kttv@example.vn</sender>
  <sent>2026-10-17T16:30:00+07:00</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <scope>Public</scope>
  <info>
    <language>vi</language>
    <category>Met</category>
    <event>Lũ quét</event>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Likely</certainty>
    <expires>2026-10-17T20:30:00+07:00</expires>
    <headline>Lũ quét trên sông Đakrông</headline>
    <area>
      <areaDesc>Đakrông</areaDesc>
      <polygon>16.5,106.9 16.5,107.1 16.7,107.1 16.7,106.9 16.5,106.9</polygon>
      <circle>16.6,107.0 12.5</circle>
      <geocode><valueName>VN-commune</valueName><value>19498</value></geocode>
    </area>
  </info>
</alert>
"""


def edited(*changes: tuple[str, str], text: str = FLOOD) -> bytes:
    """The flood alert with each of ``changes`` made once."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text.encode()


def read_one(data: bytes, trust: tuple[x509.Certificate, ...] = (), now: datetime = NOW) -> Reading:
    (reading,) = read_alerts(data, now=now, trust=trust)
    return reading


@dataclass(frozen=True)
class Identity:
    """A key with its certificate."""

    key: SigningKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """One RSA key for each ``number``: they are slow to make."""
    del number
    return rsa.generate_private_key(65537, 2048)


def identity(
    name: str = "kttv",
    *,
    issuer: Identity | None = None,
    authority: bool = False,
    key: SigningKey | None = None,
    begins: datetime = NOW - timedelta(days=30),
    ends: datetime = NOW + timedelta(days=300),
    may_sign: bool = True,
) -> Identity:
    own = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else own
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=may_sign and not authority,
        content_commitment=False,
        key_encipherment=not may_sign,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    return Identity(own, builder.sign(signer, hashes.SHA256()))

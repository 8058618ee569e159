"""The key and certificate that our own CAP alerts are signed with, so that others can believe them.

Rules kept here:

1. Made at first need, RSA with 3 072 bits and a certificate by itself: the form of XML signature that every CAP reader
   takes. Those who want to believe us pin this certificate; a renewal is a new one, so it never happens by itself.
2. It has nothing to do with what agents obey: whoever takes this key can write warnings in our name for others to
   read, and moves no loudspeaker of ours.
3. Key and certificate are two files in the vault's folder, the key first; a key without its certificate gets a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from controller.keys.errors import VaultError
from controller.store.files import write_file

#: Long enough that pinning it is worth the effort, short enough that the way to renew it is not forgotten.
LIFE: Final = timedelta(days=3 * 365)
_BITS: Final = 3_072
_BACKDATE: Final = timedelta(days=1)
_NAME_MAX: Final = 64
CAP_KEY, CAP_CERTIFICATE = "cap.key", "cap.crt"


@dataclass(frozen=True, slots=True)
class CapIdentity:
    """A signing key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate, for those who want to believe us."""
        return self.certificate.public_bytes(Encoding.PEM).decode()


def ensure_identity(folder: Path, name: str, *, now: datetime) -> CapIdentity:
    """The identity in ``folder``; made when it is not there. Takes a second when it is made: call it in a thread.

    Raises:
        VaultError: the files are there and cannot be read, or do not belong together.
    """
    key_file, certificate_file = folder / CAP_KEY, folder / CAP_CERTIFICATE
    if not key_file.exists():
        return renew_identity(folder, name, now=now)
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise VaultError(f"{key_file} holds another kind of key")
        if not certificate_file.exists():
            return _certify(folder, key, name, now)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise VaultError(f"{key_file} or its certificate cannot be read ({error}); restore them, or renew") from error
    if certificate.public_key() != key.public_key():
        raise VaultError(f"{certificate_file} is of another key; run: loa-controller keys cap --renew --data DIR")
    return CapIdentity(key, certificate)


def renew_identity(folder: Path, name: str, *, now: datetime) -> CapIdentity:
    """A new key and certificate in place of the old ones, which are overwritten."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=_BITS)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / CAP_CERTIFICATE).unlink(missing_ok=True)
    write_file(folder / CAP_KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return _certify(folder, key, name, now)


def _certify(folder: Path, key: rsa.RSAPrivateKey, name: str, now: datetime) -> CapIdentity:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_NAME_MAX])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    write_file(folder / CAP_CERTIFICATE, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return CapIdentity(key, certificate)

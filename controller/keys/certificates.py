"""Self-made TLS certificates, so that the first start needs no authority.

Trust does not rest on them: agents and controller bind their signed handshake to the certificate's hash, and the
command line pins its fingerprint. They therefore live long and name every address that is asked for.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.keys.errors import VaultError
from controller.store.files import write_file

LIFE = timedelta(days=3650)
_BACKDATE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, in hex.

        Raises:
            VaultError: the file holds no certificate.
        """
        return hashlib.sha256(self._load().public_bytes(Encoding.DER)).hexdigest()

    def server_context(self) -> ssl.SSLContext:
        """A TLS server context for the pair.

        Raises:
            VaultError: the files are missing, broken or do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise VaultError(f"the certificate {self.certificate} and its key cannot be used: {error}") from error
        return context

    def expires(self) -> datetime:
        """When it expires.

        Raises:
            VaultError: the file holds no certificate.
        """
        return self._load().not_valid_after_utc

    def _load(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise VaultError(f"{self.certificate} holds no certificate in PEM form: {error}") from error


def ensure_certificate(folder: Path, name: str, hosts: Iterable[str], *, now: datetime) -> CertificatePair:
    """The pair ``name`` in ``folder``; made when it is not there."""
    pair = CertificatePair(folder / f"{name}.crt", folder / f"{name}.key")
    if pair.certificate.exists() and pair.key.exists():
        return pair
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Loa controller ({name})")])
    known = {"localhost", socket.gethostname(), *hosts} - {""}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in sorted(known)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_file(pair.certificate, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return pair


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode())

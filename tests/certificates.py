"""A certificate authority of a test's own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates into a folder.

    Attributes:
        certificate: Of the authority itself, PEM.
    """

    def __init__(self, folder: Path, name: str = "test CA", days: float = 90) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / "ca.crt"
        builder = self._builder(self._name, self._key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write(builder, self.certificate)

    def issue(
        self, name: str, *, names: Sequence[str] = (), organization: str = "Clinic", days: float = 60
    ) -> tuple[Path, Path]:
        """A certificate and its key, as `NAME.crt` and `NAME.key`; the same name again replaces them.

        Args:
            name: Common name, with the organization before it.
            names: Host names and addresses that it is for.
            organization: Of the subject.
            days: How long it is valid from now on; negative: it has expired.
        """
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key, days)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        certificate, key_path = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        self._write(builder, certificate)
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key_path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=days))
        )

    def _write(self, builder: x509.CertificateBuilder, path: Path) -> None:
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

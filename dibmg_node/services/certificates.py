"""Until when certificates hold. The only door to cryptography, which no node without certificates imports."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


def chain_expires_at(path: Path) -> datetime:
    """When the first certificate of a PEM file expires: with any of its chain a connection fails.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate.
    """
    return min(one.not_valid_after_utc for one in _certificates(path))


def trust_expires_at(path: Path) -> datetime:
    """When the last certificate of a PEM file of authorities expires; bundles keep expired ones.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate.
    """
    return max(one.not_valid_after_utc for one in _certificates(path))


def _certificates(path: Path) -> list[x509.Certificate]:
    from cryptography import x509

    return x509.load_pem_x509_certificates(path.read_bytes())

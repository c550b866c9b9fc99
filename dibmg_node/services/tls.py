"""TLS on both sides: which versions and suites, whom we trust, who we are, and files that are renewed.

Source: PS3.15 B.12, BCP 195 (RFC 8996, RFC 9325): TLS 1.2 or 1.3, ephemeral keys, authenticated encryption.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg_node.errors import ConfigError

_log = logging.getLogger(__name__)

SUITES: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""Of TLS 1.2, best first; those that RFC 9325 4.2 recommends. TLS 1.3 has no others than it allows."""


@dataclass(frozen=True)
class TlsFiles:
    """Whom a TLS connection trusts, and who this side is. There is no way to trust everybody.

    Attributes:
        ca: Certificates to trust, PEM; None: as a client the system's, as a server nobody is asked.
        certificate: Of this side, with its chain, PEM.
        key: Of that certificate, not encrypted; None where it is in the same file.
        server_name: As a client, what the server's certificate has to be for; None: the address called.
        pinned: `ca` holds the server's own certificate: that one is expected, whatever name it is for.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    pinned: bool = False


def trust_of(files: TlsFiles) -> ssl.SSLContext:
    """How the connections that this side asks for are verified: always; by name, too, but for a pinned one.

    Raises:
        OSError: A file cannot be read, or is not what it should be (ssl.SSLError).
    """
    context = ssl.create_default_context(cafile=str(files.ca) if files.ca else None)
    # Python 3.13 asks for more, RFC 5280 to the letter, than the certificates of many a PACS have, and takes
    # an intermediate authority for a root
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    _restrict(context)
    _show(context, files)
    if files.pinned:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class ServerTls:
    """What a listening socket shows, and whom it asks: renewed while connections go on.

    Attributes:
        context: For the listener, for good: each new connection gets what is current by then.
    """

    def __init__(self, files: TlsFiles, key_path: str) -> None:
        """Read the files.

        Args:
            files: With a certificate. With a CA every client must show a certificate of it.
            key_path: Of the section in the configuration, for complaints.

        Raises:
            ConfigError: A file cannot be used.
        """
        self._files, self._key_path = files, key_path
        self._current = _server_context(files, key_path)
        self.context = _server_context(files, key_path)
        # called for every ClientHello, whether it names a server or not
        self.context.sni_callback = self._hand_over

    def renew(self) -> None:
        """Read the files again, for connections from now on.

        Raises:
            ConfigError: A file cannot be used; what was current stays so.
        """
        self._current = _server_context(self._files, self._key_path)

    def renew_or_keep(self) -> None:
        """The same, where nobody waits for an answer: the log tells."""
        extra: dict[str, object] = {"section": self._key_path}
        try:
            self.renew()
        except ConfigError as error:
            _log.error("TLS files not taken, the former stay in use", extra={**extra, "reason": str(error)})
        else:
            _log.info("TLS files read anew", extra=extra)

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        connection.context = self._current


def told_of(error: ssl.SSLError) -> str:
    """What went wrong in a handshake, in OpenSSL's own words; it quotes nothing of the peer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(error.reason or type(error).__name__).replace("_", " ").lower()


def _server_context(files: TlsFiles, key_path: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    # a session of a client that is no longer trusted is not gone on with
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    names = f"{key_path}.certificate, {key_path}.key"
    try:
        _show(context, files)
    except OSError as error:
        raise ConfigError([f"{names}: cannot be used ({_reason(error)})"]) from error
    if files.ca is not None:
        try:
            context.load_verify_locations(files.ca)
        except OSError as error:
            raise ConfigError([f"{key_path}.ca: cannot be used ({_reason(error)})"]) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(SUITES))


def _show(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate:
        # without a password OpenSSL would ask for one on the terminal
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

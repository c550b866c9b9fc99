"""Files of TLS: readable, for their owner alone, of one key, and valid for a while."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dibmg_node.config import Settings
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.health.certificate_watch import expiries
from dibmg_node.services.tls import TlsFiles, trust_of
from dibmg_node.wiring import foundation


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at every file of TLS that the configuration names."""
    now = foundation.now()
    found = expiries(settings)
    for one in found:
        warning = one.warning(now)
        if warning is None and one.at is not None:
            yield well(one.key, f"valid until {one.at:%Y-%m-%d}")
        elif warning is not None and (one.at is None or one.at <= now):
            yield bad(one.key, warning, "a certificate that is valid", f"renew {one.file}, then send SIGHUP")
        elif warning is not None:
            yield doubtful(one.key, warning, "30 days and more", f"renew {one.file}, then send SIGHUP")
    pairs = list(_pairs(settings))
    for key, certificate, private in pairs:
        yield from judge_pair(key, certificate, private)
    if not found and not pairs:
        yield well("certificates", "none is configured")


def judge_pair(key: str, certificate: Path, private: Path) -> Iterator[Verdict]:
    """Whether a key belongs to its certificate, and who may read it.

    Args:
        key: Path of the section in the configuration.
        certificate: PEM.
        private: The key, PEM.
    """
    try:
        trust_of(TlsFiles(None, certificate, private))
    except ssl.SSLError as error:
        differ = error.reason == "KEY_VALUES_MISMATCH"
        told = "the key is that of another certificate" if differ else "the files hold no certificate and key"
        yield bad(f"{key}.key", told, "the key of its certificate", f"put the right pair into {key}")
    except OSError as error:
        told = f"{error.strerror or type(error).__name__}"
        yield bad(
            f"{key}.key", told, "files that this user can read", f"give this user read access to {private}"
        )
    else:
        yield well(f"{key}.key", "belongs to its certificate")
    if private.exists():
        yield judge_secret(f"{key}.key", private)


def judge_secret(check: str, path: Path) -> Verdict:
    """Whether a secret is one: for its owner alone, or read by a group of the node's own."""
    mode = path.stat().st_mode & 0o777
    found, expected = f"{path.name} has mode {mode:04o}", "0600, or 0640 for a group of the node's own"
    if mode & 0o027:
        return bad(f"{check} file", found, expected, f"chmod 600 {path}")
    return well(f"{check} file", found)


def _pairs(settings: Settings) -> Iterator[tuple[str, Path, Path]]:
    """Certificates with their keys, by the path of the section."""
    sections: list[tuple[str, Any]] = [
        ("intake.tls", settings.intake.tls),
        ("web.tls", settings.web and settings.web.tls),
        ("broker.tls", settings.broker.tls),
        ("audit", settings.audit),
        ("selftest", settings.selftest),
    ]
    sections += [(f"destination.{n}.tls", one.tls) for n, one in enumerate(settings.destination)]
    for key, section in sections:
        certificate = getattr(section, "certificate", None)
        if certificate is not None:
            private = section.key or certificate
            yield key, settings.folder / certificate, settings.folder / private

"""Auditing: from the settings to the audit trail of a process, and to whom it is passed on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Final
from urllib.parse import urlsplit

from dibmg_node.config import Settings
from dibmg_node.environment import read_secret
from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.machine.processes import alone, process_name
from dibmg_node.sections.values import host_and_port
from dibmg_node.services.audit import Auditor
from dibmg_node.services.audit_forwarding import Forwarder
from dibmg_node.services.pseudonyms import Pseudonyms
from dibmg_node.services.syslog import SyslogPeer
from dibmg_node.services.tls import TlsFiles, trust_of
from dibmg_node.storage.ownership import hand_over
from dibmg_node.storage.trail import Trail

_KEY: Final = "DIBMG_AUDIT_KEY"
_SHORTEST_KEY: Final = 16
_FORWARDING: Final = "audit-syslog.lock"
_TAKE_OVER_SECONDS: Final = 2.0


def trail_folder(settings: Settings) -> Path:
    """Where the audit trail is."""
    return settings.data_dir / "audit"


def bookmark_file(settings: Settings) -> Path:
    """Tells how far the trail was passed on."""
    return settings.data_dir / "audit-syslog.json"


def verification_file(settings: Settings) -> Path:
    """Tells what came of the last verification of the trail."""
    return settings.data_dir / "audit-verified.json"


def open_audit(settings: Settings, process: str, now: Callable[[], datetime]) -> Auditor:
    """The audit of one process.

    Raises:
        ConfigError: The key for pseudonyms, or the folder of the trail, cannot be used.
    """
    pseudonyms = Pseudonyms(audit_key(settings))
    try:
        trail = Trail(trail_folder(settings), process_name(process, settings.node_name))
    except OSError as error:
        raise ConfigError([f"node.data_dir: {trail_folder(settings)}: {error.strerror}"]) from error
    addresses = {
        one.name: one.address or urlsplit(one.url or "").hostname or "" for one in settings.destination
    }
    return Auditor(trail, settings.intake.ae_title, pseudonyms, now, addresses)


@contextmanager
def audited(settings: Settings, process: str, now: Callable[[], datetime]) -> Iterator[Auditor]:
    """The same, with the process's start and, where it ends in good order, its stop."""
    audit = open_audit(settings, process, now)
    audit.started(process)
    yield audit
    audit.stopped(process)


def audit_key(settings: Settings) -> bytes:
    """Key of the patients' pseudonyms: from the environment, else one that is made once and kept.

    Raises:
        ConfigError: It is too short, or its file cannot be used.
    """
    secret = read_secret(_KEY)
    if secret:
        if len(secret) < _SHORTEST_KEY:
            raise ConfigError([f"{_KEY}: expected at least {_SHORTEST_KEY} characters"])
        return secret.encode()
    path = settings.data_dir / "audit.key"
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError([f"node.data_dir: {path}: {error.strerror}"]) from error
    if len(key) < _SHORTEST_KEY:
        raise ConfigError([f"node.data_dir: {path}: expected at least {_SHORTEST_KEY} characters"])
    return key


def check_audit(settings: Settings) -> None:
    """Whether the files that `[audit]` names can be used, and the key if the environment has one.

    Raises:
        ConfigError: With every complaint, each with the path of its key.
    """
    complaints = []
    secret = read_secret(_KEY)
    if secret and len(secret) < _SHORTEST_KEY:
        complaints.append(f"{_KEY}: expected at least {_SHORTEST_KEY} characters")
    try:
        trust_of(_tls_files(settings))
    except OSError as error:
        complaints.append(f"audit: a file of TLS cannot be used: {error.strerror or error}")
    if complaints:
        raise ConfigError(complaints)


@contextmanager
def forwarding(settings: Settings, now: Callable[[], datetime]) -> Iterator[None]:
    """Pass the trail on from a thread of its own, where a receiver is configured.

    One process of the data folder does it at a time; another takes over where that one ends.
    """
    if settings.audit.syslog is None:
        yield
        return
    host, port = host_and_port(settings.audit.syslog)
    peer = SyslogPeer(host, port, _tls_files(settings))
    forwarder = Forwarder(trail_folder(settings), bookmark_file(settings), peer, now)
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            with (
                suppress(PermanentError),
                alone(settings.data_dir / _FORWARDING, "another process passes it on"),
            ):
                forwarder.run(stopping)
            stopping.wait(_TAKE_OVER_SECONDS)

    # a daemon: a receiver that hangs must not hold up the end of the process, and its lines are kept
    threading.Thread(target=run, name="syslog", daemon=True).start()
    try:
        yield
    finally:
        stopping.set()


def _make_key(path: Path) -> None:
    """Make a key; of several processes that do so at once one is first, and the others take its key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, f"{token_hex(32)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    hand_over(draft)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _tls_files(settings: Settings) -> TlsFiles:
    audit = settings.audit
    ca, certificate, key = (
        path and settings.folder / path for path in (audit.ca, audit.certificate, audit.key)
    )
    return TlsFiles(ca, certificate, key)

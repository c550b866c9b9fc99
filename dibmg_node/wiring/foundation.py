"""Wiring: from the settings to what every process has: archive, ledger, log. Here alone both are known.

What only some processes have is made in `receiving`, `analyzing`, `delivering`, `purging`, `serving`: each
process imports what it works with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.domain.result import Wanted, variant_of
from dibmg_node.environment import read_secret
from dibmg_node.services.tls import TlsFiles
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.holds import Hold, Holds
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.object_archive import ObjectArchive
from dibmg_node.storage.objects import open_objects

_ARCHIVE_KEY: Final = "DIBMG_ARCHIVE_KEY"
_ARCHIVE_SECRET: Final = "DIBMG_ARCHIVE_SECRET"


def now() -> datetime:
    """The time: made here, handed down."""
    return datetime.now(UTC)


def wanted(settings: Settings) -> Wanted | None:
    """What each destination is to get; None, nobody knows, where there is none.

    A host without destinations is not to give up what another one delivers.
    """
    found = {}
    for one in settings.destination:
        found[one.name] = {(kind, variant_of(kind, one.finding_code)) for kind in one.results}
    return found or None


def open_archive(settings: Settings, spool: str = "spool") -> Archive:
    """The archive below the data folder, in a folder that several nodes share, or in an object storage.

    In a folder that may be shared each node writes what is not finished into folders of its own: it clears
    them when it starts.
    """
    section = settings.archive
    own = f"-{settings.node_name}" if section.folder is not None else ""
    spool, drafts = f"{spool}{own}", f"drafts{own}"
    if section.url is None:
        return Archive(settings.archive_folder, spool, drafts)
    key, secret = read_secret(_ARCHIVE_KEY), read_secret(_ARCHIVE_SECRET)
    objects = open_objects(section.url, section.endpoint, key, secret)
    cache_bytes = int(section.cache_gb * 2**30)
    return ObjectArchive(settings.archive_folder, spool, drafts, objects=objects, cache_bytes=cache_bytes)


def make_hold(settings: Settings, ledger: Ledger, archive: Archive) -> Hold:
    """How an instance is held while its file comes or goes: by the ledger, where others may reach it too."""
    if settings.shares_archive and settings.ledger.url != "embedded":
        return Holds(ledger.engine).held
    return archive.held


def open_node_ledger(settings: Settings) -> Ledger:
    """The ledger of these settings; its schema must be current."""
    return open_ledger(settings.ledger_url, settings.exam_policy)


def broker_tls(settings: Settings) -> TlsFiles:
    """Whom a connection to a broker by rediss:// trusts, and what it shows."""
    tls = settings.broker.tls
    if tls is None:
        return TlsFiles()
    ca, certificate, key = (path and settings.folder / path for path in (tls.ca, tls.certificate, tls.key))
    return TlsFiles(ca, certificate, key)


def log_folder(settings: Settings) -> Path:
    """Where every process has its log."""
    return settings.data_dir / "logs"


def ahead_nudge(settings: Settings) -> Path:
    """Where the analysis of this machine is told that an image has come."""
    return settings.data_dir / "ahead.nudge"


def sweep_nudge(settings: Settings) -> Path:
    """Where the sweep of this machine is told that there is something to look for."""
    return settings.data_dir / "sweep.nudge"

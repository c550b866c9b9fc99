"""A node among others: it enters itself in the ledger, checks that archive and ledger are one, and leaves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from secrets import token_hex
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError, RetryableError
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.marks import Marks
from dibmg_node.storage.nodes import SILENT_AFTER, NodeEntry
from dibmg_node.storage.schema_version import newest_known
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 5.0
_TOKEN_FILE: Final = "node.id"


def check_archive(settings: Settings, archive: Archive, marks: Marks) -> None:
    """Whether the archive of these settings is the one that the ledger speaks of; both are marked when new.

    Raises:
        ConfigError: It is another one, or none.
    """
    section = settings.archive
    key = "archive.url" if section.url else "archive.folder" if section.folder else "node.data_dir"
    expected, found = marks.archive(), None
    try:
        found = archive.identity()
        if found is None and expected is not None and _is_its_own(settings):
            found = archive.give_identity(expected)
        if expected is None:
            found = found or archive.give_identity()
            expected = marks.enter_archive(found)
    except OSError as error:
        raise ConfigError([f"{key}: {archive.marker}: {error.strerror}"]) from error
    if found != expected:
        told = f"is archive {found}" if found else "is no archive yet"
        raise ConfigError(
            [
                f"{key}: {section.url or archive.root} {told}, the ledger is that of archive {expected}. All "
                "nodes of a ledger share one archive (archive.folder, archive.url): is it mounted? If this "
                f"is to take the place of that one, write {expected} into {archive.marker}"
            ]
        )


def _is_its_own(settings: Settings) -> bool:
    """Whether ledger and archive lie in one data folder: then no other node has either."""
    return settings.ledger.url == "embedded" and not settings.shares_archive


@contextmanager
def registered(settings: Settings, ledger: Ledger, roles: Sequence[Role]) -> Iterator[None]:
    """Stand in the ledger as a node that is up, with a sign of life now and then.

    Raises:
        ConfigError: Another node of this name is up, or the data folder cannot be written.
    """
    now = foundation.now()
    entry = NodeEntry(
        name=settings.node_name,
        token=token_of(settings),
        roles=tuple(role.value for role in roles),
        program=version("dibmg-node"),
        knows=newest_known(),
        since=now,
        at=now,
    )
    if not ledger.nodes.enter(entry):
        raise ConfigError(
            [
                f"node.name: another node {entry.name} is up, or was {SILENT_AFTER.seconds} seconds ago; "
                "each node of a ledger needs a name of its own (default: that of its host)"
            ]
        )
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            at = foundation.now()
            try:
                if not ledger.nodes.beat(entry, at) and not ledger.nodes.enter(replace(entry, at=at)):
                    _log.error("another node has taken this one's name", extra={"node": entry.name})
            except RetryableError as error:
                _log.warning("sign of life not entered", extra={"reason": str(error)})
            # without this thread a node that works would count as dead
            except Exception as error:  # noqa: BLE001
                _log.error("unexpected error at a sign of life", exc_info=error)

    thread = threading.Thread(target=beat, name="presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        try:
            ledger.nodes.leave(entry)
        except RetryableError as error:
            _log.warning("node not signed off", extra={"reason": str(error)})


def others_are_up(settings: Settings, ledger: Ledger) -> bool:
    """Whether another node shares the ledger just now."""
    return any(one.name != settings.node_name for one in ledger.nodes.up(foundation.now()))


def token_of(settings: Settings) -> str:
    """What tells this data folder from every other; made once."""
    path = settings.data_dir / _TOKEN_FILE
    try:
        if not path.exists():
            path.write_text(f"{token_hex(16)}\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()[:32]
    except OSError as error:
        raise ConfigError([f"node.data_dir: {path}: {error.strerror}"]) from error

"""Certificates that expire: looked at in time, so that no morning begins without images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.services.certificates import chain_expires_at, trust_expires_at

_log = logging.getLogger(__name__)

WARNING_BEFORE: Final = timedelta(days=30)
_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Expiry:
    """A certificate of the configuration.

    Attributes:
        key: Path of its key in the configuration.
        at: When it expires; None: its file cannot be read.
    """

    key: str
    file: Path
    at: datetime | None

    def warning(self, now: datetime) -> str | None:
        """What is to be done soon, in words; None: nothing."""
        if self.at is None:
            return f"{self.key}: {self.file} cannot be read"
        if self.at <= now:
            return f"{self.key}: expired on {self.at:%Y-%m-%d}"
        if self.at - now <= WARNING_BEFORE:
            return f"{self.key}: expires on {self.at:%Y-%m-%d}, in {counted((self.at - now).days, 'day')}"
        return None


def expiries(settings: Settings) -> list[Expiry]:
    """Every certificate that the configuration names."""
    return [
        Expiry(key, path, _read(read, path))
        for key, named, read in _named(settings)
        for path in (settings.folder / named,)
    ]


class CertificateWatch:
    """Looks once a day, and warns in the log."""

    def __init__(self, settings: Settings) -> None:
        """Make a watch that has not looked yet."""
        self._settings = settings
        self._next: datetime | None = None

    def look(self, now: datetime) -> None:
        """Look, unless it has done so within a day."""
        if self._next is not None and now < self._next:
            return
        self._next = now + _EVERY
        for one in expiries(self._settings):
            told = one.warning(now)
            if told:
                _log.warning("certificate to be renewed", extra={"reason": told})


def _named(settings: Settings) -> Iterator[tuple[str, Path, Callable[[Path], datetime]]]:
    sections: list[tuple[str, Any]] = [
        ("intake.tls", settings.intake.tls),
        ("web.tls", settings.web and settings.web.tls),
        ("web.oidc", settings.web and settings.web.oidc),
        ("broker.tls", settings.broker.tls),
        ("audit", settings.audit),
        ("selftest", settings.selftest),
        ("telemetry", settings.telemetry),
    ]
    for place, channel in enumerate(settings.alarm_channel):
        sections.append((f"alarm_channel.{place}", channel))
    for place, destination in enumerate(settings.destination):
        sections.append((f"destination.{place}.tls", destination.tls))
        sections.append((f"destination.{place}.oauth", destination.oauth))
    for key, section in sections:
        for name, read in (("certificate", chain_expires_at), ("ca", trust_expires_at)):
            named = getattr(section, name, None)
            if named is not None:
                yield f"{key}.{name}", named, read


def _read(read: Callable[[Path], datetime], path: Path) -> datetime | None:
    try:
        return read(path)
    # whatever a library says of a file that somebody is just changing: it is read again
    except Exception:  # noqa: BLE001
        return None

"""Room: how full disk and archive are, when they will be, and how large the ledger is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from dibmg_node import wiring
from dibmg_node.condition import Health
from dibmg_node.config import Settings
from dibmg_node.storage.database import describe
from dibmg_node.storage.growth import Inflow
from dibmg_node.storage.ledger import Ledger

_SOON_HOURS: Final = 24.0
_DAYS_FROM: Final = 48.0
"""Hours from which on days are told, too."""
_ABOVE: Final = 1.0
"""Percent above high water that the disk is at while purging keeps up."""


def look_at_ledger(ledger: Ledger) -> dict[str, Any]:
    """Kind, schema and size of the ledger.

    Raises:
        LedgerUnavailableError: It does not answer.
    """
    found = describe(ledger.engine)
    return {"answers": True, "kind": found.kind, "schema": found.schema, "bytes": found.size}


def look_at_disk(settings: Settings, ledger: Ledger, now: datetime, health: Health) -> dict[str, Any]:
    """The disk of the archive, and a forecast."""
    try:
        archive = wiring.open_archive(settings)
        free, total = archive.free_bytes(), archive.total_bytes()
    except OSError as error:
        health.down.append(f"archive: {error.strerror}")
        return {"free_bytes": None, "reserve_bytes": None, "used_percent": None, "forecast": None}
    reserve = int(settings.intake.reserve_gb * 1e9)
    high_water = settings.archive.high_water_percent
    used = round(100 * (1 - free / total), 1) if total else None
    forecast = None
    if not archive.is_far:  # what is kept elsewhere does not fill this disk
        forecast = foresee(ledger.growth.lately(now), free, total, reserve, high_water)
    hours = forecast["hours_until_reserve"] if forecast else None
    if free < reserve:
        health.degraded.append("less disk is free than the reserve: nothing is received ('out of resources')")
    elif hours is not None and hours < _SOON_HOURS and not _purging_helps(used, high_water):
        health.degraded.append(
            f"the disk's reserve is reached in about {hours:.0f} h, and no purge prevents it"
        )
    return {"free_bytes": free, "reserve_bytes": reserve, "used_percent": used, "forecast": forecast}


def look_at_archive(settings: Settings, ledger: Ledger, health: Health) -> dict[str, int]:
    """What a person must look at in the archive."""
    archive = wiring.open_archive(settings)
    quarantined, missing = archive.quarantined(), ledger.holdings.count_missing()
    if quarantined:
        health.degraded.append(
            f"{quarantined} files in quarantine ({archive.root / 'quarantine'}): other bytes came under a "
            "known instance UID, or a file belonged to nothing"
        )
    if missing:
        health.degraded.append(
            f"{missing} received images are gone from the archive: send or fetch them again"
        )
    return {"quarantined": quarantined, "missing": missing}


def foresee(inflow: Inflow, free: int, total: int, reserve: int, high_water: float) -> dict[str, Any]:
    """When the disk will be full at the rate of the last day, if nothing is purged.

    Args:
        inflow: What came in lately.
        free: Bytes.
        total: Bytes of the disk.
        reserve: Bytes that are to stay free.
        high_water: Percent in use above which studies are purged; 100: never.

    Returns:
        Bytes an hour, and hours until reserve and until purging begins: 0 where that is now, None where it
        is never; and all of it in words.
    """
    rate = inflow.bytes_per_hour

    def hours(room: float) -> float | None:
        if room <= 0:
            return 0.0
        return round(room / rate, 1) if rate else None

    until_reserve = hours(free - reserve)
    until_purge = hours(free - total * (1 - high_water / 100)) if high_water < 100 else None
    return {
        "bytes_per_hour": round(rate),
        "hours_until_reserve": until_reserve,
        "hours_until_purge": until_purge,
        "told": _told(rate, until_reserve, until_purge, high_water),
    }


def _told(rate: float, until_reserve: float | None, until_purge: float | None, high_water: float) -> str:
    if not rate:
        return "not filling: nothing came in within a day"
    amount = f"{rate / 1e9:.1f} GB" if rate >= 1e9 else f"{rate / 1e6:.1f} MB"
    told = f"{amount} an hour come in: the reserve is reached {_in(until_reserve)} "
    told += "if nothing is purged"
    if high_water == 100:
        return f"{told}; purging by high water is off"
    return f"{told}; purging begins at {high_water:g} %, {_in(until_purge)}"


def _in(hours: float | None) -> str:
    if not hours:
        return "now"
    days = f" ({hours / 24:.0f} days)" if hours >= _DAYS_FROM else ""
    return f"in about {hours:.0f} h{days}"


def _purging_helps(used_percent: float | None, high_water: float) -> bool:
    """Whether purging makes room in time, as far as the disk tells: it is not far above its mark."""
    return high_water < 100 and used_percent is not None and used_percent <= high_water + _ABOVE

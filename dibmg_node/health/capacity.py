"""Room: how full disk and archive are, when they will be, and how large the ledger is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.domain.counted import counted
from dibmg_node.health.condition import Health
from dibmg_node.health.conditions import hours_left
from dibmg_node.health.forecast import foresee
from dibmg_node.storage.database import describe
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation

_SOON_HOURS: Final = 24.0


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
        archive = foundation.open_archive(settings)
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
    if free < reserve:
        health.degraded.append("less disk is free than the reserve: nothing is received ('out of resources')")
    elif (hours := hours_left(forecast)) is not None and hours < _SOON_HOURS:
        health.degraded.append(
            f"the disk's reserve is reached in about {hours:.0f} h, and no purge prevents it"
        )
    return {"free_bytes": free, "reserve_bytes": reserve, "used_percent": used, "forecast": forecast}


def look_at_archive(settings: Settings, ledger: Ledger, health: Health) -> dict[str, Any]:
    """What a person must look at in the archive, and whether other hosts look at the same folder."""
    archive = foundation.open_archive(settings)
    quarantined, missing = archive.quarantined(), ledger.holdings.count_missing()
    if quarantined:
        health.degraded.append(
            f"{counted(quarantined, 'file')} in quarantine ({archive.root / 'quarantine'}): other bytes came "
            "under a known instance UID, or a file belonged to nothing"
        )
    if missing:
        health.degraded.append(
            f"{counted(missing, 'received image is', 'received images are')} gone from the archive: "
            f"send or fetch {'it' if missing == 1 else 'them'} again"
        )
    is_shared = settings.archive.folder is not None
    return {"quarantined": quarantined, "missing": missing, "shared": is_shared}

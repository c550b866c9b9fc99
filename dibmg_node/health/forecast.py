"""When the disk of the archive will be full, and whether a purge prevents it."""

from __future__ import annotations

from typing import Any, Final

from dibmg_node.domain.counted import counted
from dibmg_node.storage.growth import Inflow

_DAYS_FROM: Final = 48.0
"""Hours from which on days are told, too."""
_ABOVE: Final = 1.0
"""Percent above high water that the disk is at while purging keeps up."""


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
        is never; whether purging by high water prevents the former; and all of it in words.
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
        "prevented": _purging_helps(round(100 * (1 - free / total), 1) if total else None, high_water),
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
    days = f" ({counted(round(hours / 24), 'day')})" if hours >= _DAYS_FROM else ""
    return f"in about {hours:.0f} h{days}"


def _purging_helps(used_percent: float | None, high_water: float) -> bool:
    """Whether purging makes room in time, as far as the disk tells: it is not far above its mark."""
    return high_water < 100 and used_percent is not None and used_percent <= high_water + _ABOVE

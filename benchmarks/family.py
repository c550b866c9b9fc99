"""What a process used, and all below it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that live below it."""
    found = [pid]
    try:
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:
        return found  # it ended meanwhile
    for task in tasks:
        try:
            children = task.read_text().split()
        except OSError:
            continue  # a thread that ended meanwhile
        for child in children:
            found += family(int(child))
    return found


def family_cpu_seconds(pid: int) -> float:
    """User and system time of a process and of all below it, dead ones that it waited for included."""
    return sum(cpu_seconds_with_ended(one) for one in family(pid))


def cpu_seconds_with_ended(pid: int) -> float:
    """User and system time of a process, of its threads and children that have ended too; to a hundredth.

    One that has ended itself has none: it counts at its parent from then on.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


def resident_mb(pid: int) -> float:
    """Resident memory of one process, with what it shares; 0 where it has ended."""
    return _status_mb(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most that it ever was."""
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, name: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0

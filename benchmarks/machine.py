"""What the figures were measured on, and what a process used."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("celery", "imagecodecs", "numpy", "openvino", "pydicom", "pynetdicom", "sqlalchemy")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """Processor, memory, system and versions of the machine that this runs on."""
    cpu = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", cpu, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processor": name[1] if name else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in _FLAGS if flag in known],
        "memory_gb": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in _LIBRARIES},
        "load": round(os.getloadavg()[0], 1),
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of all below it, dead ones that it waited for included."""
    total = 0.0
    for one in _family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile, and counts at its parent from now on
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def resident_mib(pid: int) -> float:
    """Resident memory of one process, MiB, with what it shares."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue  # a thread that ended meanwhile
        for child in children:
            found += _family(int(child))
    return found

"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("celery", "imagecodecs", "numpy", "openvino", "pydicom", "pynetdicom", "sqlalchemy")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


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
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in _LIBRARIES},
        "load": round(os.getloadavg()[0], 1),
    }

"""What a process that touches hostile bytes may use: memory, time, and nothing of the network or the disk."""

from __future__ import annotations

import errno
import logging
import math
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg_node.machine.system_calls import deny

_log = logging.getLogger(__name__)

_FIRST_TO_GO: Final = "1000"
NETWORK_OPEN: Final = "network open"
"""Stands in the words of a process that could not be cut off."""


@dataclass(frozen=True)
class Limits:
    """What one order may use.

    Attributes:
        memory_bytes: Beyond what the process has when it is confined (its loaded model).
        cpu_seconds: Of all its threads together, for one order.
        files: It may make, change and execute files; a GPU's driver opens its devices for writing.
    """

    memory_bytes: int = 4 * 2**30
    cpu_seconds: float = 3600.0
    files: bool = False


@dataclass(frozen=True)
class Isolation:
    """What holds of a confined process.

    Attributes:
        network: It can reach a network, or another process.
        files: It can change files.
        memory_bytes: Most that one order may take; None: not limited.
    """

    network: bool
    files: bool
    memory_bytes: int | None

    @property
    def words(self) -> str:
        """For `dibmg status`."""
        parts = [NETWORK_OPEN if self.network else "no network"]
        parts.append("may write files" if self.files else "writes no file")
        memory = self.memory_bytes
        parts.append("memory not limited" if memory is None else f"{memory / 2**30:.3g} GB a study")
        return "model: " + ", ".join(parts)


def confine(limits: Limits) -> Isolation:
    """Give up what the work of this process does not need. For good, and for all its threads.

    What the machine does not offer is left out, logged, and told.
    """
    # a core file would hold the images and names of a woman
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # /proc may be read-only
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    memory = limits.memory_bytes if _limit_memory(limits.memory_bytes) else None
    try:
        deny(network=True, files=not limits.files)
    except OSError as error:
        reason = errno.errorcode.get(error.errno or 0, "")
        _log.error("no system call filter: this process is not cut off", extra={"reason": reason})
        return Isolation(network=True, files=True, memory_bytes=memory)
    return Isolation(network=False, files=limits.files, memory_bytes=memory)


def allow_cpu(seconds: float) -> None:
    """Let this process use so much more of the CPU; past that the kernel ends it (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _limit_memory(more: int) -> bool:
    """Let this process take so much more memory.

    Private writable memory is what counts: the address space of a runtime's libraries and files says nothing.
    """
    held = _held_bytes()
    if held is None:
        return False
    resource.setrlimit(resource.RLIMIT_DATA, (held + more, held + more))
    return True


def _held_bytes() -> int | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return None

"""Wall and CPU time of one thing done several times; the CPU tells load of the machine from slowness."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT: Final = 1
_CHILDREN_TIMES: Final = slice(13, 15)
"""In /proc/PID/stat, behind the name of the program."""


@dataclass(frozen=True)
class Timing:
    """One thing that was measured.

    Attributes:
        limit_ms: That its median must keep; None: it is told, and not judged.
        first_ms: Wall time of the first time, which is none of the others.
        wall_ms: Of the others, in order.
        cpu_ms: Of this process and the database server together, mean of the others.
    """

    database: str
    kind: str
    name: str
    limit_ms: float | None
    first_ms: float
    wall_ms: tuple[float, ...]
    cpu_ms: float

    @property
    def median_ms(self) -> float:
        """Of the wall times."""
        return statistics.median(self.wall_ms)

    @property
    def worst_ms(self) -> float:
        """The longest wall time, that of the first time aside."""
        return max(self.wall_ms)

    @property
    def is_too_slow(self) -> bool:
        """Whether its median is above its limit."""
        return self.limit_ms is not None and self.median_ms > self.limit_ms


@dataclass(frozen=True)
class Stopwatch:
    """Measures.

    Attributes:
        database: Name of it.
        server: Process of the database server; None: there is none.
        runs: How often each thing is done after its first time.
    """

    database: str
    server: int | None
    runs: int

    def measure(
        self,
        kind: str,
        name: str,
        work: Callable[[], object],
        limit_ms: float | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> Timing:
        """Do something several times.

        Args:
            kind: Page, command, sweep or step.
            name: Of what is done.
            work: Does it.
            limit_ms: That the median must keep.
            before: Done before each time, and not measured.
        """
        walls, cpus = [], []
        for _ in range(self.runs + 1):
            before()
            gc.collect()
            server, cpu, wall = self._server_seconds(), time.process_time(), time.perf_counter()
            work()
            walls.append(1000 * (time.perf_counter() - wall))
            cpu = time.process_time() - cpu
            cpus.append(1000 * (cpu + self._server_seconds() - server))
        return Timing(
            self.database, kind, name, limit_ms, walls[0], tuple(walls[1:]), statistics.mean(cpus[1:])
        )

    def _server_seconds(self) -> float:
        return 0.0 if self.server is None else tree_cpu_seconds(self.server)


def living_cpu_seconds(pid: int) -> float:
    """CPU time of the threads of a process that live, to the nanosecond; ended ones do not count."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, those that have ended included."""
    seconds = living_cpu_seconds(pid)
    for one in _children(pid):
        # a child may end at any time
        with suppress(OSError):
            seconds += living_cpu_seconds(one)
    of_ended_children = _stat(pid)[_CHILDREN_TIMES]
    return seconds + sum(map(int, of_ended_children)) / _TICKS


def _children(pid: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(_stat(int(folder.name))[_PARENT]) == pid:
                yield int(folder.name)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name, as proc(5) has them."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

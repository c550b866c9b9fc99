"""Memory of processes while they work: a sample each second, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Final

from benchmarks.family import resident_mb

TOTAL: Final = "all"
_EVERY_SECONDS: Final = 1.0


class Watch:
    """Samples from `__enter__` to `__exit__`, one at either end among them."""

    def __init__(self, processes: Callable[[], Mapping[int, str]]) -> None:
        """Make one that does not look yet.

        Args:
            processes: Tells what lives, and what each is called; memory of one name is added up.
        """
        self.samples: list[dict[str, float]] = []
        """MB by name."""
        self._processes = processes
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._sample()

    def _run(self) -> None:
        try:
            while not self._ended.wait(_EVERY_SECONDS):
                self._sample()
        # a thread's error is the measurement's, which raises it
        except BaseException as error:  # noqa: BLE001
            self._error = error

    def _sample(self) -> None:
        found: dict[str, float] = {}
        for pid, name in self._processes().items():
            found[name] = found.get(name, 0.0) + resident_mb(pid)
        self.samples.append(found | {TOTAL: sum(found.values())})


def courses(samples: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Of each name its peak, and its means in the first and in the last third of the time, MB.

    Args:
        samples: Two at least; a name that is missing in one had ended, or had not begun.
    """
    third = max(1, len(samples) // 3)
    names = sorted({name for sample in samples for name in sample})
    return {
        name: {
            "peak_mb": round(max(sample.get(name, 0.0) for sample in samples), 1),
            "first_third_mb": round(mean(sample.get(name, 0.0) for sample in samples[:third]), 1),
            "last_third_mb": round(mean(sample.get(name, 0.0) for sample in samples[-third:]), 1),
        }
        for name in names
    }

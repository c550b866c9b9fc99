"""Interleaved rounds: whatever the machine does beside it, it does to every contestant."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import machine

Figures = Mapping[str, float]
FOLDER = Path(__file__).parent / "results"


def interleave(contestants: Mapping[str, Callable[[], Figures]], rounds: int) -> dict[str, list[Figures]]:
    """Have every contestant take its turn in every round, each round beginning with another one."""
    names = list(contestants)
    measured: dict[str, list[Figures]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            measured[name].append(contestants[name]())
    return measured


def timed(work: Callable[[], object]) -> Figures:
    """Wall and CPU seconds of some work in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def medians(rows: Sequence[Figures]) -> dict[str, float]:
    """The median of each figure."""
    return {key: _short(median(row[key] for row in rows)) for key in rows[0]}


def ratio(rows: Sequence[Figures], base: Sequence[Figures], key: str) -> float:
    """The median over the rounds of a figure in proportion to another contestant's in the same round."""
    return _short(median(one[key] / other[key] for one, other in zip(rows, base, strict=True)))


def keep(name: str, figures: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write what was measured, with the machine, as JSON; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
    return path


def _short(value: float) -> float:
    """Three significant digits: the machine is not steadier than that."""
    return float(f"{value:.3g}")

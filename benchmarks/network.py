"""The network: the paper's preset and the released weights by every runtime, beside the peak of the cores.

python -m benchmarks.network [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import SHORT_SIZE, Chosen, command
from benchmarks.peak import matmul, multiply_adds
from benchmarks.rounds import Figures, interleave, medians, ratio, timed
from benchmarks.weights import paper_weights
from dibmg.runtime import open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.weights import load_weights

_VIEWS = 4
_KINDS = (
    (RuntimeKind.OPENVINO, Precision.F32),
    (RuntimeKind.OPENVINO, Precision.BF16),
    (RuntimeKind.TENSORFLOW, Precision.F32),
)


def _exam(size: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(1)
    return list(random.uniform(-1, 1, (_VIEWS, size, size)).astype(np.float32))


def _timed(work: Callable[[], object]) -> Figures:
    figures = timed(work)
    return {**figures, "exams_per_s": 1 / figures["wall_s"]}


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Medians by weights and runtime; efficiency: the time that the multiplications take at the peak."""
    threads = min(4, len(os.sched_getaffinity(0)))
    size = SHORT_SIZE if chosen.short else 1600
    sets = {"paper": paper_weights(size, chosen.weights)}
    if not chosen.short:
        sets["default"] = Path("default")
    tables: dict[str, Any] = {}
    for name, where in sets.items():
        weights = load_weights(str(where))
        macs = multiply_adds(weights) * _VIEWS
        views = _exam(weights.input_size)
        turns: dict[str, Callable[[], Figures]] = {}
        for kind, precision in _KINDS:
            runtime = open_runtime(weights, kind, precision, threads=threads)
            runtime.maps(views[:1])
            turns[f"{runtime.name} {runtime.precision.value}"] = partial(_timed, partial(runtime.maps, views))
        for precision in (Precision.F32, Precision.BF16):
            turns[f"peak {precision.value}"] = partial(_timed, matmul(precision.value, threads, macs))
        rows = interleave(turns, chosen.rounds)
        tables[name] = {
            "gmac_per_exam": round(macs / 1e9, 1),
            **{one: medians(rows[one]) for one in rows},
            "of_peak": {
                one: ratio(rows[one], rows[f"peak {one.split()[1]}"], "exams_per_s")
                for one in rows
                if not one.startswith("peak")
            },
        }
    return {"threads": threads, "rounds": chosen.rounds, "input_size": size, "by_weights": tables}


if __name__ == "__main__":
    command("network", __doc__, measure)

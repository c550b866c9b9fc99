"""What every benchmark is told, and where it puts what it found."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rounds import FOLDER, keep
from benchmarks.weights import KEPT
from dibmg.runtime_choice import Precision

SHORT_SIZE = 128
"""Input size of the short forms, pixels."""


@dataclass(frozen=True)
class Chosen:
    """What is measured, and how often.

    Attributes:
        rounds: Of which the median is told.
        short: Little work, on small images, once: finds errors, measures nothing.
        exams: Of a day; None: as many as that takes by itself.
        precision: Of the network in a running node.
        weights: Folder that keeps the paper's weights between two runs.
        out: Folder of the JSON.
    """

    rounds: int = 5
    short: bool = False
    exams: int | None = None
    precision: Precision = Precision.F32
    weights: Path = field(default=KEPT)
    out: Path = field(default=FOLDER)


Measure = Callable[[Chosen, Path], Mapping[str, Any]]
"""Measures what was chosen, in a folder of its own."""


def command(name: str, description: str | None, measure: Measure) -> None:
    """One benchmark as a command: read the arguments, measure, write the JSON."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=Chosen.rounds, help="of which the median is told")
    parser.add_argument(
        "--short", action="store_true", help="one round of little work: finds errors, measures nothing"
    )
    parser.add_argument("--exams", type=int, help="of a day; default: 500")
    parser.add_argument(
        "--precision",
        type=Precision,
        choices=list(Precision),
        default=Chosen.precision,
        help="of the network in a running node",
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the JSON")
    told = parser.parse_args()
    chosen = Chosen(
        rounds=1 if told.short else told.rounds,
        short=told.short,
        exams=told.exams,
        precision=told.precision,
        out=told.out,
    )
    print(perform(name_of(name, chosen.precision), measure, chosen))


def name_of(benchmark: str, precision: Precision) -> str:
    """Of the JSON: figures of one precision do not take the place of another one's."""
    return benchmark if precision is Chosen.precision else f"{benchmark}-{precision.value}"


def perform(name: str, measure: Measure, chosen: Chosen) -> Path:
    """Measure in a temporary folder; returns the JSON."""
    with tempfile.TemporaryDirectory(prefix=f"dibmg-{name}-") as folder:
        return keep(name, measure(chosen, Path(folder)), chosen.out)

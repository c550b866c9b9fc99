"""What every benchmark is told."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.rounds import FOLDER


def arguments(description: str | None) -> argparse.Namespace:
    """`--rounds`, `--short`, `--out`; the short form measures once, on small images, to find errors alone."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is told")
    parser.add_argument(
        "--short", action="store_true", help="one round of little work: finds errors, measures nothing"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the JSON")
    chosen = parser.parse_args()
    if chosen.short:
        chosen.rounds = 1
    return chosen

"""Weights of the paper's preset: values by chance, so as large as trained ones, and no better.

python -m benchmarks.weights SIZE FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from dibmg.architecture import PRESETS
from dibmg.weights import MANIFEST

KEPT = Path(__file__).parents[1] / "build" / "bench-weights"
_PRESET = "paper"


def paper_weights(size: int, folder: Path = KEPT) -> Path:
    """The folder of a set for this input size; made where it is not there."""
    # another architecture under the same name is another set
    architecture = sha256(str(PRESETS[_PRESET]).encode()).hexdigest()[:8]
    out = folder / f"{_PRESET}-{size}-{architecture}"
    if not (out / MANIFEST).exists():
        # TensorFlow, and the memory and threads that it holds, end with the process
        command = [sys.executable, "-m", "benchmarks.weights", str(size), str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out


def make(size: int, out: Path) -> None:
    """Write a set as training does at its end."""
    from dibmg.network import build_network
    from dibmg.training.finish import PAPERS, finish
    from dibmg.training.plan import TrainingPlan

    plan = TrainingPlan(preset=_PRESET, input_size=size)
    keys = ("name", "version", "trained_on", "license", "attribution", "how")
    words = dict.fromkeys(keys, "") | {
        "name": "benchmark",
        "version": "1",
        "trained_on": "nothing: values by chance, to measure speed with",
        "how": "benchmarks.weights",
    }
    finish([build_network(plan.architecture, None)], plan, out, PAPERS, words, "For benchmarks alone.\n")


if __name__ == "__main__":
    make(int(sys.argv[1]), Path(sys.argv[2]))

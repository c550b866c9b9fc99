"""Weights of the paper's preset at 1600 pixels: trained for one step, so as large, and no better."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PLAN = """\
preset = "paper"
input_size = {size}
epochs = 1
batch = 2
choose = "last"
"""


def paper_weights(folder: Path, size: int = 1600) -> Path:
    """Train them, as a user does; returns their folder."""
    out = folder / f"paper-{size}"
    if not (out / "weights" / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "plan.toml"
        plan.write_text(_PLAN.format(size=size))
        shown = [str(_exams(folder, seed)) for seed in (5, 6)]
        _dibmg(
            *("train", "--manifest", shown[0], "--validation", shown[1]),
            *("--out", str(out), "--plan", str(plan)),
        )
    return out / "weights"


def _exams(folder: Path, seed: int) -> Path:
    """A cancer and a normal exam; returns their manifest."""
    out = folder / f"exams-{seed}"
    kind = ("--exams", "2", "--cancer-share", "0.5", "--rows", "832")
    _dibmg("dataset", "synthesize", *kind, "--seed", str(seed), "--out", str(out))
    return out / "manifest.csv"


def _dibmg(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dibmg_node", *arguments], check=True, stdout=subprocess.DEVNULL)

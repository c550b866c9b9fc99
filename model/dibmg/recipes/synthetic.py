"""The set `synthetic`: trained on synthetic exams alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from dibmg.recipes.stages import Series, Workshop, load_networks
from dibmg.training.examples import Examples
from dibmg.training.finish import choose_threshold, contrast_of, finish
from dibmg.training.patches import PatchPlan
from dibmg.training.plan import TrainingPlan, Unit, plan_of

SIZE: Final = 512

EXAMS: Final = Series("exams", seed=31, first=0, exams=320, cancer_share=0.6)
THRESHOLD: Final = Series("threshold", seed=22, first=1000, exams=120)
TEST: Final = Series("test", seed=23, first=0, exams=200)

_AUGMENTATION: Final[dict[str, Any]] = {
    "contrast": 0.15,
    "brightness": 0.15,
    "gamma": 0.2,
    "mirror": 0.5,
    "flip_rows": 0.5,
    "rotation": 14.0,
    "zoom": 0.15,
    "shift": 0.05,
    "blur": 0.2,
}

PATCHES: Final = tuple(PatchPlan(count=3000, side=128, largest=1.5, seed=seed) for seed in (1, 2))
HELD_OUT: Final = 400
"""Patches that the network is watched on while it learns from the others."""

PATCH_TRAINING: Final[TrainingPlan] = plan_of(
    {
        "preset": "near",
        "pooling": "peak",
        "input_size": 128,
        "unit": "image",
        "batch": 32,
        "epochs": 6,
        "schedule": "cosine",
        "learning_rate": 0.05,
        "warmup_epochs": 0.3,
        "clip_norm": 5.0,
        "exam_weight": 0.0,
        "breast_weight": 0.5,
        "place_weight": 1.0,
        "choose": "last",
        "checks_per_epoch": 4,
        "seed": 1,
        "augmentation": {**_AUGMENTATION, "shift": 0.03},
    }
)

EXAM_TRAINING: Final[TrainingPlan] = plan_of(
    {
        "preset": "near",
        "pooling": "peak",
        "input_size": SIZE,
        "wall_columns": 352,
        "unit": "exam",
        "batch": 2,
        "epochs": 2,
        "schedule": "cosine",
        "learning_rate": 0.005,
        "warmup_epochs": 0.3,
        "clip_norm": 5.0,
        "exam_weight": 0.25,
        "breast_weight": 0.5,
        "place_weight": 1.0,
        "view_dropout": 0.1,
        "choose": "last",
        "checks_per_epoch": 3,
        "seed": 1,
        "augmentation": {**_AUGMENTATION, "rotation": 5.0, "zoom": 0.1, "shift": 0.02, "insert_lesion": 0.3},
    }
)


def patch_network(shop: Workshop, name: str = "patch-network", plan: TrainingPlan = PATCH_TRAINING) -> Path:
    """Values of a network that tells patches with a lesion from patches without one, and where it is."""

    def normals() -> Examples:
        views = shop.examples(shop.series(EXAMS), SIZE, Unit.IMAGE)
        return views.pick(np.flatnonzero(views.exams == 0))

    def patches(first: int, last: int | None) -> Examples:
        made = shop.patches("patches", normals, PATCHES)
        return made.pick(np.arange(len(made))[first:last])

    return shop.network(name, lambda: patches(0, -HELD_OUT), lambda: patches(-HELD_OUT, None), plan)


def make_synthetic(shop: Workshop, out: Path) -> Path:
    """Train, choose the operating point, write `out/synthetic/`; measured by `dibmg.recipes.cards`.

    Returns:
        The folder of weights.
    """
    plan = EXAM_TRAINING
    values = shop.network(
        "synthetic-network",
        lambda: shop.examples(shop.series(EXAMS), SIZE, plan.unit),
        None,
        plan,
        initial=patch_network(shop),
    )
    networks = load_networks([values], plan)
    contrast = contrast_of(shop.examples(shop.series(EXAMS), SIZE, plan.unit))
    held_out = shop.examples(shop.series(THRESHOLD), SIZE, plan.unit)
    point = choose_threshold(networks, held_out, plan, 0.9)
    words = {
        "name": "synthetic",
        "version": "3",
        "trained_on": "synthetic mammograms only; not for real ones",
        "license": "Apache-2.0",
        "attribution": "",
        "how": "make weights (python -m dibmg.recipes synthetic)",
    }
    folder = out / "synthetic"
    finish(networks, plan, folder, point, words, "", contrast=contrast)
    return folder

"""Small training examples with a signal that a small network can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dibmg.architecture import PRESETS, Architecture
from dibmg.data.kinds import Label
from dibmg.data.manifest import ImageRow, Manifest, read_manifest, write_manifest
from dibmg.training.examples import Examples
from dibmg.training.plan import TrainingPlan, plan_of
from dibmg_node.domain.study import Laterality, View
from tests.model.factories_model import breast

PRESETS.setdefault(
    "tiny", Architecture(initial_widths=(4, 4), block_widths=(4, 4, 4, 4), block_strides=(1, 1, 1, 1))
)


def tiny_plan(**changes: Any) -> TrainingPlan:
    keys: dict[str, Any] = {
        "preset": "tiny",
        "input_size": 64,
        "batch": 4,
        "epochs": 2,
        "learning_rate": 0.02,
        "view_dropout": 0.0,
    }
    return plan_of(keys | changes)


def tiny_examples(count: int = 8, views: int = 2, size: int = 64, seed: int = 1) -> Examples:
    """Exams of CC views of both breasts; every other exam has a bright square in its right breast."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((count * views, size, size), np.uint8)
    right = np.tile(np.arange(views) % 2 == 0, count)
    for number in range(count * views):
        columns = slice(size // 2, size) if right[number] else slice(0, size // 2)
        pixels[number, 8 : size - 8, columns] = random.integers(40, 90, (size - 16, size // 2))
    exams = (np.arange(count) % 2).astype(np.int8)
    for exam in np.flatnonzero(exams):
        pixels[exam * views, 20:40, size - 26 : size - 6] = 250
    breasts = np.stack([exams, np.zeros_like(exams)], axis=1)
    if views == 1:
        breasts[:, 1] = -1
    members = tuple(np.arange(exam * views, (exam + 1) * views) for exam in range(count))
    return Examples(pixels, members, right, exams, breasts, np.arange(count))


def normal_breasts(count: int = 4, size: int = 256) -> Examples:
    """Single views of normal left breasts, large enough for a lesion."""
    random = np.random.default_rng(2)
    v, u = np.mgrid[0:size, 0:size] / size
    inside = (u / 0.55) ** 2 + ((v - 0.5) / 0.42) ** 2 < 1
    pixels = np.stack([np.where(inside, random.integers(60, 120, (size, size)), 0) for _ in range(count)])
    labels = np.zeros(count, np.int8)
    breasts = np.stack([np.full(count, -1, np.int8), labels], axis=1)
    members = tuple(np.array([number]) for number in range(count))
    right = np.zeros(count, bool)
    return Examples(pixels.astype(np.uint8), members, right, labels, breasts, np.arange(count))


def image_row(
    path: Path,
    exam: str,
    laterality: Laterality,
    label: Label,
    breast_label: Label | None = None,
    line: int = 2,
) -> ImageRow:
    return ImageRow(
        exam=exam, patient=exam, laterality=laterality, view=View.CC, path=path, label=label,
        breast_label=breast_label, line=line,
    )  # fmt: skip


def write_picture(path: Path, laterality: Laterality, brighter: int = 0) -> Path:
    pixels = (breast(laterality).pixels // 16).astype(np.uint8)
    cv2.imwrite(str(path), np.where(pixels > 0, pixels + brighter, pixels))
    return path


def picture_manifest(folder: Path, first: int = 0) -> Manifest:
    """A normal exam and one with a cancer in the left breast, named `first` and `first` + 1; CC views."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number, label in enumerate((Label.NORMAL, Label.CANCER), start=first):
        for laterality in (Laterality.RIGHT, Laterality.LEFT):
            path = write_picture(folder / f"{number}{laterality}.png", laterality, number)
            sick = label is Label.CANCER and laterality is Laterality.LEFT
            rows.append(
                image_row(path, str(number), laterality, label, Label.CANCER if sick else Label.NORMAL)
            )
    write_manifest(rows, folder / "manifest.csv")
    return read_manifest(folder / "manifest.csv")

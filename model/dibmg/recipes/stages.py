"""Stages of a recipe: each keeps what it made in the work folder, and is skipped where that is there."""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dibmg.data.manifest import Manifest, read_manifest
from dibmg.network import build_network
from dibmg.synthesis.series import synthesize_series
from dibmg.training.examples import Examples
from dibmg.training.patches import PatchPlan, make_patches
from dibmg.training.plan import TrainingPlan, Unit
from dibmg.training.prepare import prepare_examples
from dibmg.training.training import train

log = logging.getLogger(__name__)

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Series:
    """Which synthetic exams a stage needs; series of one seed must not overlap."""

    name: str
    seed: int
    first: int
    exams: int
    cancer_share: float = 0.5


@dataclass(frozen=True)
class Workshop:
    """Where a recipe works.

    Attributes:
        folder: Gets exams, prepared images, training states and finished networks.
        processes: That make exams, and threads that prepare images.
        seconds: What each stage took when it was run: the run time that the model card tells.
    """

    folder: Path
    processes: int = 2
    seconds: dict[str, float] = field(default_factory=dict)

    def series(self, series: Series) -> Manifest:
        """The manifest of a synthetic series."""
        folder = self.folder / series.name
        if not (folder / MANIFEST).exists():
            with self._timed(series.name):
                synthesize_series(
                    folder,
                    series.exams,
                    series.seed,
                    first=series.first,
                    cancer_share=series.cancer_share,
                    processes=self.processes,
                )
        return read_manifest(folder / MANIFEST)

    def examples(self, manifest: Manifest, size: int, unit: Unit) -> Examples:
        """The prepared images of a manifest."""
        return prepare_examples(manifest, size, unit, self.folder / "prepared", self.processes)

    def patches(self, name: str, normals: Callable[[], Examples], plans: Sequence[PatchPlan]) -> Examples:
        """Patches of normal views by several plans; `normals` is called only where they are not made yet."""
        parts = [self.folder / f"{name}-{plan.seed}.npz" for plan in plans]
        missing = [(plan, path) for plan, path in zip(plans, parts, strict=True) if not path.exists()]
        if missing:
            with self._timed(name):
                views = normals()
                with multiprocessing.get_context("spawn").Pool(self.processes) as pool:
                    pool.starmap(_write_patches, [(views, plan, path) for plan, path in missing])
        kept = [np.load(path) for path in parts]
        joined = {key: np.concatenate([part[key] for part in kept]) for key in kept[0].files}
        count = joined["exams"].size
        return Examples(
            views=joined["views"],
            members=tuple(np.array([number]) for number in range(count)),
            right=joined["right"],
            exams=joined["exams"],
            breasts=joined["breasts"],
            groups=np.repeat(np.arange(count // 2), 2),
            lesions=joined["lesions"],
            placed=np.ones(count, bool),
        )

    def network(
        self,
        name: str,
        training: Callable[[], Examples],
        validation: Callable[[], Examples] | None,
        plan: TrainingPlan,
        initial: Path | None = None,
    ) -> Path:
        """Path of the values (`.weights.h5`) of a trained network."""
        path = self.folder / f"{name}.weights.h5"
        if not path.exists():
            with self._timed(name):
                trained = train(
                    training(),
                    None if validation is None else validation(),
                    plan,
                    self.folder / f"{name}-training",
                    initial=initial,
                    threads=1,
                    report=lambda step: log.info("%s: %s", name, step),
                )
                partial = self.folder / f"{name}-next.weights.h5"
                trained.save_weights(partial)
                partial.replace(path)
        return path

    def told_seconds(self) -> Mapping[str, float]:
        """Seconds of every stage that this folder has run, in earlier calls too."""
        path = self.folder / "seconds.json"
        kept: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
        return kept

    def _timed(self, name: str) -> Any:
        return _Timed(self, name)


class _Timed:
    """Adds what a stage takes to the folder's record; a stage that was stopped counts what it took again."""

    def __init__(self, workshop: Workshop, name: str) -> None:
        self._workshop, self._name = workshop, name

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        kept = dict(self._workshop.told_seconds())
        kept[self._name] = kept.get(self._name, 0.0) + time.monotonic() - self._started
        (self._workshop.folder / "seconds.json").write_text(json.dumps(kept, indent=2) + "\n")


def _write_patches(normals: Examples, plan: PatchPlan, path: Path) -> None:
    made = make_patches(normals, plan)
    partial = path.with_suffix(".partial.npz")
    lesions = np.asarray(made.lesions)
    np.savez(
        partial, views=made.views, lesions=lesions, right=made.right, exams=made.exams, breasts=made.breasts
    )
    partial.replace(path)


def load_networks(paths: Sequence[Path], plan: TrainingPlan) -> list[keras.Model]:
    """Networks of these values."""
    networks = []
    for path in paths:
        networks.append(build_network(plan.architecture, plan.input_size, weight_decay=0.0))
        networks[-1].load_weights(path)
    return networks


def plan_words(plan: TrainingPlan | PatchPlan) -> str:
    """A plan as one line of a model card."""
    values = asdict(plan)
    values |= values.pop("augmentation", {})
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)

"""The cross-validation of the set `default`: every image read by networks that have not seen its woman."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dibmg.data.manifest import ImageRow, Manifest
from dibmg.evaluation.auc import auc
from dibmg.evaluation.choice import threshold_for
from dibmg.evaluation.confound import resampling
from dibmg.evaluation.estimate import Estimate
from dibmg.evaluation.evaluate import Evaluation, Model, measure
from dibmg.evaluation.localization import Localization, localize
from dibmg.evaluation.outputs import write_outputs
from dibmg.evaluation.performance import decisions_of
from dibmg.evaluation.reading import Change, Readings, prepare, read_images
from dibmg.evaluation.request import Request
from dibmg.evaluation.units import UnitKind
from dibmg.recipes.default import FOLDS, contrast_without, cross_validate, fold_of
from dibmg.recipes.stages import Workshop
from dibmg.runtime import open_runtime
from dibmg.training.finish import PAPERS, Threshold
from dibmg.weights import load_weights
from dibmg_node.domain.study import View

SPECIFICITY: Final = 0.9
"""That the operating point aims at."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What the networks of the folds say of the women that they have not seen.

    Attributes:
        evaluation: Of the CC images, by breast.
        oblique: Localization on the MLO images, all of them of malignant breasts.
        resampled: Area after resampling and blur of every image.
        by_hand: Area of a logistic regression on hand-made features, in the same folds.
    """

    evaluation: Evaluation
    oblique: Localization
    resampled: Estimate
    by_hand: Estimate


def measure_folds(shop: Workshop, cesm: Manifest) -> CrossValidation:
    """Train the networks of the folds where they are not there yet, and measure them."""
    folder = cross_validate(shop, cesm)
    models = {fold: _open(folder / fold) for fold in FOLDS}
    readings = _read_folds(cesm.rows, models)
    cc = _of_view(readings, View.CC)
    first = models[FOLDS[0]]
    # images were compared with the range of their fold's set; told is that of the released one
    usual = contrast_without(shop, cesm, None)
    first = replace(first, weights=replace(first.weights, local_contrast=usual))
    request = Request(manifest=cesm.path, unit=UnitKind.BREAST, view=View.CC, target_specificity=SPECIFICITY)
    evaluation = measure(request, cesm, first, cc, decisions_of(first.weights)[0])
    write_outputs(evaluation, shop.folder / "report-default")
    change = resampling(first.weights.input_size, 0)
    rows = [row for row in cesm.rows if row.view is View.CC]
    blurred = measure(request, cesm, first, _read_folds(rows, models, change), decisions_of(first.weights)[0])
    return CrossValidation(
        evaluation, localize(_of_view(readings, View.MLO).images), blurred.area, _by_hand(rows)
    )


def _open(folder: Path) -> Model:
    weights = load_weights(folder)
    return Model(weights, open_runtime(weights))


def _read_folds(
    rows: Sequence[ImageRow], models: Mapping[str, Model], change: Change | None = None
) -> Readings:
    """Every image read by the model of its fold."""
    parts = [
        read_images(
            [row for row in rows if fold_of(row) == fold], model.weights, model.runtime, lambda: None, change
        )
        for fold, model in models.items()
    ]
    images = [image for part in parts for image in part.images]
    images.sort(key=lambda image: image.row.line)
    return Readings(tuple(images), tuple(one for part in parts for one in part.left_out))


def _of_view(readings: Readings, view: View) -> Readings:
    return replace(readings, images=tuple(image for image in readings.images if image.row.view is view))


def _by_hand(rows: Sequence[ImageRow]) -> Estimate:
    """Logistic regression on size, brightness, spread and texture, fitted on the other folds' women."""
    features = np.array([_features(row) for row in rows])
    labels = np.array([row.shows_cancer for row in rows])
    folds = np.array([fold_of(row) for row in rows])
    scores = np.zeros(labels.size)
    for fold in FOLDS:
        held_out = folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(features[~held_out], labels[~held_out])
        scores[held_out] = model.decision_function(features[held_out])
    return auc(scores, labels, [row.patient for row in rows])


def _features(row: ImageRow) -> list[float]:
    prepared = prepare(row, 256)
    inside = prepared.pixels[prepared.breast]
    across, down = np.gradient(prepared.pixels)
    edges = np.hypot(across, down)[prepared.breast]
    return [
        float(prepared.breast.mean()),
        float(inside.mean()),
        float(inside.std()),
        *(float(value) for value in np.percentile(inside, (5, 25, 75, 95, 99))),
        float(edges.mean()),
        float(edges.std()),
    ]


def point_of(evaluation: Evaluation) -> Threshold:
    """Chosen on the breasts that the networks of the folds had not seen."""
    units = evaluation.units
    threshold = threshold_for(units.scores, units.labels, SPECIFICITY)
    if threshold is None:
        return PAPERS
    called = units.scores >= threshold
    return Threshold(
        threshold,
        float(called[units.labels].mean()),
        float((~called[~units.labels]).mean()),
        f"{units.sentence}, cross-validated, for a specificity of {SPECIFICITY:.2f}; sensitivity and "
        "specificity are those on the same breasts",
    )

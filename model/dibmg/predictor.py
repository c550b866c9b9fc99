"""The predictor: mammograms of an exam in, scores, findings and heatmaps out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dibmg.local_contrast import local_contrast
from dibmg.localize import Region, ViewHeat, find_regions
from dibmg.operating_choice import OperatingChoice, choose_operating_point
from dibmg.preprocess import NoBreastError, Prepared, least_side, preprocess
from dibmg.runtime import Runtime, open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.scores import pool_view, score_exam
from dibmg.weights import Weights, load_weights
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.result import ExamResult, Finding, ModelIdentity, OperatingPoint, Scores
from dibmg_node.domain.study import Exclusion, ExclusionCode, Instance, ViewKey
from dibmg_node.errors import PermanentError


class DibmgPredictor:
    """DIB-MG with one set of weights, runtime and operating points. The same exam gives the same result."""

    def __init__(self, weights: Weights, runtime: Runtime, operating_points: OperatingChoice) -> None:
        self._weights = weights
        self._runtime = runtime
        self._operating_points = operating_points
        self.identity = ModelIdentity(
            name=weights.name,
            version=weights.version,
            sha256=weights.sha256,
            runtime=runtime.name,
            precision=runtime.precision.value,
            preprocessing_version=weights.preprocessing_version,
            input_size=weights.input_size,
            trained_on=weights.trained_on,
        )

    @property
    def least_side(self) -> int:
        """Longer side, pixels, that an image has to be decoded to."""
        return least_side(self._weights.input_size)

    def prepare(self, instance: Instance, mammogram: Mammogram) -> Prepared | Exclusion:
        """Make one image of an exam ready for the network.

        Returns:
            The view; or that the image shows no breast.
        """
        assert instance.laterality is not None  # no other image is part of an exam
        try:
            size = self._weights.input_size
            return preprocess(mammogram, instance.laterality, instance.orientation, size)
        except NoBreastError as error:
            told = f"{instance.view_key}: {error}"
            return Exclusion(ExclusionCode.NO_BREAST, told, instance.sop_uid, instance.laterality)

    def predict(self, exam: Exam, views: Mapping[ViewKey, Prepared]) -> ExamResult:
        """Read one exam.

        Args:
            exam: At least one view.
            views: What `prepare` made of each view of the exam.

        Raises:
            PermanentError: The network computed values that are no numbers.
            ValueError: The views are not those of the exam.
        """
        if not exam.views or set(exam.views) != set(views):
            found, expected = (", ".join(str(key) for key in keys) or "none" for keys in (views, exam.views))
            raise ValueError(f"images of {found}, expected one of each view of the exam: {expected}")
        started = time.perf_counter()
        prepared = {key: views[key] for key in exam.views}
        raw_maps = self._runtime.maps([view.pixels for view in prepared.values()])
        maps = dict(zip(prepared, raw_maps, strict=True))
        computed = time.perf_counter()
        if broken := [key for key, raw in maps.items() if not np.isfinite(raw).all()]:
            where = ", ".join(map(str, broken))
            raise PermanentError(
                f"the network computed values of {where} that are no numbers, expected finite ones"
            )
        pooling = self._weights.architecture.view_pooling
        z = {key: pool_view(raw, prepared[key].pixels, pooling) for key, raw in maps.items()}
        scores = score_exam(z, self._weights.exam_pooling)
        point = self._operating_points.for_exam(exam)
        unlike = self._unlike_training(prepared)
        regions = _find(maps, prepared, scores, point)
        heatmaps = {
            key: ViewHeat(raw, prepared[key].breast, prepared[key].placement) for key, raw in maps.items()
        }
        finished = time.perf_counter()
        return ExamResult(
            study_uid=exam.study_uid,
            model=self.identity,
            operating_point=point,
            scores=scores,
            findings=_number(regions, exam),
            heatmaps=heatmaps,
            notes=_notes(prepared, scores, regions, point, unlike),
            unlike_training=tuple(unlike),
            seconds={
                "network": computed - started,
                "localize": finished - computed,
            },
        )

    def _unlike_training(self, prepared: Mapping[ViewKey, Prepared]) -> dict[ViewKey, str]:
        """How views differ from those of training; no entry where they do not, or nobody knows."""
        usual, told = self._weights.local_contrast, {}
        if usual is None:
            return {}
        for key, view in prepared.items():
            found = local_contrast(view.pixels)
            if not usual.holds(found):
                there = f"there {usual.low:.3f} to {usual.high:.3f}"
                shown = "hardly any tissue" if found is None else f"local contrast {found:.3f}, {there}"
                told[key] = f"unlike the images of training: {shown}; scores and marks may mean nothing"
        return told


def open_predictor(
    weights: str | Path = "default",
    runtime: str = "auto",
    operating_point: str = "default",
    precision: str = "f32",
    threads: int = 0,
) -> DibmgPredictor:
    """Load everything and run one warm-up view; the arguments are plain values, so that they can be pickled.

    Args:
        weights: Name of a released set, or a folder.
        runtime: `auto`, `openvino` or `tensorflow`.
        operating_point: Its name in the weights' manifest, or the path of a file of points.
        precision: `f32` or `bf16`.
        threads: As in `open_runtime`.

    Raises:
        WeightsError: As for `load_weights` and `choose_operating_point`.
        ConfigError: As for `open_runtime`.
        ValueError: `runtime` or `precision` is none of the words above.
    """
    loaded = load_weights(weights)
    points = choose_operating_point(loaded, operating_point)
    opened = open_runtime(loaded, RuntimeKind(runtime), Precision(precision), threads)
    return DibmgPredictor(loaded, opened, points)


def _find(
    maps: Mapping[ViewKey, NDArray[np.float32]],
    prepared: Mapping[ViewKey, Prepared],
    scores: Scores,
    point: OperatingPoint,
) -> dict[ViewKey, tuple[Region, ...]]:
    """Regions of the breasts whose own score reaches the operating point.

    The score of a breast is a softmax of means over its maps, so a breast that reaches the threshold
    has cells that do; one that does not may have some too, and marks there would contradict the score.
    """
    regions = {}
    for key, raw in maps.items():
        if scores.breasts[key.laterality] >= point.threshold:
            regions[key] = find_regions(raw, prepared[key].breast, prepared[key].placement, point.threshold)
    return regions


def _notes(
    prepared: Mapping[ViewKey, Prepared],
    scores: Scores,
    regions: Mapping[ViewKey, tuple[Region, ...]],
    point: OperatingPoint,
    unlike: Mapping[ViewKey, str],
) -> dict[ViewKey, tuple[str, ...]]:
    """What a reader must know about how a view was prepared and marked; no entry where nothing."""
    marked = {key.laterality for key, found in regions.items() if found}
    notes = {}
    for key, view in prepared.items():
        words = [unlike[key]] if key in unlike else []
        if view.rule is WindowRule.WINDOW_ESTIMATED:
            words.append(
                f"{WindowRule.WINDOW_ESTIMATED}: no window in the header; "
                "1st to 99.5th percentile inside the breast"
            )
        if not view.orientation_found:
            words.append("no usable Patient Orientation in the header; chest wall found from the pixels")
        if view.placement.flips:
            words.append(f"turned {view.placement.flips} for the network")
        if scores.breasts[key.laterality] >= point.threshold and key.laterality not in marked:
            words.append("the breast reaches the operating point, but no region inside it does")
        if words:
            notes[key] = tuple(words)
    return notes


def _number(regions: Mapping[ViewKey, tuple[Region, ...]], exam: Exam) -> tuple[Finding, ...]:
    """Findings by falling score over the exam; equal ones by the raw map, then by the order of views."""
    found = [(key, region) for key, several in regions.items() for region in several]
    found.sort(key=lambda pair: (-pair[1].score, -pair[1].strength))
    return tuple(
        Finding(
            number=number,
            view=key,
            sop_uid=exam.views[key].sop_uid,
            score=region.score,
            center=region.center,
            outline=region.outline,
        )
        for number, (key, region) in enumerate(found, start=1)
    )

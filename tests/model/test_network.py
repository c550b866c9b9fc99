"""These tests load TensorFlow once, and keep what they compute small."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dibmg.architecture import PRESETS, Architecture
from dibmg.network import build_network, count_convolutions, widen
from dibmg.predictor import DibmgPredictor
from dibmg.runtime import open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.synthesize import synthesize_exam
from dibmg.synthetic_set import ExamSet
from dibmg.train import TrainingPlan, train
from dibmg.weights import load_weights
from tests.model.factories_model import exam_of

TINY = Architecture(initial_widths=(4, 4), block_widths=(4, 4, 4, 4))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_nineteen_convolutions_and_two_maps_of_its_stride(preset: str) -> None:
    architecture = PRESETS[preset]

    network = build_network(architecture, 512)

    side = 512 // architecture.stride
    assert count_convolutions(network) == 19
    assert network.output["map"].shape == (None, side, side, 2)
    assert network.output["z"].shape == (None, 2)


def test_the_paper_preset_has_the_size_that_its_widths_give() -> None:
    network = build_network(PRESETS["paper"], 1600)

    assert network.output["map"].shape == (None, 25, 25, 2)
    assert network.count_params() == pytest.approx(2.32e6, rel=0.01)


def test_z_is_the_spatial_mean_of_the_map() -> None:
    network = build_network(TINY, 128)
    views = np.random.default_rng(1).uniform(-1, 1, (2, 128, 128, 1)).astype(np.float32)

    outputs = network(views, training=False)

    np.testing.assert_allclose(np.mean(outputs["map"], axis=(1, 2)), outputs["z"], atol=1e-5)


def test_widening_scales_the_map_and_leaves_air_as_it_was() -> None:
    network = build_network(dataclasses.replace(TINY, block_strides=(1, 2, 1, 1)), None)
    views = np.full((2, 512, 512, 1), -1.0, np.float32)
    views[1, 128:384, :96] = np.random.default_rng(2).uniform(-1, 1, (256, 96, 1))
    before = np.asarray(network(views, training=False)["map"])

    widen(network, 2.0)

    air = before[0, 16, 16]
    after = np.asarray(network(views, training=False)["map"])
    np.testing.assert_allclose(after[0, 16, 16], air, atol=1e-4)
    np.testing.assert_allclose(after, 2.0 * before - air, atol=1e-3)


def test_an_input_size_that_does_not_fit_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="500 is not a multiple of the map stride 64"):
        build_network(PRESETS["paper"], 500)


def test_openvino_and_tensorflow_give_the_same_maps_scores_and_findings() -> None:
    weights = load_weights("synthetic")
    point = weights.operating_point("default")
    exam = synthesize_exam(21, 0, weights.input_size, cancer=True)
    runtimes = [
        open_runtime(weights, kind, Precision.F32, threads=2)
        for kind in (RuntimeKind.OPENVINO, RuntimeKind.TENSORFLOW)
    ]

    results = [
        DibmgPredictor(weights, runtime, point).predict(exam_of(exam.mammograms), exam.mammograms)
        for runtime in runtimes
    ]

    assert [result.model.runtime for result in results] == ["openvino", "tensorflow"]
    for key in exam.mammograms:
        np.testing.assert_allclose(results[0].heatmaps[key], results[1].heatmaps[key], atol=1e-3)
        assert results[0].scores.views[key] == pytest.approx(results[1].scores.views[key], abs=1e-4)
    assert results[0].scores.exam == pytest.approx(results[1].scores.exam, abs=1e-4)
    assert [finding.view for finding in results[0].findings] == [
        finding.view for finding in results[1].findings
    ]
    for a, b in zip(results[0].findings, results[1].findings, strict=True):
        assert a.center == pytest.approx(b.center, abs=1e-6)


def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    views = random.integers(0, 255, (4, 4, 64, 64), dtype=np.uint8)
    exams = ExamSet(views, np.eye(4, 2, dtype=bool), np.full((4, 4, 3), np.nan, np.float32))
    half = TrainingPlan(steps=4, batch_exams=2, validate_every=2)

    train(build_network(TINY, None), exams, exams, half, tmp_path / "run")
    again = train(
        build_network(TINY, None), exams, exams, TrainingPlan(8, 2, validate_every=2), tmp_path / "run"
    )

    steps = [line.split(",")[0] for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert steps == [f'{{"step": {step}' for step in (2, 4, 6, 8)]
    assert again.exists()

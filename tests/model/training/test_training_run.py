"""`run_training` from manifests to weights, as far as it is not the training itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.training.run import Run, run_training
from dibmg.weights import load_weights
from tests.model.training.factories_training import picture_manifest

KEYS = {"preset": "tiny", "input_size": 64, "batch": 2, "epochs": 1, "learning_rate": 0.02}


@pytest.mark.parametrize("unit", ["breast", "image"])
def test_the_nodes_threshold_is_chosen_on_exams_whatever_is_trained_on(tmp_path: Path, unit: str) -> None:
    training, validation = (
        picture_manifest(tmp_path / name, first).path for name, first in (("train", 0), ("validation", 2))
    )
    changes = tuple(f"{name}={value}" for name, value in (KEYS | {"unit": unit}).items())
    told: list[tuple[str, int, int]] = []

    run = Run(training, validation, tmp_path / "run", changes=changes)
    point = run_training(run, lambda *step: told.append(step), lambda line: None).point

    assert point.chosen_on.startswith("the validation set (2 exams, 1 with cancer) for a specificity of 0.90")
    assert (point.sensitivity, point.specificity) in {(1.0, 1.0), (0.0, 1.0)}
    served = load_weights(tmp_path / "run" / "weights").operating_points["default"]
    assert served.chosen_on == point.chosen_on
    # each image is prepared once
    assert sum(what == "preparing" for what, _, _ in told) == 8

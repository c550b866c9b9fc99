"""`run_training` from manifests to weights, as far as it is not the training itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dibmg.data.kinds import Label
from dibmg.data.manifest import write_manifest
from dibmg.training.run import Run, run_training
from dibmg.weights import load_weights
from dibmg_node.domain.study import Laterality
from dibmg_node.errors import RejectedError
from tests.model.training.factories_training import picture_manifest

CHANGES = ("preset=tiny", "input_size=64", "batch=2", "epochs=1", "learning_rate=0.02")


@pytest.mark.parametrize("unit", ["breast", "image"])
def test_the_nodes_threshold_is_chosen_on_exams_whatever_is_trained_on(tmp_path: Path, unit: str) -> None:
    training, validation = (
        picture_manifest(tmp_path / name, first).path for name, first in (("train", 0), ("validation", 2))
    )
    told: list[tuple[str, int, int]] = []

    run = Run(training, validation, tmp_path / "run", changes=(*CHANGES, f"unit={unit}"))
    point = run_training(run, lambda *step: told.append(step), lambda line: None).point

    assert point.chosen_on.startswith("the validation set (2 exams, 1 with cancer) for a specificity of 0.90")
    assert (point.sensitivity, point.specificity) in {(1.0, 1.0), (0.0, 1.0)}
    served = load_weights(tmp_path / "run" / "weights").operating_points["default"]
    assert served.chosen_on == point.chosen_on
    # each image is prepared once
    assert sum(what == "preparing" for what, _, _ in told) == 8


def test_exams_whose_cancer_no_image_shows_are_counted(tmp_path: Path) -> None:
    rows = [*picture_manifest(tmp_path / "first").rows, *picture_manifest(tmp_path / "second", 2).rows]
    lost = next(row for row in rows if row.breast_label is Label.CANCER)
    path = tmp_path / "half.csv"
    write_manifest([row for row in rows if row is not lost], path)
    said: list[str] = []

    run_training(Run(path, None, tmp_path / "run", changes=CHANGES), lambda *step: None, said.append)

    counted = "half.csv: 4 examples, 1 with cancer, 1 of which it is not known, 7 images"
    assert said[0] == counted
    assert load_weights(tmp_path / "run" / "weights").trained_on == counted


def test_a_cancer_that_no_image_shows_is_none_to_learn_from(tmp_path: Path) -> None:
    manifest = picture_manifest(tmp_path)
    write_manifest(
        [row for row in manifest.rows if row.laterality is Laterality.RIGHT], tmp_path / "manifest.csv"
    )

    with pytest.raises(RejectedError, match="0 of 2 examples have a cancer"):
        run_training(
            Run(manifest.path, None, tmp_path / "run", changes=CHANGES), lambda *step: None, lambda line: None
        )


ONE_AT_A_TIME = """
import sys
from pathlib import Path

import tensorflow as tf

from dibmg.training.run import Run, run_training
from tests.model.training.factories_training import picture_manifest
from tests.model.training.test_training_run import CHANGES

folder = Path(sys.argv[1])
run = Run(picture_manifest(folder).path, None, folder / "run", changes=CHANGES)
run_training(run, lambda *step: None, lambda line: None)
if not tf.config.list_physical_devices("GPU"):
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1
"""


def test_a_training_on_a_cpu_computes_one_operation_at_a_time(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]

    # TensorFlow has run in this process already, and keeps its settings
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ONE_AT_A_TIME, str(tmp_path)],
        cwd=root,
        env={"PYTHONPATH": f"{root}/model:{root}", "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]

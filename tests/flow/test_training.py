"""From labeled images to a node that serves the result, by the commands that the README tells of."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.flow.running_node import DIBMG, RunningNode

PLAN = """\
preset = "fine"
pooling = "peak"
input_size = 256
wall_columns = 192
unit = "breast"
batch = 8
epochs = 8
schedule = "cosine"
learning_rate = 0.03
warmup_epochs = 0.5
clip_norm = 5.0
exam_weight = 0.0
place_weight = 1.0
checks_per_epoch = 1
[augmentation]
mirror = 0.5
flip_rows = 0.5
rotation = 10
insert_lesion = 0.5
"""


def dibmg(*arguments: object) -> str:
    done = subprocess.run(
        [*DIBMG, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def history(run: Path) -> list[dict[str, str]]:
    path = run / "history.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def kill_after_a_segment(command: list[str], run: Path) -> None:
    """Start a training, and SIGKILL it once it has saved a state."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while len(history(run)) < 2:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_training_learns_survives_a_kill_and_the_node_serves_what_was_trained(
    tmp_path: Path, make_node: Callable[..., RunningNode]
) -> None:
    series = {"train": (120, 0), "validation": (30, 1000), "test": (40, 2000)}
    for name, (exams, first) in series.items():
        dibmg(
            *("dataset", "synthesize", "--exams", exams, "--first", first, "--seed", 77, "--rows", 256),
            *("--visibility", 3, "--out", tmp_path / name),
        )
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    run = tmp_path / "run"
    training = [
        *("train", "--manifest", tmp_path / "train" / "manifest.csv"),
        *("--validation", tmp_path / "validation" / "manifest.csv", "--plan", plan, "--out", run),
    ]

    kill_after_a_segment([*DIBMG, *map(str, training)], run)
    before = history(run)
    summary = json.loads(dibmg(*training, "--json"))

    segments = history(run)
    assert [row["segment"] for row in segments] == [str(number) for number in range(1, 9)]
    assert segments[: len(before)] == before
    weights = summary["weights"]
    report = tmp_path / "report"
    dibmg("evaluate", "--manifest", tmp_path / "test" / "manifest.csv", "--weights", weights, "--out", report)
    area = json.loads((report / "report.json").read_text())["auc"]
    losses = [float(row["validation_loss"]) for row in segments]
    assert min(losses[1:]) < 0.5 * losses[0]
    assert area["value"] > 0.8
    unlike = json.loads((report / "report.json").read_text())["unlike_training"]["lines"]
    assert len(unlike) < 0.2 * 4 * 40  # by chance one in twenty of the four images of each exam

    dibmg(
        *("dataset", "synthesize", "--exams", 1, "--first", 2001, "--seed", 77, "--rows", 256, "--dicom"),
        *("--out", tmp_path / "exam"),
    )
    images = sorted((tmp_path / "exam" / "images").glob("*.dcm"))
    study_uid = str(dcmread(images[0]).StudyInstanceUID)
    dibmg("analyze", *images, "--weights", weights, "--out", tmp_path / "analyzed")
    dibmg(
        *("evaluate", "--manifest", tmp_path / "exam" / "manifest.csv", "--weights", weights),
        *("--out", tmp_path / "one"),
    )
    node = make_node({}, weights=weights).start()
    node.send(images)
    served = node.wait_for_state(study_uid, "DELIVERED")["scores"]["exam"]
    (result,) = (tmp_path / "analyzed").glob("*/result.json")
    analyzed = json.loads(result.read_text())
    (evaluated,) = list(csv.DictReader((tmp_path / "one" / "scores.csv").read_text().splitlines()))
    assert (
        analyzed["model"]["sha256"]
        == json.loads((Path(weights) / "manifest.json").read_text())["files"]["weights.keras"]
    )
    assert served == pytest.approx(analyzed["scores"]["exam"], abs=1e-6)
    assert float(evaluated["score"]) == pytest.approx(served, abs=1e-5)

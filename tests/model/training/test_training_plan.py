from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.training.plan import Balance, Schedule, TrainingPlan, Unit, plan_of, read_plan
from dibmg_node.errors import ConfigError


def test_without_a_plan_it_is_the_papers() -> None:
    plan = read_plan()

    assert (plan.preset, plan.input_size, plan.unit, plan.batch) == ("paper", 1600, Unit.EXAM, 16)
    assert (plan.momentum, plan.learning_rate, plan.weight_decay) == (0.9, 0.001, 0.0005)
    assert (plan.schedule, plan.decay_factor, plan.decay_epochs, plan.epochs) == (Schedule.STEPS, 5.0, 10, 30)
    assert (plan.augmentation.contrast, plan.augmentation.brightness) == (0.1, 0.1)


def test_a_file_and_then_words_change_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('epochs = 4\nbalance = "loss"\n[augmentation]\nrotation = 10\n')

    plan = read_plan(path, ["epochs=5", "augmentation.zoom=0.1", "unit=breast"])

    assert (plan.epochs, plan.balance, plan.unit) == (5, Balance.LOSS, Unit.BREAST)
    assert (plan.augmentation.rotation, plan.augmentation.zoom) == (10.0, 0.1)


def test_what_is_written_reads_back() -> None:
    plan = plan_of({"preset": "fine", "input_size": 512, "augmentation": {"mirror": 0.5}})

    assert plan_of(plan.as_json()) == plan


def test_every_complaint_comes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of({"epoch": 3, "batch": "many", "augmentation": {"zoom": -1, "turn": 2}})

    complaints = " ".join(caught.value.complaints)
    for part in ("epoch: unknown", "batch: found 'many'", "augmentation.zoom", "augmentation.turn: unknown"):
        assert part in complaints


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"preset": "huge"}, "preset: found 'huge'"),
        ({"input_size": 1000}, "input_size: found 1000, expected a multiple of 64"),
        ({"epochs": 0}, "epochs: found 0"),
        ({"exam_weight": 0.0, "breast_weight": 0.0}, "nothing to learn"),
        ({"wall_columns": 64}, "wall_columns"),
        ({"wall_columns": 100, "pooling": "peak"}, "wall_columns: found 100, expected a multiple of 64"),
        ({"schedule": "linear"}, "expected one of steps, cosine"),
        ({"decay_epochs": 0}, "decay_epochs: found 0, expected at least 1"),
        ({"examples_per_epoch": 0}, "examples_per_epoch: found 0, expected at least 1"),
        ({"map_pool": -1}, "map_pool: found -1, expected at least 1"),
        ({"decay_factor": 0.0}, "decay_factor: found 0, expected more than 0"),
        ({"seed": -1}, "seed: found -1, expected 0 to 4294967295"),
        ({"seed": 2**32}, "seed: found 4294967296, expected 0 to 4294967295"),
        ({"momentum": 2}, "momentum: found 2, expected 0 to 1"),
        ({"label_smoothing": 5.0}, "label_smoothing: found 5, expected 0 to 1"),
        ({"augmentation": {"mirror": 1.5}}, "augmentation.mirror: found 1.5, expected 0 to 1"),
        ({"learning_rate": float("inf")}, "learning_rate: found inf"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(values)

    assert any(complaint in line for line in caught.value.complaints)


def test_a_word_without_equals_is_refused() -> None:
    with pytest.raises(ConfigError):
        read_plan(None, ["epochs"])


def test_a_plan_of_defaults_is_the_default_plan() -> None:
    assert plan_of({}) == TrainingPlan()

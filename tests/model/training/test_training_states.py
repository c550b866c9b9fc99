"""Trainings that go on in a folder, or do not."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dibmg.network import build_network
from dibmg.training.examples import Examples
from dibmg.training.plan import TrainingPlan
from dibmg.training.training import Step, train
from dibmg_node.errors import RejectedError
from tests.model.training.factories_training import tiny_examples, tiny_plan


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    examples = tiny_examples()
    plan = tiny_plan(epochs=3, augmentation={"rotation": 5, "mirror": 0.5}, view_dropout=0.2)

    class StopError(Exception):
        pass

    def stop(step: Step) -> None:
        if step.segment == 2:
            raise StopError

    with pytest.raises(StopError):
        train(examples, examples, plan, tmp_path / "stopped", report=stop)
    resumed = train(examples, examples, plan, tmp_path / "stopped")
    whole = train(examples, examples, plan, tmp_path / "whole")

    for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    histories = [
        list(csv.reader((tmp_path / run / "history.csv").read_text().splitlines()))
        for run in ("stopped", "whole")
    ]
    assert histories[0] == histories[1]
    assert [row[0] for row in histories[0][1:]] == ["1", "2", "3"]


def start_of(folder: Path, name: str, bias: float) -> Path:
    """Values to start from; the same architecture with another bias is another start."""
    network = build_network(tiny_plan().architecture, None)
    network.get_layer("aggregate").set_weights(
        [np.zeros_like(kernel) + bias for kernel in network.get_layer("aggregate").get_weights()]
    )
    network.save_weights(folder / name)
    return folder / name


def test_the_state_of_another_training_is_not_gone_on_from_and_what_is_other_is_named(
    tmp_path: Path,
) -> None:
    examples, held_out, plan = tiny_examples(), tiny_examples(4, seed=5), tiny_plan(epochs=1)
    initial = start_of(tmp_path, "start.weights.h5", 0.5)
    train(examples, held_out, plan, tmp_path / "run", initial=initial)
    relabeled = replace(examples, exams=1 - examples.exams)
    regrouped = replace(examples, members=tuple(members[::-1] for members in examples.members))
    other_start = start_of(tmp_path, "other.weights.h5", -0.5)

    def refusal(
        training: Examples = examples,
        validation: Examples | None = held_out,
        plan: TrainingPlan = plan,
        initial: Path | None = initial,
    ) -> str:
        with pytest.raises(RejectedError) as caught:
            train(training, validation, plan, tmp_path / "run", initial=initial)
        return str(caught.value)

    assert "(other plan)" in refusal(plan=tiny_plan(epochs=2))
    for other in (relabeled, regrouped, tiny_examples(seed=2)):
        assert "(other images or labels to learn from)" in refusal(training=other)
    for validation in (replace(held_out, exams=1 - held_out.exams), tiny_examples(4, seed=6), None):
        assert "(other images or labels of the validation)" in refusal(validation=validation)
    for start in (other_start, None):
        assert "(other initial weights)" in refusal(initial=start)
    assert "(other plan, other initial weights)" in refusal(plan=tiny_plan(epochs=2), initial=None)


def test_a_training_is_gone_on_with_where_its_initial_weights_have_moved(tmp_path: Path) -> None:
    initial = start_of(tmp_path, "start.weights.h5", 0.5)
    before = train(tiny_examples(), None, tiny_plan(epochs=1), tmp_path / "run", initial=initial)
    moved = initial.rename(tmp_path / "moved.weights.h5")

    after = train(tiny_examples(), None, tiny_plan(epochs=1), tmp_path / "run", initial=moved)

    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"identity": "0a1b", "segment": 1, "best": Infinity}', "an earlier version of this program"),
        ("{}", "cannot be understood"),
        ("", "cannot be understood"),
    ],
)
def test_a_state_that_does_not_tell_what_it_learned_from_is_not_gone_on_from(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "progress.json").write_text(content)

    with pytest.raises(RejectedError, match=words):
        train(tiny_examples(), None, tiny_plan(), tmp_path)


@pytest.mark.parametrize("validated", [False, True])
def test_a_training_that_diverges_stops_and_says_when_and_what_helps(tmp_path: Path, validated: bool) -> None:
    examples = tiny_examples()
    plan = tiny_plan(epochs=6, learning_rate=1e12, batch=8)

    with pytest.raises(RejectedError) as caught:
        train(examples, examples if validated else None, plan, tmp_path)

    assert re.search(r"diverged in epoch \d: its (validation )?loss is (nan|inf)", str(caught.value))
    assert "learning_rate below 1e+12" in str(caught.value)


def test_the_best_state_before_a_training_diverges_is_kept_and_named(tmp_path: Path) -> None:
    examples = tiny_examples()
    plan = tiny_plan(epochs=6, schedule="cosine", warmup_epochs=5, learning_rate=1e20, batch=8)

    for _ in range(2):
        with pytest.raises(RejectedError, match=r"best state before is .*best\.weights\.h5"):
            train(examples, examples, plan, tmp_path)

    network = build_network(plan.architecture, None)
    network.load_weights(tmp_path / "best.weights.h5")
    assert all(np.isfinite(values).all() for values in network.get_weights())
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert all(np.isfinite(float(row["validation_loss"])) for row in rows)

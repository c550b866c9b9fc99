"""Whole runs of a tiny network; TensorFlow is loaded once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dibmg.architecture import Context
from dibmg.local_contrast import usual_contrast
from dibmg.network import build_network, join_networks
from dibmg.training.examples import LEVELS
from dibmg.training.finish import PAPERS, contrast_of, finish
from dibmg.training.learner import make_learner
from dibmg.training.training import train
from dibmg.training.validation import example_logits, image_logits, validate
from dibmg.weights import load_weights
from dibmg_node.errors import ConfigError, RejectedError
from tests.model.training.factories_training import tiny_examples, tiny_plan


def values(network: object) -> list[np.ndarray]:
    return network.get_weights()  # type: ignore[attr-defined,no-any-return]


def test_a_network_learns_what_there_is_to_learn(tmp_path: Path) -> None:
    plan = tiny_plan(epochs=12, batch=8)
    before = validate(build_network(plan.architecture, 64), tiny_examples(16, seed=9))

    network = train(tiny_examples(16), None, plan, tmp_path)

    after = validate(network, tiny_examples(16, seed=9))
    assert after.auc > 0.95
    assert after.loss < before.loss


def test_more_checks_than_an_epoch_has_minibatches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"checks_per_epoch: found 3, expected at most 2, the minibatches"):
        train(tiny_examples(8), None, tiny_plan(batch=4, checks_per_epoch=3), tmp_path)


def test_training_starts_from_the_network_that_is_given(tmp_path: Path) -> None:
    plan = tiny_plan(epochs=1, learning_rate=0.0)
    given = build_network(plan.architecture, None)
    given.save_weights(tmp_path / "given.weights.h5")

    network = train(tiny_examples(), None, plan, tmp_path / "run", initial=tmp_path / "given.weights.h5")

    kernels = [
        (one, other) for one, other in zip(values(network), values(given), strict=True) if one.ndim == 4
    ]
    assert kernels
    for one, other in kernels:
        np.testing.assert_array_equal(one, other)


def test_training_starts_from_the_network_of_places_of_a_set_with_others(tmp_path: Path) -> None:
    plan = tiny_plan(epochs=1, learning_rate=0.0)
    networks = [build_network(plan.architecture, 64, weight_decay=0.0) for _ in range(3)]
    context = Context("coarse", plan.architecture, 1, 1.0, 1.0, 0.0)
    joined = join_networks(networks[:2], plan.architecture, 64, networks[2:], context)
    joined.save(tmp_path / "set.keras")

    network = train(tiny_examples(), None, plan, tmp_path / "run", initial=tmp_path / "set.keras")

    kernels = zip(network.trainable_variables, networks[0].trainable_variables, strict=True)
    for found, given in kernels:
        np.testing.assert_array_equal(found.numpy(), given.numpy())


def test_an_initial_network_of_another_architecture_is_refused(tmp_path: Path) -> None:
    build_network(tiny_plan(preset="fine").architecture, None).save(tmp_path / "fine.keras")

    with pytest.raises(RejectedError, match="another architecture"):
        train(tiny_examples(), None, tiny_plan(), tmp_path / "run", initial=tmp_path / "fine.keras")


def test_finished_weights_tell_the_local_contrast_of_what_they_were_trained_on(tmp_path: Path) -> None:
    plan, examples = tiny_plan(), tiny_examples(8)
    words = dict.fromkeys(("name", "version", "trained_on", "license", "attribution", "how"), "test")
    network = build_network(plan.architecture, None)

    finish([network], plan, tmp_path / "set", PAPERS, words, "", contrast=contrast_of(examples))

    usual = load_weights(tmp_path / "set").local_contrast
    views = [view.astype(np.float32) * np.float32(2 / LEVELS) - np.float32(1) for view in examples.views]
    assert usual is not None
    assert usual == usual_contrast(views)
    some = contrast_of(examples.pick([0, 1]))
    assert some == usual_contrast(views[:4]) != usual


def test_an_unknown_breast_label_teaches_nothing() -> None:
    examples = tiny_examples(4)
    plan = tiny_plan(exam_weight=0.0, weight_decay=0.0)
    learner = make_learner(build_network(plan.architecture, None, 0.0), plan, examples, 1)
    logits = {"z": np.zeros((2, 2), np.float32)}
    batch = {
        "kept": np.ones((2, 2), np.float32),
        "right": np.array([[1, 0], [1, 0]], np.float32),
        "exams": np.ones(2, np.float32),
        "breasts": np.full((2, 2), -1, np.float32),
    }

    unknown = float(learner.compute_loss(batch, None, logits))
    known = float(learner.compute_loss({**batch, "breasts": np.ones((2, 2), np.float32)}, None, logits))

    assert unknown == 0.0
    assert known == pytest.approx(np.log(2.0))


def test_the_mean_of_an_exam_runs_over_the_views_that_are_kept() -> None:
    examples = tiny_examples(4)
    plan = tiny_plan(breast_weight=0.0, weight_decay=0.0)
    learner = make_learner(build_network(plan.architecture, None, 0.0), plan, examples, 1)
    logits = {"z": np.array([[4.0, -4.0]], np.float32)}
    batch = {
        "right": np.array([[1, 0]], np.float32),
        "exams": np.ones(1, np.float32),
        "breasts": np.full((1, 2), -1, np.float32),
    }

    one = float(learner.compute_loss({**batch, "kept": np.array([[1, 0]], np.float32)}, None, logits))
    both = float(learner.compute_loss({**batch, "kept": np.array([[1, 1]], np.float32)}, None, logits))

    assert one == pytest.approx(np.log1p(np.exp(-4.0)), rel=1e-4)
    assert both == pytest.approx(np.log(2.0))


def test_the_loss_of_places_counts_cells_on_the_breast_whose_truth_is_known() -> None:
    examples = tiny_examples(4)
    plan = tiny_plan(exam_weight=0.0, breast_weight=0.0, place_weight=1.0, weight_decay=0.0)
    learner = make_learner(build_network(plan.architecture, None, 0.0), plan, examples, 1)
    stride = plan.architecture.stride
    cells = 64 // stride
    views = np.full((1, 2, 64, 64, 1), -1.0, np.float32)
    views[0, :, :, :stride] = 0.0  # the first column of cells is breast
    lesions = np.zeros((1, 2, cells, cells), np.float32)
    lesions[0, 0, 0, 0] = 1.0
    logits = np.zeros((1, 2, cells, cells), np.float32)
    logits[0, :, :, 1:] = 50.0  # air: whatever is said there costs nothing
    logits[0, 1] = 50.0  # nothing is known of this view
    batch = {
        "views": views,
        "kept": np.ones((1, 2), np.float32),
        "right": np.array([[1, 0]], np.float32),
        "exams": np.ones(1, np.float32),
        "breasts": np.full((1, 2), -1, np.float32),
        "lesions": lesions,
        "placed": np.array([[1, 0]], np.float32),
    }

    undecided = float(learner.compute_loss(batch, None, {"z": np.zeros((1, 2), np.float32), "map": logits}))
    logits[0, 0, :, 0] = -9.0
    logits[0, 0, 0, 0] = 9.0
    right = float(learner.compute_loss(batch, None, {"z": np.zeros((1, 2), np.float32), "map": logits}))

    assert undecided == pytest.approx(np.log(2.0), rel=1e-3)
    assert right < 0.001


def test_a_breast_without_an_image_has_no_logit() -> None:
    examples = tiny_examples(2, views=1)
    network = build_network(tiny_plan().architecture, 64)

    exams, breasts = example_logits(image_logits(network, examples), examples)

    assert np.isnan(breasts[:, 1]).all()
    np.testing.assert_allclose(exams, breasts[:, 0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_says_what_is_no_number_has_no_figures(value: float) -> None:
    network = build_network(tiny_plan().architecture, 64)
    last = network.get_layer("aggregate")
    last.set_weights([np.full_like(values, value) for values in last.get_weights()])

    found = validate(network, tiny_examples(4))

    assert np.isnan([found.loss, found.auc]).all()


def test_what_is_not_known_of_a_validation_set_of_one_class_counts_for_nothing() -> None:
    network = build_network(tiny_plan().architecture, 64)
    examples = tiny_examples(4).pick([1, 3])
    labels = np.array([1, -1], np.int8)

    found = validate(network, replace(examples, exams=labels, breasts=np.full((2, 2), -1, np.int8)))
    first = examples.pick([0])
    alone = validate(network, replace(first, breasts=np.full((1, 2), -1, np.int8)))

    assert found.loss == pytest.approx(alone.loss)
    with pytest.raises(RejectedError, match="no example"):
        validate(network, replace(first, exams=-first.exams, breasts=np.full((1, 2), -1, np.int8)))


TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from dibmg.training import backend, training
from tests.model.training.factories_training import tiny_examples, tiny_plan


class TwoDevices(backend.Devices):
    def __init__(self):
        self._strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


plan = tiny_plan(epochs=1, batch=4, weight_decay=0.001)
training.Devices = TwoDevices
network = training.train(tiny_examples(), None, plan, __import__("pathlib").Path(sys.argv[1]))
np.savez(sys.argv[1] + "/values.npz", *network.get_weights())
"""


def test_two_devices_take_the_same_step_as_one(tmp_path: Path) -> None:
    folder, root = tmp_path / "two", Path(__file__).parents[3]
    folder.mkdir()
    plan = tiny_plan(epochs=1, batch=4, weight_decay=0.001)

    one = values(train(tiny_examples(), None, plan, tmp_path / "one"))
    # the number of devices cannot be changed once TensorFlow has looked for them
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TWO_DEVICES, str(folder)],
        cwd=root,
        env={"PYTHONPATH": f"{root}/model:{root}", "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    saved = np.load(folder / "values.npz")
    two = [saved[name] for name in saved.files]
    assert any(kernel.ndim == 4 for kernel in one)
    # each device normalizes by its own half of the minibatch, so the steps agree only roughly
    for here, there in zip(one, two, strict=True):
        if here.ndim == 4:
            assert np.abs(here - there).max() < 0.1 * max(np.abs(here).max(), 0.1)

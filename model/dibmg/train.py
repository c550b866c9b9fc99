"""The training loop: exam label, and breast labels where known, on the mean z of the views."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dibmg.measure import BREAST_OF_VIEW, area_under_curve, breast_logits, exam_logits, sick_exams
from dibmg.synthetic_set import ExamSet

log = logging.getLogger(__name__)

_RIGHT = BREAST_OF_VIEW[0] > 0


@dataclass(frozen=True)
class TrainingPlan:
    """How a set is trained.

    Attributes:
        steps: Minibatches in all; the learning rate falls to zero over them by half a cosine.
        batch_exams: Exams of four views a minibatch.
        exam_weight, breast_weight: Weights of the two losses; 0 switches one off.
        perturbation: Contrast and brightness change by up to this share (paper: 0.1).
        view_dropout: Chance that a view is left out of the means, so that missing views are safe.
        wall_columns: Train on this many columns next to the chest wall only; the rest is air as a rule,
            so this saves time before a last phase on whole views. None: whole views.
        validate_every: Steps between validations; each also writes the state to resume from.
    """

    steps: int
    batch_exams: int = 2
    learning_rate: float = 0.02
    momentum: float = 0.9
    exam_weight: float = 0.25
    breast_weight: float = 1.0
    perturbation: float = 0.1
    view_dropout: float = 0.1
    wall_columns: int | None = None
    validate_every: int = 100
    seed: int = 1


def train(
    network: keras.Model, training: ExamSet, validation: ExamSet, plan: TrainingPlan, folder: Path
) -> Path:
    """Train a network in place; continues where an earlier call in the same folder stopped.

    Args:
        network: As `build_network` makes it.
        training: Exams to learn from.
        validation: Exams to choose the best step by.
        plan: Steps, rates, weights.
        folder: Gets `state/` (to resume from), `best.weights.h5`, `history.jsonl`.

    Returns:
        Path of the weights with the lowest validation loss.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(plan.seed)
    schedule = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.steps, warmup_target=None)
    optimizer = keras.optimizers.SGD(schedule, momentum=plan.momentum, global_clipnorm=5.0)
    optimizer.build(network.trainable_variables)
    step_done, best_loss = tf.Variable(0, dtype=tf.int64), tf.Variable(np.inf, dtype=tf.float32)
    checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer, step=step_done, best=best_loss)
    states = tf.train.CheckpointManager(checkpoint, str(folder / "state"), max_to_keep=1)
    if states.latest_checkpoint:
        checkpoint.restore(states.latest_checkpoint)
        log.info("training resumed", extra={"step": int(step_done)})
    balance = _class_weights(training)
    learn = _training_step(network, optimizer, plan, balance)
    best = folder / "best.weights.h5"
    losses: list[float] = []
    for step, (views, cancers) in enumerate(
        _minibatches(training, plan, int(step_done)), start=int(step_done) + 1
    ):
        losses.append(float(learn(views, cancers, tf.constant([plan.seed, step], tf.int32))))
        if step % plan.validate_every and step != plan.steps:
            continue
        z = predict_z(network, validation, plan.wall_columns)
        loss, area = (
            breast_loss(z, validation.cancers),
            area_under_curve(exam_logits(z), sick_exams(validation)),
        )
        if loss < float(best_loss):
            best_loss.assign(loss)
            network.save_weights(best)
        step_done.assign(step)
        states.save()
        facts = {
            "step": step,
            "loss": float(np.mean(losses)),
            "validation_loss": loss,
            "validation_auc": area,
        }
        with (folder / "history.jsonl").open("a") as history:
            history.write(json.dumps(facts) + "\n")
        log.info("validated", extra=facts)
        losses.clear()
    return best


def _minibatches(training: ExamSet, plan: TrainingPlan, done: int) -> tf.data.Dataset:
    """Views float32 (b, 4, size, size, 1) and cancers float32 (b, 2), in an order that the seed fixes."""
    count, size = training.cancers.shape[0], training.views.shape[-1]
    columns = plan.wall_columns or size
    per_epoch = count // plan.batch_exams

    def draw() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        for step in range(done, plan.steps):
            order = np.random.default_rng([plan.seed, step // per_epoch]).permutation(count)
            first = (step % per_epoch) * plan.batch_exams
            exams = order[first : first + plan.batch_exams]
            yield _next_to_wall(training.inputs(exams), columns), training.cancers[exams].astype(np.float32)

    shapes = (
        tf.TensorSpec((plan.batch_exams, 4, size, columns, 1), tf.float32),
        tf.TensorSpec((plan.batch_exams, 2), tf.float32),
    )
    return tf.data.Dataset.from_generator(draw, output_signature=shapes).prefetch(2)


def _next_to_wall(views: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """The columns next to the chest wall: the last ones of right breasts, the first ones of left ones."""
    sides = [views[:, n, :, -columns:] if _RIGHT[n] else views[:, n, :, :columns] for n in range(len(_RIGHT))]
    return np.stack(sides, axis=1)


def _training_step(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    plan: TrainingPlan,
    balance: tuple[tuple[float, float], tuple[float, float]],
) -> Any:
    """A compiled step: augment, predict, both losses, one update."""
    breast_of_view = tf.constant(BREAST_OF_VIEW)
    exam_balance, breast_balance = (tf.constant(weights, tf.float32) for weights in balance)

    @tf.function(jit_compile=False)  # type: ignore[untyped-decorator]
    def learn(views: tf.Tensor, cancers: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        views = _augment(views, plan.perturbation, seed)
        kept = tf.random.stateless_uniform(tf.shape(views)[:2], seed + [0, 7]) >= plan.view_dropout
        kept = tf.cast(kept, tf.float32)
        kept = tf.where(tf.reduce_sum(kept, axis=1, keepdims=True) > 0, kept, tf.ones_like(kept))
        with tf.GradientTape() as tape:
            shape = tf.shape(views)
            z = network(tf.reshape(views, (-1, shape[2], shape[3], 1)), training=True)["z"]
            z = tf.reshape(z, (shape[0], 4, 2))
            exam = _mean(z, kept[:, None, :])[:, 0]
            breast = _mean(z, kept[:, None, :] * breast_of_view[None])
            exam_label = tf.reduce_max(cancers, axis=1)
            loss = plan.exam_weight * _weighted_loss(exam, exam_label, exam_balance)
            present = tf.cast(tf.reduce_sum(kept[:, None, :] * breast_of_view[None], axis=2) > 0, tf.float32)
            loss += plan.breast_weight * _weighted_loss(breast, cancers, breast_balance, present)
            total = loss + tf.add_n(network.losses) if network.losses else loss
        gradients = tape.gradient(total, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    return learn


def _augment(views: tf.Tensor, perturbation: float, seed: tf.Tensor) -> tf.Tensor:
    """Contrast and brightness within the breast (the paper's ±10 %), and turning exams upside down."""
    count = tf.shape(views)[0]
    shape = (count, 4, 1, 1, 1)
    shown = (views + 1.0) / 2.0
    contrast = tf.random.stateless_uniform(shape, seed + [0, 1], 1 - perturbation, 1 + perturbation)
    brightness = tf.random.stateless_uniform(shape, seed + [0, 2], -perturbation, perturbation) * 0.5
    changed = tf.clip_by_value((shown - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0)
    shown = tf.where(shown > 0, changed, shown)
    turned = tf.random.stateless_uniform((count, 1, 1, 1, 1), seed + [0, 3]) < 0.5
    return tf.where(turned, shown[:, :, ::-1], shown) * 2.0 - 1.0


def _mean(z: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """Mean of z (b, v, 2) over the kept views (b, groups, v): (b, groups, 2)."""
    return tf.matmul(kept, z) / tf.maximum(tf.reduce_sum(kept, axis=2, keepdims=True), 1.0)


def _weighted_loss(
    z: tf.Tensor, labels: tf.Tensor, balance: tf.Tensor, present: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy of softmax(z), the classes weighted to equal shares."""
    loss = tf.nn.softplus((z[..., 1] - z[..., 0]) * (1.0 - 2.0 * labels))
    weights = tf.where(labels > 0, balance[1], balance[0])
    weights = weights if present is None else weights * present
    return tf.reduce_mean(loss * weights)


def _class_weights(training: ExamSet) -> tuple[tuple[float, float], tuple[float, float]]:
    """(normal, cancer) weights of exams and of breasts that give both classes the same share."""
    pairs = []
    for labels in (sick_exams(training), training.cancers):
        share = float(np.clip(labels.mean(), 0.05, 0.95))
        pairs.append((0.5 / (1.0 - share), 0.5 / share))
    return pairs[0], pairs[1]


def predict_z(network: keras.Model, exams: ExamSet, wall_columns: int | None = None) -> NDArray[np.float32]:
    """Values z of every view, float32 (n, 4, 2)."""
    compiled = tf.function(lambda views: network(views, training=False)["z"])
    columns = wall_columns or exams.views.shape[-1]
    every = range(exams.cancers.shape[0])
    return np.stack([compiled(_next_to_wall(exams.inputs([number]), columns)[0]).numpy() for number in every])


def breast_loss(z: NDArray[np.float32], cancers: NDArray[np.bool_]) -> float:
    """Mean cross-entropy of the breasts, classes at equal shares."""
    logits = breast_logits(z)
    losses = np.logaddexp(0.0, np.where(cancers, -logits, logits))
    return float((losses[cancers].mean() + losses[~cancers].mean()) / 2)

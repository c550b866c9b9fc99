"""What is learned: exam labels, and breast labels where known, on the mean z of the views.

Written with Keras operations alone, so that the same code trains on every backend of Keras.
"""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import ops

from dibmg.architecture import AIR, HALF_LEVEL
from dibmg.training.batches import class_weights
from dibmg.training.examples import UNKNOWN, Examples
from dibmg.training.plan import Schedule, TrainingPlan

_HEAVIEST: Final = 12.0
"""Most that a cell with cancer weighs against one without: a map that is sure of nothing says nothing."""


class Learner(keras.Model):  # type: ignore[misc]
    """A network with the losses of its exams and breasts; trained by `fit` on `Batch`es."""

    def __init__(
        self,
        network: keras.Model,
        plan: TrainingPlan,
        exam_balance: tuple[float, float] = (1.0, 1.0),
        breast_balance: tuple[float, float] = (1.0, 1.0),
        replicas: int = 1,
    ) -> None:
        super().__init__(name="learner")
        self.network = network
        self.plan = plan
        self._exam_balance, self._breast_balance = exam_balance, breast_balance
        self._replicas = replicas

    def call(self, batch: dict[str, Any], training: bool | None = None) -> Any:
        """Cancer minus normal of every view: `z` (b, slots) and its `map` (b, slots, h, w); float32."""
        views = batch["views"]
        shape = ops.shape(views)
        found = self.network(ops.reshape(views, (-1, shape[2], shape[3], 1)), training=training)
        z, cells = (values[..., 1] - values[..., 0] for values in (found["z"], found["map"]))
        size = ops.shape(cells)
        return {
            "z": ops.reshape(z, (-1, shape[1])),
            "map": ops.reshape(cells, (-1, shape[1], size[1], size[2])),
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Cross-entropies of exams, breasts and map cells, and the penalty on the kernels."""
        logits = y_pred["z"]
        kept, right = x["kept"], x["right"]
        loss = self.plan.exam_weight * self._loss(
            _mean(logits, kept), x["exams"], ops.sum(kept, axis=-1), self._exam_balance
        )
        sides = ops.stack([kept * right, kept * (1.0 - right)], axis=1)
        breasts = _mean(logits[:, None, :], sides)
        loss += self.plan.breast_weight * self._loss(
            breasts, x["breasts"], ops.sum(sides, axis=-1), self._breast_balance
        )
        if self.plan.place_weight:
            loss += self.plan.place_weight * self._cells(x, y_pred["map"])
        for penalty in self.network.losses:
            loss += penalty
        return loss / self._replicas  # the gradients of replicas are added up

    def _cells(self, batch: dict[str, Any], cells: Any) -> Any:
        """Mean cross-entropy of the cells on the breast whose truth is known; a cell may be cancer in part.

        What is cancer is a hundredth of what is not: it weighs more, but no more than `_HEAVIEST` times.
        """
        stride = self.plan.architecture.stride
        breast = ops.cast(batch["views"][..., 0] > AIR + HALF_LEVEL, "float32")
        shape = ops.shape(breast)
        breast = ops.reshape(breast, (-1, shape[2], shape[3], 1))
        share = ops.reshape(ops.average_pool(breast, stride, stride, padding="valid"), ops.shape(cells))
        counted = share * (batch["placed"] * batch["kept"])[..., None, None]
        truth = batch["lesions"]
        sick, sound = ops.sum(counted * truth), ops.sum(counted * (1.0 - truth))
        weights = counted * (1.0 + (ops.minimum(sound / (sick + 1e-3), _HEAVIEST) - 1.0) * truth)
        losses = ops.softplus(cells) - truth * cells
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)

    def _loss(self, logits: Any, labels: Any, present: Any, balance: tuple[float, float]) -> Any:
        """Mean cross-entropy over what is present and of known label."""
        counted = ops.cast(ops.logical_and(labels > UNKNOWN / 2, present > 0), "float32")
        positive = ops.cast(labels > 0.5, "float32")
        smooth = self.plan.label_smoothing
        target = positive * (1.0 - smooth) + smooth / 2.0
        losses = ops.softplus(logits) - target * logits
        weights = counted * (positive * balance[1] + (1.0 - positive) * balance[0])
        return ops.sum(losses * weights) / ops.maximum(ops.sum(counted), 1.0)


def make_learner(
    network: keras.Model, plan: TrainingPlan, examples: Examples, per_epoch: int, replicas: int = 1
) -> Learner:
    """A learner with its optimizer, ready for `fit`.

    Args:
        network: As `dibmg.network.build_network` makes it.
        plan: Rates and weights.
        examples: Of the training set: its classes are balanced.
        per_epoch: Minibatches an epoch.
        replicas: Devices that a minibatch is divided among.
    """
    balances = class_weights(examples.exams, plan), class_weights(examples.breasts, plan)
    learner = Learner(network, plan, *balances, replicas)
    optimizer = keras.optimizers.SGD(
        _learning_rate(plan, per_epoch),
        momentum=plan.momentum,
        global_clipnorm=plan.clip_norm or None,
    )
    learner.compile(optimizer=optimizer, jit_compile=False)
    return learner


def _learning_rate(plan: TrainingPlan, per_epoch: int) -> Any:
    schedules = keras.optimizers.schedules
    if plan.schedule is Schedule.COSINE:
        warmup = round(plan.warmup_epochs * per_epoch)
        return schedules.CosineDecay(
            0.0 if warmup else plan.learning_rate,
            max(1, plan.epochs * per_epoch - warmup),
            warmup_target=plan.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    edges = list(range(plan.decay_epochs, plan.epochs, plan.decay_epochs))
    rates = [plan.learning_rate / plan.decay_factor**fall for fall in range(len(edges) + 1)]
    if not edges:
        return plan.learning_rate
    return schedules.PiecewiseConstantDecay([edge * per_epoch for edge in edges], rates)


def _mean(logits: Any, kept: Any) -> Any:
    """Mean over the last axis of what is kept; 0 where nothing is."""
    return ops.sum(logits * kept, axis=-1) / ops.maximum(ops.sum(kept, axis=-1), 1.0)

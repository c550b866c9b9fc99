"""The stream of minibatches: number n is the same on every machine and in every run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.synthesis.insert import NoRoomError, disc, insert_into
from dibmg.training.augment import augment_view
from dibmg.training.examples import UNKNOWN, Examples
from dibmg.training.plan import Augmentation, Balance, TrainingPlan

Batch = dict[str, NDArray[np.float32]]
"""`views` (b, slots, size, columns, 1); `kept` (b, slots): 1 where a view counts; `right` (b, slots): 1
where it shows the right breast; `exams` (b,) and `breasts` (b, 2): 1 cancer, 0 not, -1 unknown; where places
are learned, `lesions` (b, slots, h, w): share of each map cell that is cancer, and `placed` (b, slots): 1
where that is known; float32."""


@dataclass(frozen=True)
class Batches:
    """Minibatches of examples.

    Attributes:
        threads: Minibatches made at a time, ahead of the one that is asked for.
    """

    examples: Examples
    plan: TrainingPlan
    threads: int = 2

    @property
    def per_epoch(self) -> int:
        """Minibatches that make up an epoch."""
        count = self.plan.examples_per_epoch or len(self.examples)
        return max(1, round(count / self.plan.batch))

    def stream(self, first: int, last: int) -> Iterator[Batch]:
        """Minibatches number `first` to `last` - 1."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: list[Future[Batch]] = []
            ahead = first
            for _ in range(first, last):
                while ahead < min(last, first + self.threads * 2) or not waiting:
                    waiting.append(pool.submit(self.batch, ahead))
                    ahead += 1
                yield waiting.pop(0).result()
                first += 1

    def batch(self, number: int) -> Batch:
        """Minibatch of this number."""
        cv2.setNumThreads(1)
        plan, examples = self.plan, self.examples
        random = np.random.default_rng([plan.seed, 1, number])
        slots, size = examples.slots, examples.size
        columns = min(plan.wall_columns or size, size)
        made = {
            "views": np.full((plan.batch, slots, size, columns), -1.0, np.float32),
            "kept": np.zeros((plan.batch, slots), np.float32),
            "right": np.zeros((plan.batch, slots), np.float32),
        }
        stride = plan.architecture.stride
        if plan.place_weight:
            made["lesions"] = np.zeros((plan.batch, slots, size // stride, columns // stride), np.float32)
            made["placed"] = np.zeros((plan.batch, slots), np.float32)
        chosen = self._chosen(number)
        exams = examples.exams[chosen].astype(np.float32)
        breasts = examples.breasts[chosen].astype(np.float32)
        for place, example in enumerate(chosen):
            upside_down = bool(random.random() < plan.augmentation.flip_rows)
            members = examples.members[example]
            inserted = _breast_with_insertion(breasts[place], plan.augmentation, random)
            sick = False
            for slot, image in enumerate(members):
                right = bool(examples.right[image])
                view = np.asarray(examples.views[image])
                lesion = examples.lesion(int(image)) if plan.place_weight else None
                if inserted is not None and right == (inserted == 0):
                    view, area = _with_lesion(view, random)
                    sick = sick or area is not None
                    lesion = lesion if area is None or lesion is None else np.maximum(lesion, area)
                changed = augment_view(view, right, plan.augmentation, random, upside_down, lesion)
                part = slice(size - columns, size) if changed.wall_right else slice(0, columns)
                made["views"][place, slot] = changed.inputs[:, part]
                made["right"][place, slot] = right
                if changed.lesion is not None:
                    made["lesions"][place, slot] = _cells(changed.lesion[:, part], stride)
                    made["placed"][place, slot] = 1.0
            if inserted is not None and sick:
                breasts[place, inserted] = exams[place] = 1.0
            kept = random.random(len(members)) >= plan.view_dropout
            made["kept"][place, : len(members)] = kept if kept.any() else 1.0
        return {**made, "views": made["views"][..., None], "exams": exams, "breasts": breasts}

    def _chosen(self, number: int) -> NDArray[np.int64]:
        """Examples of a minibatch: every class in turn where sampling balances them."""
        positives = self.examples.exams == 1
        classes = [np.arange(len(self.examples))]
        if self.plan.balance is Balance.SAMPLING and positives.any() and not positives.all():
            classes = [np.flatnonzero(~positives), np.flatnonzero(positives)]
        slots = range(number * self.plan.batch, (number + 1) * self.plan.batch)
        return np.array(
            [
                _draw(classes[slot % len(classes)], slot // len(classes), self.plan.seed, slot % len(classes))
                for slot in slots
            ]
        )


def _draw(among: NDArray[np.int64], turn: int, seed: int, stream: int) -> int:
    """Number `turn` of an endless series that goes through all in ever new orders."""
    order = np.random.default_rng([seed, 2, stream, turn // among.size]).permutation(among.size)
    return int(among[order[turn % among.size]])


def _breast_with_insertion(
    breasts: NDArray[np.float32], plan: Augmentation, random: np.random.Generator
) -> int | None:
    """Which breast (0 right, 1 left) gets a synthetic lesion, if any: one without cancer, its label known."""
    if not plan.insert_lesion or random.random() >= plan.insert_lesion or 1.0 in breasts:
        return None
    clean = np.flatnonzero(breasts == 0.0)
    return int(random.choice(clean)) if clean.size else None


def _cells(area: NDArray[np.uint8], stride: int) -> NDArray[np.float32]:
    """Share of every cell of `stride` pixels that lies in an area; a rest at the end is cut off."""
    rows, columns = area.shape[0] // stride, area.shape[1] // stride
    whole = area[: rows * stride, : columns * stride].reshape(rows, stride, columns, stride)
    return np.asarray(whole.mean(axis=(1, 3)), dtype=np.float32)


def _with_lesion(
    view: NDArray[np.uint8], random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """A view with one more lesion, and where (1 inside); a detector's longer side is about 240 mm.

    Where there is no room: the view as it is, and None.
    """
    shown = view.astype(np.float32) * np.float32(1.0 / 255.0)
    try:
        visibility = float(random.uniform(0.4, 1.0))
        changed, (column, row, radius), _ = insert_into(
            shown, view > 0, random, 240.0 / view.shape[0], visibility
        )
    except NoRoomError:
        return view, None
    with_lesion = np.asarray(np.round(np.clip(changed, 0.0, 1.0) * 255.0), dtype=np.uint8)
    return with_lesion, disc(view.shape, (column, row), radius)


def class_weights(labels: NDArray[np.int8], plan: TrainingPlan) -> tuple[float, float]:
    """Weights of (negative, positive) labels that give both classes the same share of the loss.

    Args:
        labels: 1, 0, UNKNOWN of any shape.
        plan: (1, 1) unless its balance is LOSS.
    """
    known = labels[labels != UNKNOWN]
    if plan.balance is not Balance.LOSS or known.size == 0:
        return 1.0, 1.0
    share = float(np.clip((known == 1).mean(), 0.05, 0.95))
    return 0.5 / (1.0 - share), 0.5 / share

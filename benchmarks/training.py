"""Training: the step of `dibmg train`, beside forward and backward pass alone, and its input alone.

python -m benchmarks.training [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import SHORT_SIZE, Chosen, command
from benchmarks.exams import view_pixels
from benchmarks.rounds import Figures, interleave, medians, ratio
from dibmg.training.batches import Batches
from dibmg.training.examples import Examples
from dibmg.training.plan import Augmentation, TrainingPlan
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality

_SIZES: Final = {"512": (512, 4, 3), "1600": (1600, 1, 1)}
"""Input size, exams of a minibatch, minibatches of one measurement."""
_SHORT_SIZES: Final = {"512": (SHORT_SIZE, 2, 1)}
_EXAMS: Final = 8
_THREADS: Final = 2
"""As `dibmg train` has by itself."""
_EVERYTHING: Final = Augmentation(
    flip_rows=0.5,
    mirror=0.5,
    rotation=14.0,
    zoom=0.1,
    shift=0.05,
    gamma=0.2,
    blur=0.3,
    insert_lesion=0.5,
)
"""Every change at once: more than any set was trained with."""


@dataclass(frozen=True)
class Training:
    """One network in training, at one input size.

    Attributes:
        plan: The paper's, but for the minibatch.
        steps: Minibatches of one measurement.
        numbers: Of minibatches that were not made yet.
    """

    plan: TrainingPlan
    examples: Examples
    steps: int
    numbers: Iterator[int]

    def turns(self) -> dict[str, Callable[[], Figures]]:
        """What is measured; every graph is built by then."""
        # TensorFlow takes seconds to import, and a test asks for this module without measuring
        import tensorflow as tf

        from dibmg.network import build_network
        from dibmg.training.backend import Devices, learn
        from dibmg.training.learner import make_learner

        plan, batches = self.plan, Batches(self.examples, self.plan, _THREADS)
        network = build_network(plan.architecture, None, plan.weight_decay, plan.mixed_precision)
        learner = make_learner(network, plan, self.examples, batches.per_epoch)
        devices = Devices()
        shape = (plan.batch * self.examples.slots, plan.input_size, plan.input_size, 1)
        views = tf.constant(np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32))

        @tf.function  # type: ignore[untyped-decorator]
        def forward_and_backward() -> Any:
            with tf.GradientTape() as tape:
                found = tf.reduce_mean(network(views, training=True)["z"][:, 1])
            return tape.gradient(found, network.trainable_variables)

        def passes() -> None:
            for _ in range(self.steps):
                forward_and_backward()[-1].numpy()  # it waits, where TensorFlow does not by itself

        def steps() -> None:
            first = next(self.numbers) * self.steps
            learn(learner, batches, first, first + self.steps, devices, lambda _: None)

        everything = Batches(self.examples, replace(plan, augmentation=_EVERYTHING), _THREADS)
        turns = {
            "train": steps,
            "forward and backward": passes,
            "input": partial(self._read, batches),
            "input, every change": partial(self._read, everything),
        }
        for work in (steps, passes):
            work()
        return {name: partial(self._timed, work) for name, work in turns.items()}

    def _read(self, batches: Batches) -> None:
        first = next(self.numbers) * self.steps
        for _ in batches.stream(first, first + self.steps):
            pass

    def _timed(self, work: Callable[[], None]) -> Figures:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        exams = self.steps * self.plan.batch
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"exams_per_s": exams / wall, "cpu_s_per_exam": cpu / exams}


def examples(folder: Path, size: int) -> Examples:
    """Exams as `dibmg train` has prepared them: in a file, which is mapped."""
    views = np.stack(
        [_prepared(view_pixels(v, (size, size), n)) for n in range(_EXAMS) for v in STANDARD_VIEWS]
    )
    path = folder / f"views-{size}.npy"
    np.save(path, views)
    slots = len(STANDARD_VIEWS)
    labels = np.arange(_EXAMS) % 2
    return Examples(
        views=np.load(path, mmap_mode="r"),
        members=tuple(np.arange(slots * number, slots * (number + 1)) for number in range(_EXAMS)),
        right=np.array([v.laterality is Laterality.RIGHT for v in STANDARD_VIEWS] * _EXAMS),
        exams=labels.astype(np.int8),
        breasts=np.stack([labels, np.zeros_like(labels)], axis=1).astype(np.int8),
        groups=np.arange(_EXAMS),
    )


def _prepared(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255.0 / 4095.0), dtype=np.uint8)


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Medians by input size."""
    from dibmg.training.backend import make_deterministic

    make_deterministic(1)  # as `dibmg train` does; what it costs, the passes alone bear too
    found: dict[str, Any] = {}
    for name, (size, batch, steps) in (_SHORT_SIZES if chosen.short else _SIZES).items():
        plan = TrainingPlan(input_size=size, batch=batch)
        rows = interleave(Training(plan, examples(folder, size), steps, count()).turns(), chosen.rounds)
        found[name] = {
            "batch": batch,
            **{turn: medians(one) for turn, one in rows.items()},
            "train_of_limit": ratio(rows["train"], rows["forward and backward"], "exams_per_s"),
            "input_of_train": ratio(rows["input"], rows["train"], "exams_per_s"),
            "everything_of_train": ratio(rows["input, every change"], rows["train"], "exams_per_s"),
        }
    return {"preset": plan.preset, "rounds": chosen.rounds, "by_input_size": found}


if __name__ == "__main__":
    command("training", __doc__, measure)

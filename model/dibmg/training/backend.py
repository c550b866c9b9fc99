"""What differs between the backends of Keras: data, devices, determinism.

TensorFlow is the project's backend; PyTorch and JAX train with the same code where they are what is
installed for a machine's GPU (`KERAS_BACKEND=torch`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

import keras

from dibmg.training.batches import Batches

TENSORFLOW: Final = "tensorflow"


class Devices:
    """The devices that a minibatch is divided among: every GPU that TensorFlow sees, else one device."""

    def __init__(self) -> None:
        self._strategy: Any = None
        if keras.backend.backend() == TENSORFLOW:
            import tensorflow as tf

            from dibmg.tensorflow_settings import settle

            settle()
            if len(tf.config.list_logical_devices("GPU")) > 1:
                self._strategy = tf.distribute.MirroredStrategy()

    @property
    def replicas(self) -> int:
        """How many there are."""
        return 1 if self._strategy is None else int(self._strategy.num_replicas_in_sync)

    def scope(self) -> Any:
        """Context in which a network and its optimizer are made."""
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()


def make_deterministic(seed: int) -> None:
    """Let the same seed give the same run; on a CPU to the bit, where TensorFlow has not run before it."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == TENSORFLOW:
        import tensorflow as tf

        from dibmg.tensorflow_settings import count_gpus, settle

        tf.config.experimental.enable_op_determinism()
        if not count_gpus():
            # on a CPU several at once gave other sums from run to run, determinism of operations or not
            settle(operations=1)


def learn(
    learner: keras.Model,
    batches: Batches,
    first: int,
    last: int,
    devices: Devices,
    tell: Callable[[int], None],
) -> float:
    """Train on minibatches `first` to `last` - 1.

    Args:
        learner: Compiled.
        batches: Of the training examples.
        first: Number of the first minibatch.
        last: Number after the last one.
        devices: That the learner was made for.
        tell: Called with the number of every minibatch that is done.

    Returns:
        The mean loss.
    """
    if devices.replicas > 1:
        return _fit(learner, batches, first, last, tell)
    # one at a time and not by `fit`: a generator in tf.data makes glibc give every tensor back to the
    # system and fetch it again: half of a step on a CPU was system time
    total = 0.0
    for number, batch in enumerate(batches.stream(first, last), start=first):
        total += float(learner.train_on_batch(batch))
        tell(number)
    return total / max(last - first, 1)


def _fit(learner: keras.Model, batches: Batches, first: int, last: int, tell: Callable[[int], None]) -> float:
    """By `fit`, which divides a minibatch of tf.data among devices."""
    import tensorflow as tf

    shapes = {name: tf.TensorSpec(values.shape, tf.float32) for name, values in batches.batch(first).items()}
    data = tf.data.Dataset.from_generator(
        lambda: ((batch,) for batch in batches.stream(first, last)), output_signature=(shapes,)
    )
    told = keras.callbacks.LambdaCallback(on_train_batch_end=lambda number, logs: tell(first + number))
    fitted = learner.fit(
        data.prefetch(2), steps_per_epoch=last - first, shuffle=False, verbose=0, callbacks=[told]
    )
    return float(fitted.history["loss"][-1])

"""How TensorFlow computes: what it takes only before it first does."""

from __future__ import annotations

import tensorflow as tf


def count_gpus() -> int:
    """GPUs that TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def settle(threads: int | None = None, operations: int | None = None) -> None:
    """Settle how TensorFlow computes in this process; where it has run already, its settings stay.

    A GPU's memory is taken as it is needed.

    Args:
        threads: That share one operation on a CPU; None leaves what is set, at first one for each core.
        operations: That are computed at once; None as above.
    """
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        if operations is not None:
            tf.config.threading.set_inter_op_parallelism_threads(operations)
    except RuntimeError:  # TensorFlow has run in this process already
        pass

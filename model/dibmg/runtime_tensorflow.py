"""DIB-MG with TensorFlow: on a GPU, and on a CPU to compare with."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from dibmg.architecture import Architecture
from dibmg.network import build_network, join_networks
from dibmg.runtime_choice import Precision
from dibmg.tensorflow_settings import count_gpus, settle
from dibmg.weights import KERAS, Weights
from dibmg_node.errors import WeightsError


class TensorFlowRuntime:
    """The weights of record in a compiled function; all views of an exam are one batch on a GPU."""

    name = "tensorflow"

    def __init__(self, weights: Weights, precision: Precision, threads: int) -> None:
        gpus = count_gpus()
        settle(threads, operations=1)
        self.precision = precision if gpus else Precision.F32
        if self.precision is Precision.F32:
            # NVIDIA GPUs from Ampere on multiply float32 in TF32, of ten bits, unless told not to
            tf.config.experimental.enable_tensor_float_32_execution(False)
        network = self._load(weights)
        size = weights.input_size
        self._together = bool(gpus)
        self._compiled = tf.function(
            lambda views: network(views, training=False)["map"],
            input_signature=[tf.TensorSpec((None if gpus else 1, size, size, 1), tf.float32)],
        )

    def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Runtime.maps`."""
        batches = [np.stack(views)] if self._together else [view[None] for view in views]
        return np.concatenate([np.asarray(self._compiled(tf.constant(one[..., None]))) for one in batches])

    def _load(self, weights: Weights) -> keras.Model:
        """The network of record; for bfloat16 the same values in a network of that policy."""
        path = weights.folder / KERAS
        try:
            network = keras.models.load_model(path, compile=False)
            weights.check_network(network.input.shape[1:], network.output["map"].shape[1:])
            if self.precision is Precision.F32:
                return network
            reduced = in_bfloat16(weights)
            reduced.set_weights(network.get_weights())
            return reduced
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{path} cannot be loaded by Keras: {error}") from error


def in_bfloat16(weights: Weights) -> keras.Model:
    """The network of record as `dibmg.export` builds it, in another precision."""

    def several(architecture: Architecture, count: int) -> list[keras.Model]:
        return [build_network(architecture, size, mixed_precision=True) for _ in range(count)]

    size, context = weights.input_size, weights.context
    members = several(weights.architecture, weights.members)
    whole = [] if context is None else several(context.architecture, context.members)
    return join_networks(members, weights.architecture, size, whole, context)

"""What computes the maps: OpenVINO on a CPU, TensorFlow on a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import AIR
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.weights import Weights
from dibmg_node.errors import ConfigError

MAXIMUM_THREADS = 4
"""Of one runtime unless asked for more: views are read one after another, and more threads gain little."""


class Runtime(Protocol):
    """A loaded network.

    Attributes:
        name: `openvino` or `tensorflow`.
        precision: What is in use, which on a CPU without bfloat16 is f32 whatever was asked for.
    """

    name: str
    precision: Precision

    def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Raw maps float32 (n, h, w, 2) [normal, cancer] of n views float32 (size, size) in -1..1."""
        ...


def open_runtime(
    weights: Weights,
    kind: RuntimeKind = RuntimeKind.AUTO,
    precision: Precision = Precision.F32,
    threads: int = 0,
) -> Runtime:
    """Load a set of weights and run one warm-up view.

    Args:
        weights: A verified set.
        kind: AUTO takes TensorFlow where it is installed and sees a GPU, else OpenVINO.
        precision: BF16 is used only where the device computes it; the runtime says what is in use.
        threads: Most threads of one inference; 0 = as many as there are cores, at most 4.

    Raises:
        ConfigError: The runtime asked for is not installed; the message says what to install.
        WeightsError: A file cannot be loaded, or its network is not the one that the manifest tells of.
    """
    check_runtime(kind)
    threads = threads or min(os.cpu_count() or 1, MAXIMUM_THREADS)
    if kind is RuntimeKind.AUTO:
        kind = RuntimeKind.TENSORFLOW if _tensorflow_sees_gpu() else RuntimeKind.OPENVINO
    runtime: Runtime
    if kind is RuntimeKind.TENSORFLOW:
        from dibmg.runtime_tensorflow import TensorFlowRuntime

        runtime = TensorFlowRuntime(weights, precision, threads)
    else:
        from dibmg.runtime_openvino import OpenVinoRuntime

        runtime = OpenVinoRuntime(weights, precision, threads)
    runtime.maps([np.full((weights.input_size, weights.input_size), AIR, np.float32)])
    return runtime


def check_network(weights: Weights) -> None:
    """Whether the OpenVINO form of a set is the network that its manifest tells of; it is not compiled.

    Raises:
        WeightsError: It is not, or cannot be read; the message says what was found and expected.
    """
    from dibmg.runtime_openvino import read_network

    read_network(weights)


def check_runtime(kind: RuntimeKind) -> None:
    """Whether a runtime can be opened here, without loading it.

    Raises:
        ConfigError: Its packages are not installed; the message says what to install.
    """
    if kind is RuntimeKind.TENSORFLOW:
        _require(("tensorflow", "keras"), kind, "dibmg-node[train] on a CPU, dibmg-node[gpu] on a GPU")
    elif kind is RuntimeKind.OPENVINO:
        _require(("openvino",), kind, "the package openvino")


def _require(packages: Sequence[str], kind: RuntimeKind, install: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ConfigError(
            [f"model.runtime: {kind} needs {' and '.join(missing)}, not installed; install {install}"]
        )


def _tensorflow_sees_gpu() -> bool:
    """Whether TensorFlow is installed and sees a GPU; imports it only where there is a device to see."""
    if (
        not any(Path("/dev").glob("nvidia[0-9]*"))
        or find_spec("tensorflow") is None
        or find_spec("keras") is None
    ):
        return False
    from dibmg.tensorflow_settings import count_gpus

    return count_gpus() > 0

"""How fast the cores multiply: matrix products with as many multiply-adds as a network has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dibmg.quiet_openvino import openvino
from dibmg.weights import OPENVINO, Weights

_SIDE = 2048


def matmul(precision: str, threads: int, macs: float) -> Callable[[], None]:
    """Work of about `macs` multiply-adds in square matrix products, by the same library as the network.

    Args:
        precision: f32 or bf16.
        threads: As for the network.
        macs: Multiply-adds; at least one product is computed.
    """
    from openvino import opset13

    left = opset13.parameter([_SIDE, _SIDE], np.float32)
    # a constant, as the weights of a network are
    right = opset13.constant(np.random.default_rng(2).standard_normal((_SIDE, _SIDE), dtype=np.float32))
    model = openvino.Model([opset13.matmul(left, right, False, False)], [left], "peak")
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": "1",
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    values = np.random.default_rng(3).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    request.infer([values])
    products = max(1, round(macs / _SIDE**3))

    def work() -> None:
        for _ in range(products):
            request.infer([values])

    return work


def multiply_adds(weights: Weights) -> float:
    """Multiply-adds of the convolutions of one view, counted in the network that is served."""
    model = openvino.Core().read_model(weights.folder / OPENVINO)
    model.reshape([1, weights.input_size, weights.input_size, 1])
    total = 0
    for operation in model.get_ops():
        if operation.get_type_name() == "Convolution":
            _, inputs, *kernel = operation.input(1).get_partial_shape().to_shape()
            total += int(np.prod(list(operation.output(0).shape))) * inputs * int(np.prod(kernel))
    return float(total)

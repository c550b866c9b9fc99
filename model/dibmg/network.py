"""The network of DIB-MG: nineteen convolutions, a map for each of two classes, their spatial mean.

Two initial blocks, four residual blocks of four convolutions, one aggregation block of 1x1. Training
and export need this module; a node that serves on a CPU does not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dibmg.architecture import Architecture
from dibmg.preprocess import AIR


def build_network(
    architecture: Architecture, input_size: int | None, weight_decay: float = 0.0005
) -> keras.Model:
    """Build DIB-MG for one view.

    Args:
        architecture: Widths, strides, pools.
        input_size: Side of the square input, pixels; a multiple of the architecture's stride. None: any size.
        weight_decay: L2 penalty on the kernels of convolutions (half the squared norm times this).

    Returns:
        A model from float32 (n, size, size, 1) in -1..1 to two outputs: `map`, float32 (n, h, w, 2),
        channel 0 normal and 1 cancer, raw; and `z`, float32 (n, 2), the spatial mean of the map.

    Raises:
        ValueError: The input size is no multiple of the stride.

    Source: Kim et al. 2018, Development of the Algorithm; He et al. 2016 for the residual block.
    """
    if input_size is not None and input_size % architecture.stride:
        raise ValueError(f"input size {input_size} is not a multiple of the map stride {architecture.stride}")
    penalty = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    view = keras.Input((input_size, input_size, 1), name="view")
    features = view
    for number in range(2):
        width, kernel = architecture.initial_widths[number], architecture.initial_kernels[number]
        features = _convolution(
            features, width, kernel, architecture.initial_strides[number], penalty, f"init{number + 1}"
        )
        features = keras.layers.ReLU()(features)
        if (pool := architecture.initial_pools[number]) > 1:
            features = keras.layers.MaxPooling2D(pool, padding="same")(features)
    for number, (width, stride) in enumerate(
        zip(architecture.block_widths, architecture.block_strides, strict=True)
    ):
        features = _residual_pair(features, width, stride, penalty, f"block{number + 1}a")
        features = _residual_pair(features, width, 1, penalty, f"block{number + 1}b")
    raw = keras.layers.Conv2D(2, 1, kernel_regularizer=penalty, dtype="float32", name="aggregate")(features)
    raw = keras.layers.AveragePooling2D(
        architecture.map_pool, strides=1, padding="same", dtype="float32", name="map"
    )(raw)
    z = keras.layers.GlobalAveragePooling2D(dtype="float32", name="z")(raw)
    return keras.Model(view, {"map": raw, "z": z}, name="dibmg")


def widen(network: keras.Model, ratio: float) -> None:
    """Let a network that was trained next to the chest wall say the same of whole views, in place.

    The columns added are air, whose raw map values are constant. Scaling the map by the ratio of the
    widths and taking that constant off gives z of the whole view the value of z of the part.

    Args:
        network: As `build_network` makes it for any input size.
        ratio: Columns of a whole view over columns trained on.
    """
    air = np.full((1, 512, 512, 1), AIR, np.float32)
    raw = network(air, training=False)["map"].numpy()[0]
    constant = raw[raw.shape[0] // 2, raw.shape[1] // 2]
    aggregate = network.get_layer("aggregate")
    kernel, bias = aggregate.get_weights()
    aggregate.set_weights([kernel * ratio, bias * ratio - constant * (ratio - 1.0)])


def count_convolutions(network: keras.Model) -> int:
    """Convolutions as the paper counts them: the 1x1 projections of the skips do not count."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(not layer.name.endswith("projection") for layer in layers)


def _convolution(features: Any, width: int, kernel: int, stride: int, penalty: Any, name: str) -> Any:
    """Convolution and batch normalization."""
    features = keras.layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=penalty,
        name=name,
    )(features)
    return keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3, name=f"{name}_normalization")(
        features
    )


def _residual_pair(features: Any, width: int, stride: int, penalty: Any, name: str) -> Any:
    """Two 3x3 convolutions with a skip around them; a block of the paper is two of these."""
    skip = features
    if stride > 1 or features.shape[-1] != width:
        skip = _convolution(features, width, 1, stride, penalty, f"{name}_projection")
    inner = keras.layers.ReLU()(_convolution(features, width, 3, stride, penalty, f"{name}1"))
    inner = _convolution(inner, width, 3, 1, penalty, f"{name}2")
    return keras.layers.ReLU()(keras.layers.Add()([skip, inner]))

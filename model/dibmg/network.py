"""The network of DIB-MG: nineteen convolutions, a map for each of two classes, their spatial mean.

Two initial blocks, four residual blocks of four convolutions, one aggregation block of 1x1. Training
and export need this module; a node that serves on a CPU does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from dibmg.architecture import AIR, HALF_LEVEL, Architecture, Context, ViewPooling


def build_network(
    architecture: Architecture,
    input_size: int | None,
    weight_decay: float = 0.0005,
    mixed_precision: bool = False,
) -> keras.Model:
    """Build DIB-MG for one view.

    Args:
        architecture: Widths, strides, pools.
        input_size: Side of the square input, pixels; a multiple of the architecture's stride. None: any size.
        weight_decay: L2 penalty on the kernels of convolutions (half the squared norm times this).
        mixed_precision: Convolutions compute in bfloat16; map and z stay float32.

    Returns:
        A model from float32 (n, size, size, 1) in -1..1 to two outputs: `map`, float32 (n, h, w, 2),
        channel 0 normal and 1 cancer, raw; and `z`, float32 (n, 2), the mean of the map over the cells
        that the architecture's `view_pooling` says.

    Raises:
        ValueError: The input size is no multiple of the stride.

    Source: Kim et al. 2018, Development of the Algorithm; He et al. 2016 for the residual block.
    """
    if input_size is not None and input_size % architecture.stride:
        raise ValueError(f"input size {input_size} is not a multiple of the map stride {architecture.stride}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed_precision else "float32")
    try:
        return _build(architecture, input_size, weight_decay)
    finally:
        keras.config.set_dtype_policy(before)


def _build(architecture: Architecture, input_size: int | None, weight_decay: float) -> keras.Model:
    """The network in the dtype policy that is set."""
    penalty = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    view = keras.Input((input_size, input_size, 1), name="view", dtype="float32")
    features = view
    for number in range(2):
        width, kernel = architecture.initial_widths[number], architecture.initial_kernels[number]
        features = _convolution(
            features, width, kernel, architecture.initial_strides[number], penalty, f"init{number + 1}"
        )
        features = keras.layers.ReLU(name=f"init{number + 1}_relu")(features)
        if (pool := architecture.initial_pools[number]) > 1:
            features = keras.layers.MaxPooling2D(pool, padding="same", name=f"pool{number + 1}")(features)
    blocks = zip(
        architecture.block_widths, architecture.block_strides, architecture.block_kernels, strict=True
    )
    # the largest of the halves against the sum of the others
    last = max((n for n, stride in enumerate(architecture.block_strides, start=1) if stride == 2), default=0)
    for number, (width, stride, kernels) in enumerate(blocks, start=1):
        shifted = stride == 2 and kernels[0] == 3 and number == last
        features = _residual_pair(features, width, kernels, stride, penalty, f"block{number}a", shifted)
        features = _residual_pair(features, width, kernels, 1, penalty, f"block{number}b")
    raw = keras.layers.Conv2D(2, 1, kernel_regularizer=penalty, dtype="float32", name="aggregate")(features)
    raw = keras.layers.AveragePooling2D(
        architecture.map_pool, strides=1, padding="same", dtype="float32", name="map"
    )(raw)
    return keras.Model(view, {"map": raw, "z": _pool(view, raw, architecture)}, name="dibmg")


def _pool(view: Any, raw: Any, architecture: Architecture, prefix: str = "") -> Any:
    """Values z (n, 2) of maps (n, h, w, 2), as `dibmg.scores.pool_view` computes them for the node."""
    if architecture.view_pooling is ViewPooling.SQUARE:
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"{prefix}z")(raw)
    share = BreastShare(architecture.stride, dtype="float32", name=f"{prefix}share")(view)
    pooling = WeightedPeak if architecture.view_pooling is ViewPooling.PEAK else WeightedMean
    return pooling(dtype="float32", name=f"{prefix}z")([raw, share])


def join_networks(
    networks: Sequence[keras.Model],
    architecture: Architecture,
    input_size: int,
    contexts: Sequence[keras.Model] = (),
    context: Context | None = None,
) -> keras.Model:
    """One network of several: its map is the mean of theirs, moved by what networks of whole views say.

    Args:
        networks: What is averaged.
        architecture: Of each of them.
        input_size: Side of the square input, pixels.
        contexts: Networks of views with the chest wall on the left, whose mean z moves the map of a view.
        context: How; None without any.

    Returns:
        A model as `build_network` makes it: one network without a context is itself.
    """
    if context is None and len(networks) == 1:
        return networks[0]
    view = keras.Input((input_size, input_size, 1), name="view")
    maps = [found["map"] for found in _called(networks, view, "member")]
    raw = _mean(maps, "map" if context is None else "maps")
    if context is not None:
        turned = WallLeft(dtype="float32", name="wall-left")(view)
        whole = _mean([found["z"] for found in _called(contexts, turned, "context")], "whole")
        rescored = Rescored(context.own, context.weight, context.offset, dtype="float32", name="map")
        raw = rescored([raw, _pool(view, raw, architecture, "before-"), whole])
    return keras.Model(view, {"map": raw, "z": _pool(view, raw, architecture)}, name="dibmg")


def first_member(network: keras.Model) -> keras.Model:
    """The first network of places of what `join_networks` made; the network itself where it is one."""
    names = {layer.name for layer in network.layers}
    return network.get_layer("member1") if "member1" in names else network


def _called(networks: Sequence[keras.Model], view: Any, name: str) -> list[Any]:
    """What each says of a view."""
    found = []
    for number, network in enumerate(networks, start=1):
        network.name = f"{name}{number}"
        found.append(network(view))
    return found


def _mean(values: Sequence[Any], name: str) -> Any:
    if len(values) == 1:
        return keras.layers.Identity(dtype="float32", name=name)(values[0])
    return keras.layers.Average(dtype="float32", name=name)(values)


@keras.saving.register_keras_serializable("dibmg")
class BreastShare(keras.layers.Layer):  # type: ignore[misc]
    """Share of each map cell that is breast, (n, h, w, 1): what is not air in the input."""

    def __init__(self, stride: int, **options: Any) -> None:
        super().__init__(**options)
        self.stride = stride

    def call(self, view: Any) -> Any:
        """Of inputs (n, size, size, 1)."""
        breast = keras.ops.cast(view > AIR + HALF_LEVEL, "float32")
        return keras.ops.average_pool(breast, self.stride, self.stride, padding="valid")

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """For Keras, which cannot find it out where sides are open."""
        rows, columns = (side and side // self.stride for side in shape[1:3])
        return shape[0], rows, columns, 1

    def get_config(self) -> dict[str, Any]:
        """For the saved network."""
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("dibmg")
class WallLeft(keras.layers.Layer):  # type: ignore[misc]
    """Views (n, size, size, 1), mirrored where the right half has more breast: the wall is on the left."""

    def call(self, view: Any) -> Any:
        """Of inputs (n, size, size, 1)."""
        breast = keras.ops.cast(view > AIR + HALF_LEVEL, "float32")
        middle = view.shape[2] // 2
        left, right = (
            keras.ops.sum(half, axis=(1, 2, 3), keepdims=True)
            for half in (breast[:, :, :middle], breast[:, :, -middle:])
        )
        return keras.ops.where(right > left, keras.ops.flip(view, axis=2), view)

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """As above."""
        return tuple(shape)


@keras.saving.register_keras_serializable("dibmg")
class Rescored(keras.layers.Layer):  # type: ignore[misc]
    """Maps (n, h, w, 2) moved, all cells of a view alike, to a score that a whole view has a say in."""

    def __init__(self, own: float, weight: float, offset: float, **options: Any) -> None:
        super().__init__(**options)
        self.own, self.weight, self.offset = own, weight, offset

    def call(self, inputs: Sequence[Any]) -> Any:
        """Of [map (n, h, w, 2), its z (n, 2), z of the whole (n, 2)]; see `dibmg.architecture.Context`."""
        raw, own, whole = inputs
        before, beside = (z[:, 1] - z[:, 0] for z in (own, whole))
        moved = self.own * before + self.weight * beside + self.offset - before
        return raw + keras.ops.stack([keras.ops.zeros_like(moved), moved], axis=1)[:, None, None, :]

    def compute_output_shape(self, shapes: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        """As above."""
        return tuple(shapes[0])

    def get_config(self) -> dict[str, Any]:
        """For the saved network."""
        return {**super().get_config(), "own": self.own, "weight": self.weight, "offset": self.offset}


@keras.saving.register_keras_serializable("dibmg")
class WeightedMean(keras.layers.Layer):  # type: ignore[misc]
    """Mean (n, 2) of a map (n, h, w, 2), each cell weighted by its share (n, h, w, 1)."""

    def call(self, inputs: Sequence[Any]) -> Any:
        """Of [map, share]."""
        raw, share = inputs
        total = keras.ops.maximum(keras.ops.sum(share, axis=(1, 2)), 1e-6)
        return keras.ops.sum(raw * share, axis=(1, 2)) / total

    def compute_output_shape(self, shapes: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
        """As above."""
        return shapes[0][0], shapes[0][3]


@keras.saving.register_keras_serializable("dibmg")
class WeightedPeak(WeightedMean):
    """As `WeightedMean`, but cancer minus normal is the logarithm of its mean exponential."""

    def call(self, inputs: Sequence[Any]) -> Any:
        """Of [map, share]."""
        raw, share = inputs
        share = share[..., 0]
        total = keras.ops.maximum(keras.ops.sum(share, axis=(1, 2)), 1e-6)
        normal = keras.ops.sum(raw[..., 0] * share, axis=(1, 2)) / total
        evidence = raw[..., 1] - raw[..., 0]
        # air cells may say anything
        least = keras.ops.min(evidence, axis=(1, 2), keepdims=True)
        highest = keras.ops.max(keras.ops.where(share > 0, evidence, least), axis=(1, 2))
        above = keras.ops.minimum(evidence - highest[:, None, None], 0.0)
        grown = keras.ops.sum(keras.ops.exp(above) * share, axis=(1, 2))
        peak = highest + keras.ops.log(grown / total + 1e-12)
        return keras.ops.stack([normal, normal + peak], axis=-1)


def count_convolutions(network: keras.Model) -> int:
    """Convolutions as the paper counts them: the 1x1 projections of the skips do not count."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(not layer.name.endswith("projection") for layer in layers)


def _convolution(
    features: Any, width: int, kernel: int, stride: int, penalty: Any, name: str, shifted: bool = False
) -> Any:
    """Convolution and batch normalization.

    With stride 2, "same" looks half a pixel below and to the right of the middle of each cell, and these
    halves add up to nearly half a cell of the map; `shifted` looks as far above and to the left instead.
    """
    padding = "same"
    if shifted:
        features = keras.layers.ZeroPadding2D(((1, 0), (1, 0)), name=f"{name}_padding")(features)
        padding = "valid"
    features = keras.layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=penalty,
        name=name,
    )(features)
    return keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3, name=f"{name}_normalization")(
        features
    )


def _residual_pair(
    features: Any,
    width: int,
    kernels: tuple[int, int],
    stride: int,
    penalty: Any,
    name: str,
    shifted: bool = False,
) -> Any:
    """Two convolutions with a skip around them; a block of the paper is two of these."""
    skip = features
    if stride > 1 or features.shape[-1] != width:
        skip = _convolution(features, width, 1, stride, penalty, f"{name}_projection")
    inner = keras.layers.ReLU(name=f"{name}1_relu")(
        _convolution(features, width, kernels[0], stride, penalty, f"{name}1", shifted)
    )
    inner = _convolution(inner, width, kernels[1], 1, penalty, f"{name}2")
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_sum")([skip, inner]))

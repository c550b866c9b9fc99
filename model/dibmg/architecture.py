"""What the paper's text leaves open about the network: widths, strides and pools, and named choices of them.

The paper gives the structure (two initial blocks, four residual blocks of four convolutions, one 1x1
aggregation); widths and strides stand in its Figure 1 only. Those of `paper` were inferred from a
public re-implementation (ShreyasiPathak/multiinstance-learning-mammography, `resnetkim.py`) and are
not verified against the figure: hence they can be set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from dibmg.manifest_fields import count_of, number_of, text_of

AIR: Final = -1.0
"""Network input of air and of padding. The paper says zero-padded, not whether before or after scaling."""

HALF_LEVEL: Final = 1.0 / 255.0
"""Half a grey level of eight bits: what is less above air than this is air."""


class ViewPooling(StrEnum):
    """How the cells of a view's map become its two values.

    SQUARE: the mean of all of them, as in the paper. BREAST: the mean of those that hold breast, in
    proportion to its share of the cell, so that the score of a lesion does not depend on the size of the
    breast around it. PEAK: over the same cells the logarithm of the mean exponential of cancer minus
    normal, which few cells that are sure decide where the mean of all drowns them (Pinheiro and Collobert
    2015, arXiv:1411.6228).
    """

    SQUARE = "square"
    BREAST = "breast"
    PEAK = "peak"


@dataclass(frozen=True)
class Architecture:
    """What the paper's text leaves open.

    Attributes:
        initial_widths, initial_kernels, initial_strides: The two initial blocks.
        initial_pools: Max-pooling after each initial block; 1 = none.
        block_widths, block_strides: The residual blocks; the first convolution of a block has its stride.
        block_kernels: Kernels of the two convolutions of each residual pair of a block. Those of 1x1 keep the
            receptive field small: a mean over the map does not care where a network answers, and one that
            sees far answers beside a lesion as gladly as on it.
        map_pool: Side, in cells, of a mean over the map before it is put out; 1 = none, as in the paper. It
            leaves z as it is but for the map's border, and moves the hottest cell into the lesion where
            the network answers to the surroundings of a lesion.
        view_pooling: How the cells of a view's map become its two values.
    """

    initial_widths: tuple[int, int] = (48, 48)
    initial_kernels: tuple[int, int] = (7, 5)
    initial_strides: tuple[int, int] = (2, 2)
    initial_pools: tuple[int, int] = (2, 1)
    block_widths: tuple[int, int, int, int] = (64, 96, 128, 192)
    block_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    block_kernels: tuple[tuple[int, int], ...] = ((3, 3), (3, 3), (3, 3), (3, 3))
    map_pool: int = 1
    view_pooling: ViewPooling = ViewPooling.SQUARE

    @property
    def stride(self) -> int:
        """Network pixels a map cell."""
        stride = 1
        for factor in (*self.initial_strides, *self.initial_pools, *self.block_strides):
            stride *= factor
        return stride

    @property
    def receptive_field(self) -> int:
        """Side of the square of network pixels that one map cell sees."""
        field, jump = 1, 1
        steps = []
        for number in range(2):
            steps.append((self.initial_kernels[number], self.initial_strides[number]))
            steps.append((self.initial_pools[number], self.initial_pools[number]))
        for stride, (first, second) in zip(self.block_strides, self.block_kernels, strict=True):
            steps += [(first, stride), (second, 1), (first, 1), (second, 1)]
        for kernel, stride in steps:
            field += (kernel - 1) * jump
            jump *= stride
        return field + (self.map_pool - 1) * jump

    def as_json(self) -> dict[str, Any]:
        """For the manifest of the weights."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Architecture:
        """Read back what `as_json` wrote."""
        values = {name: _frozen(value) for name, value in fields.items()}
        if "view_pooling" in values:
            values["view_pooling"] = ViewPooling(values["view_pooling"])
        return Architecture(**values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


PRESETS: Final[dict[str, Architecture]] = {
    "paper": Architecture(),
    "paper32": Architecture(block_strides=(1, 2, 2, 1)),
    "compact": Architecture(initial_widths=(24, 24), block_widths=(32, 48, 64, 96)),
    "fine": Architecture(
        initial_widths=(16, 24),
        block_widths=(32, 48, 64, 64),
        block_strides=(1, 2, 1, 1),
    ),
    "local": Architecture(
        initial_widths=(16, 24),
        block_widths=(32, 64, 96, 128),
        block_strides=(1, 2, 1, 1),
        block_kernels=((3, 1), (3, 1), (1, 1), (1, 1)),
        map_pool=3,
    ),
    "near": Architecture(
        initial_widths=(16, 24),
        block_widths=(32, 48, 64, 96),
        block_strides=(1, 1, 1, 1),
        block_kernels=((3, 1), (3, 1), (3, 1), (1, 1)),
        map_pool=1,
    ),
    "coarse": Architecture(
        initial_widths=(16, 24),
        block_widths=(32, 48, 64, 96),
        block_strides=(1, 2, 2, 1),
    ),
}
"""`paper32` has twice the map resolution; `fine` (stride 16) is for inputs of about 512 pixels, where
a cell of stride 64 would be larger than most lesions; `local` is the same with a receptive field of 137
pixels instead of 457; `near` has a stride of 8, so that a lesion of a centimeter holds more than one cell;
`coarse` has one of 32, to see a breast of 512 pixels as a whole."""


@dataclass(frozen=True)
class Context:
    """Networks beside those of the map that see the breast as a whole.

    A map keeps its shape and is moved as a whole: with d, what its cancer minus normal was pooled to, and d',
    the mean of that of these networks, it is pooled to `own` d + `weight` d' + `offset` then. So they change
    the score of a view and no order among its places; a cell reaches a threshold where it was no further
    below d than the new value is above that threshold.

    Attributes:
        preset: Name of the architecture it started from; `architecture` counts.
        architecture: Of each of these networks.
        members: Number of them; their values are averaged.
        own, weight: As above; factors.
        offset: As above; a logit.
    """

    preset: str
    architecture: Architecture
    members: int
    own: float
    weight: float
    offset: float

    def as_json(self) -> dict[str, Any]:
        """For the manifest of the weights."""
        return {
            "preset": self.preset,
            "architecture": self.architecture.as_json(),
            "members": self.members,
            "own": self.own,
            "weight": self.weight,
            "offset": self.offset,
        }

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> Context:
        """Read back what `as_json` wrote.

        Raises:
            KeyError: A field is missing.
            ValueError: One is not of its kind.
        """
        return Context(
            preset=text_of(fields, "preset"),
            architecture=Architecture.from_json(fields["architecture"]),
            members=count_of(fields, "members"),
            own=number_of(fields, "own"),
            weight=number_of(fields, "weight"),
            offset=number_of(fields, "offset"),
        )

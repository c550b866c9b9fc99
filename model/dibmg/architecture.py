"""What the paper's text leaves open about the network: widths, strides and pools, and named choices of them.

The paper gives the structure (two initial blocks, four residual blocks of four convolutions, one 1x1
aggregation); widths and strides stand in its Figure 1 only. Those of `paper` were inferred from a
public re-implementation (ShreyasiPathak/multiinstance-learning-mammography, `resnetkim.py`) and are
not verified against the figure: hence they can be set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True)
class Architecture:
    """What the paper's text leaves open.

    Attributes:
        initial_widths, initial_kernels, initial_strides: The two initial blocks.
        initial_pools: Max-pooling after each initial block; 1 = none.
        block_widths, block_strides: The residual blocks; the first convolution of a block has its stride.
        map_pool: Side, in cells, of a mean over the map before it is put out; 1 = none, as in the paper. It
            leaves z as it is but for the map's border, and moves the hottest cell into the lesion where
            the network answers to the surroundings of a lesion.
    """

    initial_widths: tuple[int, int] = (48, 48)
    initial_kernels: tuple[int, int] = (7, 5)
    initial_strides: tuple[int, int] = (2, 2)
    initial_pools: tuple[int, int] = (2, 1)
    block_widths: tuple[int, int, int, int] = (64, 96, 128, 192)
    block_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    map_pool: int = 1

    @property
    def stride(self) -> int:
        """Network pixels a map cell."""
        stride = 1
        for factor in (*self.initial_strides, *self.initial_pools, *self.block_strides):
            stride *= factor
        return stride

    def as_json(self) -> dict[str, list[int] | int]:
        """For the manifest of the weights."""
        fields = asdict(self).items()
        return {name: value if isinstance(value, int) else list(value) for name, value in fields}

    @staticmethod
    def from_json(fields: Mapping[str, Sequence[int] | int]) -> Architecture:
        """Read back what `as_json` wrote."""
        values = {name: value if isinstance(value, int) else tuple(value) for name, value in fields.items()}
        return Architecture(**values)  # type: ignore[arg-type]


PRESETS: Final[dict[str, Architecture]] = {
    "paper": Architecture(),
    "paper32": Architecture(block_strides=(1, 2, 2, 1)),
    "compact": Architecture(initial_widths=(24, 24), block_widths=(32, 48, 64, 96)),
    "fine": Architecture(
        initial_widths=(16, 24),
        block_widths=(32, 48, 64, 64),
        block_strides=(1, 2, 1, 1),
        map_pool=5,
    ),
}
"""`paper32` has twice the map resolution; `fine` (stride 16) is for inputs of about 512 pixels, where
a cell of stride 64 would be larger than most lesions."""

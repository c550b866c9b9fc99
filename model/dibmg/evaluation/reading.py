"""From the images of a manifest to what the network says of each, by the node's own functions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.data.images import ImageUnreadableError, lesion_area, load_image
from dibmg.data.manifest import ImageRow
from dibmg.evaluation.places import Places, find_places
from dibmg.local_contrast import local_contrast
from dibmg.localize import project
from dibmg.placement import Placement
from dibmg.preprocess import NoBreastError, Prepared, least_side, preprocess
from dibmg.runtime import Runtime
from dibmg.scores import pool_view
from dibmg.weights import Weights
from dibmg_node.domain.image import Mammogram
from dibmg_node.errors import RejectedError

Change = Callable[[Mammogram, ImageRow], Mammogram]
"""What is done to every image before it is prepared."""

_THREADS: Final = 2
_AHEAD: Final = 6
"""Images prepared before the network asks for them: 6 of 4000 x 3000 pixels are 150 MB."""


class NoUsableImageError(RejectedError):
    """No image of a manifest can be evaluated."""


@dataclass(frozen=True)
class LeftOut:
    """Something of a manifest that does not count, and why.

    Attributes:
        line: Of the manifest; 0 where it is no single one.
        image_read: Whether the image itself counts all the same.
    """

    line: int
    reason: str
    image_read: bool = False


@dataclass(frozen=True, eq=False)
class ImageReading:
    """What the network says of one image.

    Attributes:
        z: float32 (2,), the pooled map.
        places: Where the map points; with a lesion only on an image of a cancer.
        area: Share of the network's square that the breast fills.
        brightness: Mean of the prepared image inside the breast, 0..1.
        unlike: It looks unlike the images of training; None where the weights do not say how those look.
    """

    row: ImageRow
    z: NDArray[np.float32]
    places: Places
    area: float
    brightness: float
    unlike: bool | None = None


@dataclass(frozen=True)
class Readings:
    """All images of a manifest that could be read, and those that could not."""

    images: tuple[ImageReading, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def unlike(self) -> tuple[ImageReading, ...]:
        """Those that look unlike the images of training."""
        return tuple(one for one in self.images if one.unlike)


def prepare(row: ImageRow, size: int, change: Change | None = None) -> Prepared:
    """One image of a manifest as the network reads it.

    Raises:
        ImageUnreadableError: As for `load_image`.
        NoBreastError: As for `preprocess`.
    """
    loaded = load_image(row, least_side(size))
    mammogram = loaded.mammogram if change is None else change(loaded.mammogram, row)
    return preprocess(mammogram, row.laterality, loaded.orientation, size)


def read_images(
    rows: Sequence[ImageRow],
    weights: Weights,
    runtime: Runtime,
    advance: Callable[[], object],
    change: Change | None = None,
) -> Readings:
    """Read every image; two threads decode and prepare while the network computes.

    Args:
        rows: Of a manifest.
        weights: Loaded in `runtime`.
        runtime: Computes the maps.
        advance: Called after each image.
        change: Where given, done to every image; places of lesions are not looked at then.

    Raises:
        NoUsableImageError: Not one image could be read; the message tells of the first.
    """
    images: list[ImageReading] = []
    left_out: list[LeftOut] = []
    for row, future in _ahead(rows, lambda row: prepare(row, weights.input_size, change)):
        try:
            prepared = future.result()
        except (ImageUnreadableError, NoBreastError) as error:
            left_out.append(LeftOut(row.line, str(error)))
        else:
            lesion = None if change is not None else _lesion(row, prepared.placement, left_out)
            images.append(_reading(row, prepared, lesion, runtime, weights))
        advance()
    if not images:
        raise NoUsableImageError(f"none of {len(rows)} images can be read; the first: {left_out[0].reason}")
    return Readings(tuple(images), tuple(left_out))


def _ahead(
    rows: Sequence[ImageRow], work: Callable[[ImageRow], Prepared]
) -> Iterator[tuple[ImageRow, Future[Prepared]]]:
    """Each row with its work, in order, a few of them begun ahead."""
    with ThreadPoolExecutor(_THREADS) as pool:
        begun: deque[tuple[ImageRow, Future[Prepared]]] = deque()
        for row in rows:
            begun.append((row, pool.submit(work, row)))
            if len(begun) >= _AHEAD:
                yield begun.popleft()
        while begun:
            yield begun.popleft()


def _lesion(row: ImageRow, placement: Placement, left_out: list[LeftOut]) -> NDArray[np.bool_] | None:
    """Area of the lesion of a cancer on the stored grid, None where it is not known."""
    if not row.shows_cancer:
        return None
    try:
        return lesion_area(row, (placement.source_rows, placement.source_columns))
    except ImageUnreadableError as error:
        left_out.append(LeftOut(row.line, f"the place of the lesion is not used: {error}", image_read=True))
        return None


def _reading(
    row: ImageRow,
    prepared: Prepared,
    lesion: NDArray[np.bool_] | None,
    runtime: Runtime,
    weights: Weights,
) -> ImageReading:
    raw_map, usual = runtime.maps([prepared.pixels])[0], weights.local_contrast
    shape = (raw_map.shape[0], raw_map.shape[1])
    cells = None if lesion is None else project(lesion, prepared.placement, shape)
    return ImageReading(
        row=row,
        z=pool_view(raw_map, prepared.pixels, weights.architecture.view_pooling),
        places=find_places(raw_map, prepared.breast, cells),
        area=float(prepared.breast.mean()),
        brightness=float((prepared.pixels[prepared.breast].mean() + 1.0) / 2.0),
        unlike=None if usual is None else not usual.holds(local_contrast(prepared.pixels)),
    )

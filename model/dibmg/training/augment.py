"""Random changes of one prepared view, the same for the same generator on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.training.plan import Augmentation


@dataclass(frozen=True, eq=False)
class Changed:
    """A view after its random changes.

    Attributes:
        inputs: float32 (size, size), -1 = air to 1, the network's input.
        wall_right: Its chest wall is now on the right edge.
        lesion: uint8 (size, size), 1 in a cancer, moved as the view was; None where none was given.
    """

    inputs: NDArray[np.float32]
    wall_right: bool
    lesion: NDArray[np.uint8] | None


def augment_view(
    view: NDArray[np.uint8],
    right: bool,
    plan: Augmentation,
    random: np.random.Generator,
    upside_down: bool = False,
    lesion: NDArray[np.uint8] | None = None,
) -> Changed:
    """Change a view as the plan says.

    Args:
        view: uint8 (size, size), 0 = air.
        right: Its chest wall is on the right edge.
        plan: What is changed, and how much.
        random: Where chance comes from.
        upside_down: Turn it top to bottom; drawn once for all views of an example.
        lesion: uint8 (size, size), 1 in a cancer: moved with the view.
    """
    mirrored = bool(random.random() < plan.mirror)
    turn = (slice(None, None, -1 if upside_down else 1), slice(None, None, -1 if mirrored else 1))
    image = view[turn]
    lesion = None if lesion is None else lesion[turn]
    if plan.rotation or plan.zoom or plan.shift:
        matrix = _movement(image.shape[0], right != mirrored, plan, random)
        image = _move(image, matrix, cv2.INTER_LINEAR)
        lesion = None if lesion is None else _move(lesion, matrix, cv2.INTER_NEAREST)
    shown = image.astype(np.float32)
    shown *= np.float32(1.0 / 255.0)
    breast = shown > 0
    if plan.blur and random.random() < plan.blur:
        shown = np.asarray(cv2.GaussianBlur(shown, (0, 0), float(random.uniform(0.4, 1.2))), np.float32)
    if plan.gamma:
        shown = np.power(shown, np.float32(np.exp(random.uniform(-1, 1) * np.log1p(plan.gamma))))
    contrast = np.float32(1.0 + random.uniform(-plan.contrast, plan.contrast))
    brightness = np.float32(random.uniform(-plan.brightness, plan.brightness) / 2.0)
    changed = np.clip((shown - np.float32(0.5)) * contrast + np.float32(0.5) + brightness, 0.004, 1.0)
    if plan.erase and random.random() < plan.erase:
        square = _square(changed.shape, random)
        changed[square] = random.uniform(0.1, 0.6)
        if lesion is not None:
            lesion = lesion.copy()
            lesion[square] = 0
    inputs = np.where(breast, changed * np.float32(2.0) - np.float32(1.0), np.float32(-1.0))
    return Changed(inputs, right != mirrored, lesion)


def _square(shape: tuple[int, ...], random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square somewhere in a view."""
    side = int(random.uniform(0.1, 0.3) * shape[0])
    row, column = (int(random.integers(0, length - side + 1)) for length in shape)
    return slice(row, row + side), slice(column, column + side)


def _movement(
    size: int, wall_right: bool, plan: Augmentation, random: np.random.Generator
) -> NDArray[np.float64]:
    """Turn, enlarge and shift about the middle of the chest wall, which stays at its edge: a 2x3 matrix."""
    angle = float(random.uniform(-plan.rotation, plan.rotation))
    zoom = float(np.exp(random.uniform(-1, 1) * np.log1p(plan.zoom)))
    shift = float(random.uniform(-plan.shift, plan.shift)) * size
    center = (float(size - 1) if wall_right else 0.0, (size - 1) / 2.0)
    matrix = cv2.getRotationMatrix2D(center, angle, zoom)
    matrix[1, 2] += shift
    return np.asarray(matrix, dtype=np.float64)


def _move(image: NDArray[np.uint8], matrix: NDArray[np.float64], between: int) -> NDArray[np.uint8]:
    moved = cv2.warpAffine(np.ascontiguousarray(image), matrix, image.shape[::-1], flags=between)
    return np.asarray(moved, dtype=np.uint8)

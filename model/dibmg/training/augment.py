"""Random changes of one prepared view, the same for the same generator on every machine."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.training.plan import Augmentation


def augment_view(
    view: NDArray[np.uint8],
    right: bool,
    plan: Augmentation,
    random: np.random.Generator,
    upside_down: bool = False,
) -> tuple[NDArray[np.float32], bool]:
    """Change a view as the plan says.

    Args:
        view: uint8 (size, size), 0 = air.
        right: Its chest wall is on the right edge.
        plan: What is changed, and how much.
        random: Where chance comes from.
        upside_down: Turn it top to bottom; drawn once for all views of an example.

    Returns:
        float32 (size, size), -1 = air to 1, the network's input; and whether its chest wall is now on the
        right edge.
    """
    image = view[::-1] if upside_down else view
    mirrored = bool(random.random() < plan.mirror)
    image = image[:, ::-1] if mirrored else image
    if plan.rotation or plan.zoom or plan.shift:
        image = _move(np.ascontiguousarray(image), right != mirrored, plan, random)
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
    inputs = np.where(breast, changed * np.float32(2.0) - np.float32(1.0), np.float32(-1.0))
    return inputs, right != mirrored


def _move(
    image: NDArray[np.uint8], wall_right: bool, plan: Augmentation, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Turn, enlarge and shift about the middle of the chest wall, which stays at its edge."""
    size = image.shape[0]
    angle = float(random.uniform(-plan.rotation, plan.rotation))
    zoom = float(np.exp(random.uniform(-1, 1) * np.log1p(plan.zoom)))
    shift = float(random.uniform(-plan.shift, plan.shift)) * size
    center = (float(size - 1) if wall_right else 0.0, (size - 1) / 2.0)
    matrix = cv2.getRotationMatrix2D(center, angle, zoom)
    matrix[1, 2] += shift
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), dtype=np.uint8)

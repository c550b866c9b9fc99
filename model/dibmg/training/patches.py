"""Patches of normal views, half of them with an inserted lesion: what a network can learn quickly from.

In a whole view a lesion is a thousandth of the map, so learning starts slowly; in a patch it is a twentieth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dibmg.synthesis.insert import NoRoomError, disc, insert_into
from dibmg.training.examples import Examples

_DETECTOR_MM = 240.0
"""Longer side of a detector."""


@dataclass(frozen=True)
class PatchPlan:
    """Which patches are made.

    Attributes:
        count: Pairs: each place once with a lesion and once without.
        side: Pixels, a multiple of the map stride.
        largest: Lesions are enlarged up to this factor, evenly in its logarithm, without their surroundings.
        visibility: As in `insert_into`.
    """

    count: int
    side: int = 128
    largest: float = 1.0
    visibility: float = 1.0
    seed: int = 1


def make_patches(normals: Examples, plan: PatchPlan) -> Examples:
    """Cut patches out of normal views.

    Args:
        normals: No example with a cancer.
        plan: Which.

    Returns:
        2 x `count` examples of one view each, pairs of [without, with], with the places of the lesions; a
        pair is one group.

    Raises:
        ValueError: An example has a cancer, or its label is not known.
    """
    if (normals.exams != 0).any():
        raise ValueError("patches need normal examples: found one with a cancer or without a label")
    images = np.unique(np.concatenate(normals.members))
    pixels = np.zeros((2 * plan.count, plan.side, plan.side), np.uint8)
    lesions = np.zeros_like(pixels)
    right = np.zeros(2 * plan.count, bool)
    made = attempt = 0
    while made < plan.count:
        random = np.random.default_rng([plan.seed, attempt])
        image = int(images[attempt % images.size])
        attempt += 1
        if attempt > 20 * plan.count:
            raise ValueError("the views have no room for lesions")
        pair = _pair(np.asarray(normals.views[image]), plan, random)
        if pair is None:
            continue
        pixels[2 * made], pixels[2 * made + 1], lesions[2 * made + 1] = pair
        right[2 * made : 2 * made + 2] = normals.right[image]
        made += 1
    labels = np.tile(np.array([0, 1], np.int8), plan.count)
    breasts = np.full((labels.size, 2), -1, np.int8)
    breasts[np.arange(labels.size), np.where(right, 0, 1)] = labels
    members = tuple(np.array([number]) for number in range(labels.size))
    groups = np.repeat(np.arange(plan.count), 2)
    return Examples(pixels, members, right, labels, breasts, groups, lesions, np.ones(labels.size, bool))


def _pair(
    view: NDArray[np.uint8], plan: PatchPlan, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]] | None:
    """The same place without and with a lesion, and where it is; None where the view has no room for it."""
    enlargement = float(np.exp(random.uniform(0.0, np.log(plan.largest)))) if plan.largest > 1 else 1.0
    shown = view.astype(np.float32) * np.float32(1.0 / 255.0)
    pixel_mm = _DETECTOR_MM / view.shape[0] / enlargement
    try:
        changed, (column, row, radius), _ = insert_into(shown, view > 0, random, pixel_mm, plan.visibility)
    except NoRoomError:
        return None
    room = max(plan.side / 2 - min(radius, plan.side / 2) - 2.0, 0.0)
    left, top = (round(center - plan.side / 2 + random.uniform(-room, room)) for center in (column, row))
    left, top = (int(np.clip(start, 0, view.shape[0] - plan.side)) for start in (left, top))
    window = (slice(top, top + plan.side), slice(left, left + plan.side))
    with_lesion = np.round(np.clip(changed[window], 0.0, 1.0) * 255.0).astype(np.uint8)
    return view[window].copy(), with_lesion, disc(view.shape, (column, row), radius)[window]

"""Prepared training examples: what the network reads, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 255
"""Inputs are kept as uint8: a quarter of the room, and finer than the grain of any film."""

UNKNOWN: Final = -1


@dataclass(frozen=True, eq=False)
class Examples:
    """Images and the examples that they make up.

    Attributes:
        views: uint8 (images, size, size), 0 = air; may be mapped from a file.
        members: For each example the numbers of its images.
        right: bool (images,): the image shows the right breast.
        exams: int8 (examples,): 1 cancer, 0 not, -1 unknown.
        breasts: int8 (examples, 2), right and left: as `exams`.
        groups: int64 (examples,): number of the patient; examples of one are never split.
        lesions: uint8 (images, size, size), 1 in a cancer; None where no place of a cancer is known.
        placed: bool (images,): the image has no cancer, or `lesions` says where; None: not known of any.
    """

    views: NDArray[np.uint8]
    members: tuple[NDArray[np.int64], ...]
    right: NDArray[np.bool_]
    exams: NDArray[np.int8]
    breasts: NDArray[np.int8]
    groups: NDArray[np.int64]
    lesions: NDArray[np.uint8] | None = None
    placed: NDArray[np.bool_] | None = None

    @property
    def size(self) -> int:
        """Side of the square input, pixels."""
        return int(self.views.shape[-1])

    @property
    def slots(self) -> int:
        """Most images of an example."""
        return max(len(images) for images in self.members)

    def lesion(self, image: int) -> NDArray[np.uint8] | None:
        """Where the cancer of an image is, uint8 (size, size), 1 inside; None where that is not known."""
        if self.placed is None or not self.placed[image]:
            return None
        return np.zeros_like(self.views[image]) if self.lesions is None else np.asarray(self.lesions[image])

    def __len__(self) -> int:
        return len(self.members)

    def digest(self) -> str:
        """SHA-256 of the images that belong to an example, and of all that is known of them."""
        digest = sha256(repr([members.tolist() for members in self.members]).encode())
        images = np.unique(np.concatenate(self.members))
        for known in (self.exams, self.breasts, self.groups, self.right[images]):
            digest.update(known.tobytes())
        for image in images:  # one at a time: they may be more than memory holds
            digest.update(self.views[image].tobytes())
            lesion = self.lesion(int(image))
            digest.update(b"unknown" if lesion is None else lesion.tobytes())
        return digest.hexdigest()

    def pick(self, examples: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Some of the examples, over the same images."""
        picked = np.asarray(examples, dtype=np.int64)
        return Examples(
            self.views,
            tuple(self.members[number] for number in picked),
            self.right,
            self.exams[picked],
            self.breasts[picked],
            self.groups[picked],
            self.lesions,
            self.placed,
        )


def walls_left(examples: Examples) -> Examples:
    """The same, images of right breasts shown as ones of the left: all chest walls on the left edge.

    `right` and the columns of `breasts` tell what a picture shows now, not whose breast it is.

    Raises:
        ValueError: An example has images of both breasts.
    """

    def turned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.where(examples.right[:, None, None], images[:, :, ::-1], images)

    def side(members: NDArray[np.int64]) -> int:
        return int(not examples.right[members].any())

    if any(len(set(examples.right[members].tolist())) > 1 for members in examples.members):
        raise ValueError("an example with images of both breasts has no one side to be shown as")
    breasts = np.full_like(examples.breasts, UNKNOWN)
    breasts[:, 1] = [examples.breasts[number, side(images)] for number, images in enumerate(examples.members)]
    return replace(
        examples,
        views=turned(examples.views),
        right=np.zeros_like(examples.right),
        breasts=breasts,
        lesions=None if examples.lesions is None else turned(examples.lesions),
    )

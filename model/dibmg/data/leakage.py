"""Leakage: the same woman, or the same picture, on both sides of a split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from dibmg.data.images import stored_values
from dibmg.data.manifest import ImageRow, Manifest
from dibmg.data.table import ManifestError

Progress = Callable[[int, int], None]
"""Called with the number of images done and of all."""


class LeakageError(ManifestError):
    """What must be apart is not; every complaint names the files and lines."""


@dataclass(frozen=True)
class Duplicates:
    """Groups of rows of one manifest that show the very same pixels.

    Attributes:
        across: Of different women.
        within: Of one woman.
    """

    across: tuple[tuple[ImageRow, ...], ...]
    within: tuple[tuple[ImageRow, ...], ...]


def check_leakage(
    manifests: Sequence[Manifest], *, pixels: bool = True, progress: Progress | None = None
) -> None:
    """Check that no two manifests share a woman or a picture.

    Args:
        manifests: Such as those of training, validation and test.
        pixels: Decode every image and compare; False compares women and paths alone.
        progress: Told as images are decoded.

    Raises:
        LeakageError: They do.
        ImageUnreadableError: An image cannot be read.
    """
    placed = [(manifest, row) for manifest in manifests for row in manifest.rows]
    complaints = list(_shared(placed, [row.patient for _, row in placed], "the same patient as"))
    complaints += _shared(placed, [str(row.path) for _, row in placed], "the same file as")
    if pixels and not complaints:
        digests = pixel_digests([row for _, row in placed], progress)
        complaints += _shared(placed, digests, "the same pixels as")
    if complaints:
        raise LeakageError(complaints)


def find_duplicates(rows: Sequence[ImageRow], progress: Progress | None = None) -> Duplicates:
    """Find rows whose pixels are the same.

    Raises:
        ImageUnreadableError: An image cannot be read.
    """
    groups: dict[str, list[ImageRow]] = {}
    for row, digest in zip(rows, pixel_digests(rows, progress), strict=True):
        groups.setdefault(digest, []).append(row)
    several = [tuple(group) for group in groups.values() if len(group) > 1]
    across = tuple(group for group in several if len({row.patient for row in group}) > 1)
    return Duplicates(across, tuple(group for group in several if group not in across))


def complain_of_duplicates(manifest: Manifest, duplicates: Duplicates) -> None:
    """Refuse a manifest that shows one picture as that of several women: splits would leak.

    Raises:
        LeakageError: It does.
    """
    complaints = [
        f"{manifest.path}: lines {', '.join(str(row.line) for row in group)}: "
        "the same pixels under different patients, expected one patient for a picture"
        for group in duplicates.across
    ]
    if complaints:
        raise LeakageError(complaints)


def pixel_digests(rows: Sequence[ImageRow], progress: Progress | None = None) -> list[str]:
    """SHA-256 of the decoded pixels of each row: the same for the same picture in any lossless format.

    Raises:
        ImageUnreadableError: An image cannot be read.
    """
    digests = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for digest in pool.map(_digest, rows):
            digests.append(digest)
            if progress is not None:
                progress(len(digests), len(rows))
    return digests


def _digest(row: ImageRow) -> str:
    pixels = stored_values(row)
    digest = sha256(repr(pixels.shape).encode())
    digest.update(pixels.astype("<i4").tobytes())
    return digest.hexdigest()


def _shared(placed: Sequence[tuple[Manifest, ImageRow]], keys: Sequence[str], what: str) -> Iterable[str]:
    """A complaint for each key and manifest that shares it with an earlier one."""
    first: dict[str, tuple[Manifest, ImageRow]] = {}
    told = set()
    for (manifest, row), key in zip(placed, keys, strict=True):
        other, other_row = first.setdefault(key, (manifest, row))
        if other is not manifest and (key, manifest.path) not in told:
            told.add((key, manifest.path))
            at = f"{manifest.path}: line {row.line}"
            yield f"{at}: {what} {other.path}: line {other_row.line}, expected none in two splits"

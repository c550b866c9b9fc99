"""From a manifest to training examples: read, preprocess as the node would, group, keep on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.data.images import load_image
from dibmg.data.kinds import Label
from dibmg.data.manifest import ImageRow, Manifest
from dibmg.preprocess import PREPROCESSING_VERSION, NoBreastError, preprocess
from dibmg.training.examples import LEVELS, UNKNOWN, Examples
from dibmg.training.plan import Unit
from dibmg_node.domain.study import Laterality
from dibmg_node.errors import RejectedError

_SIDES: Final = (Laterality.RIGHT, Laterality.LEFT)


def prepare_examples(
    manifest: Manifest,
    size: int,
    unit: Unit,
    cache: Path,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Examples:
    """Read and preprocess every image of a manifest, as the node would; keeps the result on disk.

    Args:
        manifest: At least one image.
        size: Side of the square input, pixels.
        unit: What one example is.
        cache: Folder of prepared images; what an earlier call prepared of the same files is taken from it.
        threads: Images prepared at a time.
        progress: Called with images done and images in all.

    Raises:
        RejectedError: An image cannot be read or shows no breast; the message names its line. Training
            data are put right, not skipped.
    """
    views = _prepared_views(manifest, size, cache, threads, progress)
    return group_examples(manifest.rows, views, unit)


def group_examples(rows: Sequence[ImageRow], views: NDArray[np.uint8], unit: Unit) -> Examples:
    """Put prepared images together to examples.

    Args:
        rows: One for each image.
        views: uint8 (images, size, size), in their order.
        unit: What one example is.
    """
    examples: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(rows):
        key = {
            Unit.EXAM: (row.exam,),
            Unit.BREAST: (row.exam, row.laterality.value),
            Unit.IMAGE: (row.exam, row.laterality.value, str(number)),
        }[unit]
        examples.setdefault(key, []).append(number)
    patients = {patient: number for number, patient in enumerate(dict.fromkeys(row.patient for row in rows))}
    exams, breasts = [], []
    for numbers in examples.values():
        labels = {
            side: _breast_label([rows[n] for n in numbers if rows[n].laterality is side]) for side in _SIDES
        }
        known = [label for label in labels.values() if label is not None]
        exam = (
            int(rows[numbers[0]].label is Label.CANCER) if unit is Unit.EXAM else max(known, default=UNKNOWN)
        )
        exams.append(exam)
        breasts.append([UNKNOWN if labels[side] is None else labels[side] for side in _SIDES])
    return Examples(
        views=views,
        members=tuple(np.array(numbers, np.int64) for numbers in examples.values()),
        right=np.array([row.laterality is Laterality.RIGHT for row in rows]),
        exams=np.array(exams, np.int8),
        breasts=np.array(breasts, np.int8),
        groups=np.array([patients[rows[numbers[0]].patient] for numbers in examples.values()], np.int64),
    )


def _breast_label(rows: Sequence[ImageRow]) -> int | None:
    """1, 0, UNKNOWN (-1), or None for a breast without an image."""
    if not rows:
        return None
    labels = {row.breast_label for row in rows if row.breast_label is not None}
    if labels:
        return int(Label.CANCER in labels)
    return UNKNOWN if rows[0].label is Label.CANCER else 0


def _prepared_views(
    manifest: Manifest, size: int, cache: Path, threads: int, progress: Callable[[int, int], None] | None
) -> NDArray[np.uint8]:
    facts = [
        (
            str(row.path),
            row.path.stat().st_size,
            row.path.stat().st_mtime_ns,
            row.laterality.value,
            row.window,
        )
        for row in manifest.rows
    ]
    text = json.dumps([PREPROCESSING_VERSION, size, facts])
    path = cache / f"views-{sha256(text.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        views = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(len(manifest.rows), size, size)
        )
        with ThreadPoolExecutor(threads) as pool:
            prepared = pool.map(lambda row: prepare_view(row, size), manifest.rows)
            for number, view in enumerate(prepared):
                views[number] = view
                if progress is not None:
                    progress(number + 1, len(manifest.rows))
        views.flush()
        del views
        partial.rename(path)
    return np.asarray(np.load(path, mmap_mode="r"))


def prepare_view(row: ImageRow, size: int) -> NDArray[np.uint8]:
    """One image as the network reads it, uint8 (size, size).

    Raises:
        RejectedError: As `prepare_examples`.
    """
    loaded = load_image(row)
    try:
        prepared = preprocess(loaded.mammogram, row.laterality, loaded.orientation, size)
    except NoBreastError as error:
        raise RejectedError(f"line {row.line}: {row.path}: {error}") from error
    return np.round((prepared.pixels + 1.0) * (LEVELS / 2.0)).astype(np.uint8)

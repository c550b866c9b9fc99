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

from dibmg.data.images import lesion_area, load_image
from dibmg.data.kinds import Label
from dibmg.data.manifest import ImageRow, Manifest, check_files
from dibmg.localize import project
from dibmg.preprocess import NoBreastError, least_side, preprocess
from dibmg.preprocessing_version import PREPROCESSING_VERSION
from dibmg.training.array_files import whole_arrays
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
        ManifestError: Files are missing; the message names all of them.
        RejectedError: An image cannot be read or shows no breast; the message names its line. Training
            data are put right, not skipped.
        StorageFullError: No room for what is kept.
    """
    views, lesions = _prepared(manifest, size, cache, threads, progress)
    return group_examples(manifest.rows, views, unit, lesions)


def group_examples(
    rows: Sequence[ImageRow],
    views: NDArray[np.uint8],
    unit: Unit,
    lesions: NDArray[np.uint8] | None = None,
) -> Examples:
    """Put prepared images together to examples.

    Args:
        rows: One for each image.
        views: uint8 (images, size, size), in their order.
        unit: What one example is.
        lesions: uint8 (images, size, size), 1 in a cancer; None where no row says where one is.
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
        exams.append(
            _exam_label([rows[n] for n in numbers]) if unit is Unit.EXAM else max(known, default=UNKNOWN)
        )
        breasts.append([UNKNOWN if labels[side] is None else labels[side] for side in _SIDES])
    return Examples(
        views=views,
        members=tuple(np.array(numbers, np.int64) for numbers in examples.values()),
        right=np.array([row.laterality is Laterality.RIGHT for row in rows]),
        exams=np.array(exams, np.int8),
        breasts=np.array(breasts, np.int8),
        groups=np.array([patients[rows[numbers[0]].patient] for numbers in examples.values()], np.int64),
        lesions=lesions,
        placed=np.array([not row.shows_cancer or row.is_placed for row in rows]),
    )


def _exam_label(rows: Sequence[ImageRow]) -> int:
    """1, 0, or UNKNOWN where the cancer is in a breast without an image: an evaluation leaves that out."""
    named = [row.breast_label for row in rows]
    if rows[0].label is Label.CANCER and None not in named and Label.CANCER not in named:
        return UNKNOWN
    return int(rows[0].label is Label.CANCER)


def _breast_label(rows: Sequence[ImageRow]) -> int | None:
    """1, 0, UNKNOWN (-1), or None for a breast without an image."""
    if not rows:
        return None
    label = rows[0].breast_label  # that of all of them
    if label is not None:
        return int(label is Label.CANCER)
    return UNKNOWN if rows[0].label is Label.CANCER else 0


def _prepared(
    manifest: Manifest, size: int, cache: Path, threads: int, progress: Callable[[int, int], None] | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Views, and lesions where a row says where one is; from the cache where they are there."""
    check_files(manifest)
    facts = [
        (
            *_file_facts(row.path),
            row.laterality.value,
            row.window,
            *(_file_facts(row.mask) if row.mask and row.shows_cancer else ()),
            None if row.lesion is None else (row.lesion.column, row.lesion.row, row.lesion.radius),
            row.shows_cancer,
        )
        for row in manifest.rows
    ]
    key = sha256(json.dumps([PREPROCESSING_VERSION, size, least_side(size), facts]).encode()).hexdigest()[:16]
    paths = [cache / f"{kind}-{key}.npy" for kind in ("lesions", "views")]
    if not any(row.is_placed for row in manifest.rows):
        del paths[0]
    if not paths[-1].exists():  # it gets its name last
        shape = (len(manifest.rows), size, size)
        with whole_arrays(paths, shape) as arrays, ThreadPoolExecutor(threads) as pool:
            prepared = pool.map(lambda row: prepare_view(row, size), manifest.rows)
            for number, (view, lesion) in enumerate(prepared):
                arrays[-1][number] = view
                if lesion is not None:
                    arrays[0][number] = lesion
                if progress is not None:
                    progress(number + 1, len(manifest.rows))
    found = [np.asarray(np.load(path, mmap_mode="r")) for path in paths]
    return found[-1], found[0] if len(found) > 1 else None


def _file_facts(path: Path) -> tuple[str, int, int]:
    """What changes with a file: path, size, time."""
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def prepare_view(row: ImageRow, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """One image as the network reads it, and where its cancer is.

    Returns:
        uint8 (size, size), 0 = air; and uint8 (size, size), 1 in the cancer, None where no place is told.

    Raises:
        RejectedError: As `prepare_examples`.
    """
    loaded = load_image(row, least_side(size))
    try:
        prepared = preprocess(loaded.mammogram, row.laterality, loaded.orientation, size)
    except NoBreastError as error:
        raise RejectedError(f"line {row.line}: {row.path}: {error}") from error
    view = np.round((prepared.pixels + 1.0) * (LEVELS / 2.0)).astype(np.uint8)
    area = lesion_area(row, loaded.mammogram.shape) if row.is_placed else None
    if area is None:
        return view, None
    return view, project(area, prepared.placement, (size, size)).view(np.uint8)

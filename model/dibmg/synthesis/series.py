"""A series of synthetic exams on disk: images and their manifest."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from dibmg.data.kinds import Circle, Density, Feature, Label
from dibmg.data.manifest import ImageRow, write_manifest
from dibmg.synthesis.designs import LesionKind
from dibmg.synthesis.dicom_export import dicom_of, window_of
from dibmg.synthesis.exam import SyntheticExam, synthesize_exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey

ROWS: Final = 512
"""Longer side of an image: about 0.5 mm a pixel, what a network input of 512 pixels sees of any film."""

FEATURES: Final = {
    LesionKind.MASS: frozenset({Feature.MASS}),
    LesionKind.SPICULATED_MASS: frozenset({Feature.MASS}),
    LesionKind.CALCIFICATIONS: frozenset({Feature.CALCIFICATION}),
    LesionKind.MASS_WITH_CALCIFICATIONS: frozenset({Feature.MASS, Feature.CALCIFICATION}),
    LesionKind.DISTORTION: frozenset({Feature.DISTORTION}),
}
"""What a manifest says of each kind of lesion."""

_FAST: Final = (cv2.IMWRITE_PNG_COMPRESSION, 1)
"""Grain does not compress: more effort gains a few percent for several times the time."""


@dataclass(frozen=True)
class _Series:
    """What every exam of a series shares."""

    folder: Path
    seed: int
    rows: int
    cancer_share: float
    visibility: float
    dicom: bool


def synthesize_series(
    out: Path,
    exams: int,
    seed: int,
    *,
    first: int = 0,
    rows: int = ROWS,
    cancer_share: float = 0.5,
    visibility: float = 1.0,
    dicom: bool = False,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write exams of the four standard views; equal arguments give equal pixels, whatever `processes` is.

    Args:
        out: Folder for `images/` and `manifest.csv`; made where it is missing, files are replaced.
        exams: Number of exams.
        seed: Of the series. Series of one seed share exams where their indices overlap.
        first: Index of the first exam.
        rows: Longer side of every image, pixels.
        cancer_share: Share of exams with a cancer in one breast, 0..1, spread evenly over the indices.
        visibility: Of lesions: 1 = findable in both views, less = harder.
        dicom: Write DICOM instances instead of 16-bit PNG.
        processes: None: one for each core.
        progress: Called with the number of exams that are done.

    Returns:
        Path of the manifest, which is written last.
    """
    images = out.absolute() / "images"
    images.mkdir(parents=True, exist_ok=True)
    make = partial(_write_exam, _Series(images, seed, rows, cancer_share, visibility, dicom))
    count = min(processes or len(os.sched_getaffinity(0)), max(1, exams))
    written: list[ImageRow] = []
    for number, image_rows in enumerate(_each(make, range(first, first + exams), count), start=1):
        written += image_rows
        if progress is not None:
            progress(number)
    manifest = out / "manifest.csv"
    write_manifest(written, manifest)
    return manifest


def is_cancer(index: int, cancer_share: float) -> bool:
    """Whether the exam of this index has a cancer, in a series with this share."""
    return int((index + 1) * cancer_share) > int(index * cancer_share)


def _each(make: Callable[[int], list[ImageRow]], indices: range, processes: int) -> Iterator[list[ImageRow]]:
    """Results in the order of the indices."""
    if processes == 1:
        yield from map(make, indices)
        return
    with multiprocessing.get_context("spawn").Pool(processes, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap(make, indices, chunksize=4)


def _write_exam(series: _Series, index: int) -> list[ImageRow]:
    """Write the four views of one exam; returns their rows."""
    sick = is_cancer(index, series.cancer_share)
    exam = synthesize_exam(series.seed, index, series.rows, sick, series.visibility)
    name = f"s{series.seed}-{index:06d}"
    return [_write_view(series, exam, name, key) for key in STANDARD_VIEWS]


def _write_view(series: _Series, exam: SyntheticExam, name: str, key: ViewKey) -> ImageRow:
    mammogram = exam.mammograms[key]
    path = series.folder / f"{name}_{key}.{'dcm' if series.dicom else 'png'}"
    if series.dicom:
        dicom_of(exam, name, key).save_as(path, enforce_file_format=True)
    else:
        mammogram = _upright(mammogram, exam.detector.span)
        _, content = cv2.imencode(".png", mammogram.pixels, _FAST)
        path.write_bytes(content.tobytes())
    lesion = exam.lesions.get(key)
    return ImageRow(
        exam=name,
        patient=name,
        laterality=key.laterality,
        view=key.view,
        path=path,
        label=Label.CANCER if any(exam.cancers.values()) else Label.NORMAL,
        breast_label=Label.CANCER if exam.cancers[key.laterality] else Label.NORMAL,
        age=exam.age,
        manufacturer=exam.detector.manufacturer,
        model=exam.detector.model,
        density=Density(exam.density),
        features=FEATURES[lesion.kind] if lesion else frozenset(),
        size_mm=exam.size_mm if lesion else None,
        lesion=Circle(*lesion.center, lesion.radius) if lesion else None,
        window=None if series.dicom else window_of(mammogram),
    )


def _upright(mammogram: Mammogram, span: int) -> Mammogram:
    """The same picture with values that rise with brightness: a PNG cannot say that they fall."""
    if not mammogram.inverted:
        return mammogram
    pixels = np.asarray(span - mammogram.pixels, dtype=np.uint16)
    return Mammogram(pixels, span - mammogram.high, span - mammogram.low, False, mammogram.rule)

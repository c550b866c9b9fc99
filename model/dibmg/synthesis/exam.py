"""Synthetic mammography exams with known lesions: what the `synthetic` weights are trained on.

Not a simulation of x-rays: it has the structure that the network must cope with (outline, skin,
parenchyma in four densities, pectoral muscle, air, markers, films with white borders, differing
contrast) and lesions whose place is known. Normal and cancer exams come from the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dibmg.synthesis.benign import add_benign
from dibmg.synthesis.designs import Lesion, draw_lesion_design
from dibmg.synthesis.detectors import DETECTORS, Detector, expose
from dibmg.synthesis.painting import paint_lesion
from dibmg.synthesis.placing import place_finding
from dibmg.synthesis.tissue import FAT, GLAND, Anatomy, draw_anatomy, draw_tissue, other_breast
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.study import Laterality, View, ViewKey

SYNTHESIS_VERSION = "2"
"""Changes whenever the same seed gives other pictures."""

ORIENTATIONS: Mapping[ViewKey, tuple[str, str]] = {
    ViewKey(Laterality.RIGHT, View.CC): ("P", "L"),
    ViewKey(Laterality.LEFT, View.CC): ("A", "R"),
    ViewKey(Laterality.RIGHT, View.MLO): ("P", "FL"),
    ViewKey(Laterality.LEFT, View.MLO): ("A", "FR"),
}
"""Patient Orientation of the standard views."""


@dataclass(frozen=True, eq=False)
class SyntheticExam:
    """Four standard views of one invented woman.

    Attributes:
        orientations: Patient Orientation of each view.
        cancers: Per breast, whether it holds a lesion.
        lesions: Per view of a breast with cancer.
        size_mm: Diameter of the lesion; None without one.
        density: BI-RADS density, A-D.
        age: Years; dense breasts are younger on average, cancers are not older.
        detector: What all four views were taken with.
        pixel_mm: Side of a pixel.
    """

    mammograms: Mapping[ViewKey, Mammogram]
    orientations: Mapping[ViewKey, tuple[str, str]]
    cancers: Mapping[Laterality, bool]
    lesions: Mapping[ViewKey, Lesion]
    size_mm: float | None
    density: str
    age: int
    detector: Detector
    pixel_mm: float


def synthesize_exam(
    seed: int, index: int, rows: int = 512, cancer: bool | None = None, visibility: float = 1.0
) -> SyntheticExam:
    """The exam of this seed and index: the same arguments give the same pixels.

    Args:
        seed: Of a series of exams.
        index: Number in the series, from 0.
        rows: Longer side of every image, pixels.
        cancer: Exam with a cancer in one breast, or without; None draws it, half of the exams.
        visibility: 1 for the released settings; less for fainter lesions, more for conspicuous ones.
    """
    random = np.random.default_rng([seed, index])
    drawn = bool(random.random() < 0.5)
    side = Laterality.RIGHT if random.random() < 0.5 else Laterality.LEFT
    sick = drawn if cancer is None else cancer
    anatomy = draw_anatomy(random)
    age = int(np.clip(random.normal(62.0 if anatomy.density in "AB" else 54.0, 9.0), 40, 80))
    detector = DETECTORS[int(random.integers(len(DETECTORS)))]
    pixel_mm = float(random.uniform(*detector.extent_mm)) / rows
    breasts = {Laterality.RIGHT: anatomy, Laterality.LEFT: other_breast(anatomy, random)}
    mammograms: dict[ViewKey, Mammogram] = {}
    lesions: dict[ViewKey, Lesion] = {}
    for laterality, breast in breasts.items():
        streams = random.spawn(2)
        wanted = visibility if sick and laterality is side else None
        views, marks = _breast(breast, laterality, detector, (rows, pixel_mm), wanted, streams)
        mammograms |= views
        lesions |= marks
    return SyntheticExam(
        mammograms=mammograms,
        orientations=ORIENTATIONS,
        cancers={laterality: sick and laterality is side for laterality in breasts},
        lesions=lesions,
        size_mm=next((round(2 * lesion.radius * pixel_mm, 1) for lesion in lesions.values()), None),
        density=anatomy.density,
        age=age,
        detector=detector,
        pixel_mm=pixel_mm,
    )


def _breast(
    anatomy: Anatomy,
    laterality: Laterality,
    detector: Detector,
    grid: tuple[int, float],
    visibility: float | None,
    streams: list[np.random.Generator],
) -> tuple[dict[ViewKey, Mammogram], dict[ViewKey, Lesion]]:
    """CC and MLO of one breast; the lesion (none where visibility is) draws from its own random stream."""
    random, lesion_random = streams
    rows, pixel_mm = grid
    shape = (rows, int(rows * detector.columns_share))
    tissues = [
        draw_tissue(anatomy, oblique, shape, pixel_mm, detector.equalization, random)
        for oblique in (False, True)
    ]
    add_benign(tissues, random)
    lesions: dict[ViewKey, Lesion] = {}
    keys = [ViewKey(laterality, View.CC), ViewKey(laterality, View.MLO)]
    if visibility is not None:
        design = draw_lesion_design(lesion_random, visibility)
        places = place_finding(tissues, design.radius_mm, lesion_random)
        for key, tissue, (x, y) in zip(keys, tissues, places, strict=True):
            center = (x / pixel_mm, y / pixel_mm)
            room = np.clip(tissue.inside / 6.0, 0.0, 1.0) * (1.0 - tissue.muscle)
            paint_lesion(
                tissue.signal,
                room,
                design,
                center,
                pixel_mm,
                GLAND - FAT,
                lesion_random,
                detector.response,
            )
            column = shape[1] - center[0] if laterality is Laterality.RIGHT else center[0]
            lesions[key] = Lesion(design.kind, (column, center[1]), design.radius_mm / pixel_mm)
    mammograms = {
        key: expose(tissue.signal, key, detector, pixel_mm, random)
        for key, tissue in zip(keys, tissues, strict=True)
    }
    return mammograms, lesions

"""Synthetic mammography exams with known lesions: what the `synthetic` weights are trained on.

Not a simulation of x-rays: it has the structure that the network must cope with (outline, skin,
parenchyma in four densities, pectoral muscle, air, markers, films with white borders, differing
contrast) and lesions whose place is known. Normal and cancer exams come from the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.synthetic_lesions import LesionKind, add_lesion, add_specks, draw_lesion_design, place_lesion
from dibmg.synthetic_tissue import Anatomy, Tissue, draw_anatomy, draw_tissue, other_breast
from dibmg_node.dicom.breast import breast_mask
from dibmg_node.domain.image import Image, Mammogram, Point, WindowRule
from dibmg_node.domain.study import Laterality, View, ViewKey

SYNTHESIS_VERSION = "1"
"""Changes whenever the same seed gives other pictures."""

ORIENTATIONS: Mapping[ViewKey, tuple[str, str]] = {
    ViewKey(Laterality.RIGHT, View.CC): ("P", "L"),
    ViewKey(Laterality.LEFT, View.CC): ("A", "R"),
    ViewKey(Laterality.RIGHT, View.MLO): ("P", "FL"),
    ViewKey(Laterality.LEFT, View.MLO): ("A", "FR"),
}
"""Patient Orientation of the standard views."""


@dataclass(frozen=True)
class Detector:
    """How a system of one kind shows the same tissue.

    Attributes:
        columns_share: Columns over rows.
        extent_mm: Lowest and highest length of the longer side.
        gamma, gain, noise: Response; noise is the standard deviation in signal units.
        air, span: Stored value of air, and stored values from air to the brightest.
        film: Scanned film: no window in the header, white borders, uneven background.
    """

    name: str
    columns_share: float
    extent_mm: tuple[float, float]
    gamma: float
    gain: float
    noise: float
    air: int
    span: int
    inverted: bool = False
    film: bool = False


DETECTORS = (
    Detector("small panel", 0.80, (225.0, 245.0), 1.00, 1.00, 0.012, 0, 4095),
    Detector("large panel", 0.82, (270.0, 290.0), 1.25, 1.12, 0.015, 120, 3900),
    Detector("inverted panel", 0.75, (235.0, 250.0), 0.85, 0.95, 0.010, 0, 4095, inverted=True),
    Detector("film", 0.62, (225.0, 245.0), 1.45, 1.15, 0.016, 800, 60000, film=True),
)


@dataclass(frozen=True)
class Lesion:
    """Where a lesion is on one stored image.

    Attributes:
        radius: Pixels of the stored image.
    """

    kind: LesionKind
    center: Point
    radius: float


@dataclass(frozen=True, eq=False)
class SyntheticExam:
    """Four standard views of one invented woman.

    Attributes:
        cancers: Per breast, whether it holds a lesion.
        lesions: Per view of a breast with cancer.
        density: BI-RADS density, A-D.
        detector: Name of the detector.
    """

    mammograms: Mapping[ViewKey, Mammogram]
    orientations: Mapping[ViewKey, tuple[str, str]]
    cancers: Mapping[Laterality, bool]
    lesions: Mapping[ViewKey, Lesion]
    density: str
    detector: str


def synthesize_exam(
    seed: int, index: int, rows: int = 512, cancer: bool | None = None, visibility: float = 1.0
) -> SyntheticExam:
    """The exam of this seed and index: the same arguments give the same pixels.

    Args:
        seed: Of a series of exams.
        index: Number in the series, from 0.
        rows: Longer side of every image, pixels.
        cancer: Exam with a cancer in one breast, or without; None draws it, half of the exams.
        visibility: 1 for the released settings; more for more conspicuous lesions.
    """
    random = np.random.default_rng([seed, index])
    drawn = bool(random.random() < 0.5)
    side = Laterality.RIGHT if random.random() < 0.5 else Laterality.LEFT
    sick = drawn if cancer is None else cancer
    anatomy = draw_anatomy(random)
    detector = DETECTORS[int(random.integers(len(DETECTORS)))]
    breasts = {Laterality.RIGHT: anatomy, Laterality.LEFT: other_breast(anatomy, random)}
    mammograms: dict[ViewKey, Mammogram] = {}
    lesions: dict[ViewKey, Lesion] = {}
    for laterality, breast in breasts.items():
        streams = random.spawn(2)
        views, marks = _breast(
            breast, laterality, detector, rows, sick and laterality is side, visibility, streams
        )
        mammograms |= views
        lesions |= marks
    return SyntheticExam(
        mammograms=mammograms,
        orientations=ORIENTATIONS,
        cancers={laterality: sick and laterality is side for laterality in breasts},
        lesions=lesions,
        density=anatomy.density,
        detector=detector.name,
    )


def _breast(
    anatomy: Anatomy,
    laterality: Laterality,
    detector: Detector,
    rows: int,
    cancer: bool,
    visibility: float,
    streams: list[np.random.Generator],
) -> tuple[dict[ViewKey, Mammogram], dict[ViewKey, Lesion]]:
    """CC and MLO of one breast; the lesion draws from its own random stream."""
    random, lesion_random = streams
    shape = (rows, int(rows * detector.columns_share))
    pixel_mm = float(random.uniform(*detector.extent_mm)) / rows
    tissues = [draw_tissue(anatomy, oblique, shape, pixel_mm, random) for oblique in (False, True)]
    signals = [tissue.signal for tissue in tissues]
    for tissue, signal in zip(tissues, signals, strict=True):
        _add_benign_specks(signal, tissue, pixel_mm, random)
    lesions: dict[ViewKey, Lesion] = {}
    keys = [ViewKey(laterality, View.CC), ViewKey(laterality, View.MLO)]
    if cancer:
        design = draw_lesion_design(lesion_random, visibility)
        places = place_lesion(tissues, design, [pixel_mm, pixel_mm], lesion_random)
        for number, key in enumerate(keys):
            signals[number] = add_lesion(tissues[number], design, places[number], pixel_mm, lesion_random)
            column, row = places[number][0] / pixel_mm, places[number][1] / pixel_mm
            column = shape[1] - column if laterality is Laterality.RIGHT else column
            lesions[key] = Lesion(design.kind, (column, row), design.radius_mm / pixel_mm)
    mammograms = {
        key: _expose(signal, laterality, detector, random) for key, signal in zip(keys, signals, strict=True)
    }
    return mammograms, lesions


def _add_benign_specks(signal: Image, tissue: Tissue, pixel_mm: float, random: np.random.Generator) -> None:
    """Up to three single, coarse calcifications, in normal and cancer exams alike."""
    count = int(random.integers(0, 4))
    places = np.column_stack(
        (random.uniform(0.1, 0.9, count) * tissue.nipple[0], random.uniform(*tissue.reach_mm, count))
    )
    add_specks(signal, tissue, places, random.uniform(0.4, 0.9, count), pixel_mm)


def _expose(
    signal: Image, laterality: Laterality, detector: Detector, random: np.random.Generator
) -> Mammogram:
    """Turn a signal (chest wall at column 0) into stored pixels with their window."""
    gain = detector.gain * float(random.uniform(0.92, 1.08))
    shown = np.clip(signal * gain, 0.0, 1.25) ** np.float32(detector.gamma * random.uniform(0.93, 1.07))
    grain = random.standard_normal(signal.shape, dtype=np.float32)
    shown = shown + detector.noise * cv2.GaussianBlur(grain, (3, 3), 0.6) * np.sqrt(shown + 0.02) * 2.0
    if detector.film:
        _age_film(shown, random)
    if laterality is Laterality.RIGHT:
        shown = np.ascontiguousarray(shown[:, ::-1])
    _add_marker(shown, laterality, random)
    stored = np.clip(detector.air + shown * (detector.span - detector.air), 0, detector.span)
    if detector.inverted:
        stored = detector.span - stored
    pixels = stored.astype(np.uint16)
    if detector.film:
        low, high = np.percentile(pixels[breast_mask(pixels, inverted=detector.inverted)], (1.0, 99.5))
        return Mammogram(pixels, float(low), float(high), detector.inverted, WindowRule.WINDOW_ESTIMATED)
    bottom, top = float(random.uniform(0.0, 0.10)), float(random.uniform(0.85, 1.0))
    low, high = bottom * detector.span, top * detector.span
    if detector.inverted:
        low, high = detector.span - high, detector.span - low
    return Mammogram(pixels, low, high, detector.inverted, WindowRule.WINDOW)


def _age_film(shown: NDArray[np.float32], random: np.random.Generator) -> None:
    """White borders, a glow along the wall and dust: what scanned films have."""
    rows, columns = shown.shape
    for edge in range(4):
        if random.random() < 0.4:
            width = int(random.integers(1, max(2, rows // 80)))
            strip = (
                slice(0, width),
                slice(rows - width, rows),
                slice(columns - width, columns),
                slice(0, width),
            )[edge]
            if edge < 2:
                shown[strip, :] = random.uniform(0.6, 1.0)
            else:
                shown[:, strip] = random.uniform(0.6, 1.0)
    across = np.arange(columns, dtype=np.float32) / columns
    shown += np.float32(random.uniform(0.0, 0.05)) * np.exp(-across * random.uniform(8, 20))[None, :].astype(
        np.float32
    )


def _add_marker(shown: NDArray[np.float32], laterality: Laterality, random: np.random.Generator) -> None:
    """A lead marker (letters or a bar) in the air, far from the chest wall."""
    rows, columns = shown.shape
    if random.random() < 0.3:
        return
    text = str(random.choice(["R CC", "L CC", "RMLO", "LMLO", "|||", "15"]))
    left, top = int(columns * random.uniform(0.80, 0.88)), int(rows * random.uniform(0.04, 0.14))
    left = columns - left - rows // 20 if laterality is Laterality.RIGHT else left
    canvas = np.zeros((rows, columns), np.uint8)
    cv2.putText(
        canvas, text, (left, top), cv2.FONT_HERSHEY_SIMPLEX, rows / 900, 255, max(1, rows // 250), cv2.LINE_AA
    )
    np.maximum(shown, canvas * np.float32(random.uniform(0.6, 1.0) / 255), out=shown)

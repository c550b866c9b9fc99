"""How systems of different kinds show the same tissue: stored pixels with their window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg_node.domain.image import Image, Mammogram, WindowRule
from dibmg_node.domain.study import Laterality, ViewKey


@dataclass(frozen=True)
class Detector:
    """One kind of system.

    Attributes:
        manufacturer: Made-up name of its vendor.
        model: Made-up name of the system.
        columns_share: Columns over rows.
        extent_mm: Lowest and highest length of the longer side.
        gamma: Exponent of the response.
        gain: Factor of the signal.
        noise: Standard deviation in signal units.
        sharpening: Factor of what is added of details finer than 4 mm.
        equalization: How far the thin rim is lifted, 0..1.
        air: Stored value of air.
        span: Highest stored value.
        inverted: Stored values fall with brightness.
        film: Scanned film: no window in the header, white borders, uneven background.
    """

    manufacturer: str
    model: str
    columns_share: float
    extent_mm: tuple[float, float]
    gamma: float
    gain: float
    noise: float
    sharpening: float
    equalization: float
    air: int
    span: int
    inverted: bool = False
    film: bool = False

    def response(self, signal: Image) -> Image:
        """What a signal becomes on average, without grain, sharpening and window."""
        return respond(signal, self.gain, self.gamma)


def respond(signal: Image, gain: float, gamma: float) -> Image:
    """Brightness of a signal; a shoulder keeps texture in dense tissue, and what lies in it."""
    bounded = np.tanh(signal * np.float32(gain / 1.1)) * np.float32(1.1)
    return np.asarray(np.power(np.maximum(bounded, 0.0), np.float32(gamma)), dtype=np.float32)


DETECTORS: Final = (
    Detector("Lumen Imaging", "small panel", 0.80, (225.0, 245.0), 1.00, 1.05, 0.010, 0.35, 0.5, 0, 4095),
    Detector("Aldora Medical", "large panel", 0.82, (265.0, 285.0), 1.30, 1.22, 0.012, 0.6, 0.7, 120, 3900),
    Detector(
        "Brightwell",
        "inverted panel",
        0.75,
        (235.0, 250.0),
        0.85,
        0.98,
        0.008,
        0.3,
        0.4,
        0,
        4095,
        inverted=True,
    ),
    Detector(
        "Filmworks", "scanned film", 0.70, (225.0, 245.0), 1.45, 1.25, 0.014, 0.0, 0.0, 300, 16383, film=True
    ),
)


def expose(
    signal: Image, key: ViewKey, detector: Detector, pixel_mm: float, random: np.random.Generator
) -> Mammogram:
    """Turn a signal (chest wall at column 0) into stored pixels with their window.

    Args:
        signal: float32 (rows, columns); 0 = air.
        key: Right breasts are mirrored: chest wall at the last column.
        detector: How it is shown.
        pixel_mm: Side of a pixel.
        random: Gain, grain, markers, window.
    """
    gain = detector.gain * float(random.uniform(0.92, 1.08))
    shown = respond(signal, gain, detector.gamma * float(random.uniform(0.93, 1.07)))
    sharpening = detector.sharpening * float(random.uniform(0.6, 1.4))
    if sharpening:
        shown = shown + np.float32(sharpening) * (shown - cv2.GaussianBlur(shown, (0, 0), 2.0 / pixel_mm))
        shown = np.maximum(shown, 0.0)
    grain = cv2.GaussianBlur(random.standard_normal(signal.shape, dtype=np.float32), (3, 3), 0.6)
    shown = shown + np.float32(2.0 * detector.noise) * grain * np.sqrt(shown + np.float32(0.02))
    shown = np.asarray(shown, dtype=np.float32)
    bottom, top = float(random.uniform(0.0, 0.10)), float(random.uniform(0.80, 0.95))
    if detector.film:  # as where a header has no window; borders are no tissue
        bottom, top = np.percentile(shown[signal > 0.05][::3], (1.0, 99.5))
        _age_film(shown, random)
    if key.laterality is Laterality.RIGHT:
        shown = np.ascontiguousarray(shown[:, ::-1])
    _add_marker(shown, key, random)
    stored = np.clip(detector.air + shown * (detector.span - detector.air), 0, detector.span)
    if detector.inverted:
        stored = detector.span - stored
    pixels = stored.astype(np.uint16)
    low, high = (round(detector.air + share * (detector.span - detector.air)) for share in (bottom, top))
    if detector.inverted:
        low, high = detector.span - high, detector.span - low
    rule = WindowRule.WINDOW_ESTIMATED if detector.film else WindowRule.WINDOW
    return Mammogram(pixels, float(low), float(high), detector.inverted, rule)


def _age_film(shown: NDArray[np.float32], random: np.random.Generator) -> None:
    """White borders and a glow along the wall: what scanned films have."""
    rows, columns = shown.shape
    for edge in range(4):
        if random.random() < 0.4:
            width = int(random.integers(1, max(2, rows // 80)))
            white = random.uniform(0.6, 1.0)
            if edge < 2:
                shown[slice(0, width) if edge == 0 else slice(rows - width, rows), :] = white
            else:
                shown[:, slice(columns - width, columns) if edge == 2 else slice(0, width)] = white
    across = np.arange(columns, dtype=np.float32) / np.float32(columns)
    shown += np.float32(random.uniform(0.0, 0.05)) * np.exp(-across * np.float32(random.uniform(8, 20)))


def _add_marker(shown: NDArray[np.float32], key: ViewKey, random: np.random.Generator) -> None:
    """A lead marker (letters or a bar) in the air, far from the chest wall."""
    rows, columns = shown.shape
    if random.random() < 0.3:
        return
    text = str(random.choice([f"{key.laterality} {key.view}", f"{key.laterality}{key.view}", "|||", "15"]))
    left, top = int(columns * random.uniform(0.80, 0.88)), int(rows * random.uniform(0.04, 0.10))
    left = columns - left - rows // 20 if key.laterality is Laterality.RIGHT else left
    canvas = np.zeros((rows, columns), np.uint8)
    cv2.putText(
        canvas, text, (left, top), cv2.FONT_HERSHEY_SIMPLEX, rows / 900, 255, max(1, rows // 250), cv2.LINE_AA
    )
    np.maximum(shown, canvas * np.float32(random.uniform(0.6, 1.0) / 255), out=shown)

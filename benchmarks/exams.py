"""Exams as large and as compressible as those of a hospital: breast-shaped, 12 bit, air without noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.sending import Template, study_uid
from dibmg_node.dicom import facts
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View, ViewKey
from tests.factories import mammogram, part10

SYNTAXES: Mapping[str, str] = {
    "uncompressed": facts.EXPLICIT_LE,
    "RLE": facts.RLE_LOSSLESS,
    "JPEG Lossless .70": facts.JPEG_LOSSLESS_SV1,
    "JPEG-LS .80": facts.JPEG_LS_LOSSLESS,
    "JPEG 2000 .90": facts.JPEG_2000_LOSSLESS,
}
SYNTAXES_APART = ("uncompressed", "JPEG 2000 .90")
"""In which exams are sent with pauses between their views, too."""
SYNTAXES_OF_A_DAY = ("uncompressed", "JPEG Lossless .70")
SMALL, LARGE = (3328, 2560), (4084, 3328)
"""(rows, columns) of the two usual detectors."""
_NOISE = 9.0
"""Standard deviation of the noise in tissue, in stored values."""


@cache
def view_pixels(view: ViewKey, grid: tuple[int, int], seed: int) -> NDArray[np.uint16]:
    """Stored values of one view: texture of three scales and noise inside a breast, none outside."""
    rows, columns = grid
    random = np.random.default_rng([seed, STANDARD_VIEWS.index(view)])
    row, column = np.ogrid[0:rows, 0:columns]
    from_wall = columns - 1 - column if view.laterality is Laterality.RIGHT else column
    reach, half, center = 0.62 * columns, 0.40 * rows, rows * (0.5 if view.view is View.CC else 0.55)
    inside = (from_wall / reach) ** 2 + ((row - center) / half) ** 2 < 1
    tissue = np.full(grid, 1500, np.float32)
    for cells, height in ((12, 500), (60, 220), (300, 90)):
        coarse = random.standard_normal((cells, cells)).astype(np.float32)
        tissue += height * cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    tissue += random.standard_normal(grid, dtype=np.float32) * _NOISE
    pixels = np.where(inside, np.clip(tissue, 300, 4095), 0).astype(np.uint16)
    pixels.setflags(write=False)  # the next who asks gets the same
    return pixels


def write_exam(
    folder: Path, syntax: str = "uncompressed", grid: tuple[int, int] = SMALL, seed: int = 1
) -> list[Path]:
    """Study 0: four views as Part 10 files, in the order in which they are sent."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for view in STANDARD_VIEWS:
        image = mammogram(
            view,
            study_uid=study_uid(0),
            transfer_syntax_uid=facts.EXPLICIT_LE if syntax == "RLE" else SYNTAXES[syntax],
            pixels=view_pixels(view, grid, seed),
            WindowCenter="1800",
            WindowWidth="2600",
        )
        if syntax == "RLE":  # the tests' own writer has literal runs alone
            image.compress(facts.RLE_LOSSLESS, generate_instance_uid=False)
        paths.append(folder / f"{view}.dcm")
        paths[-1].write_bytes(part10(image))
    return paths


def templates(paths: Sequence[Path]) -> list[Template]:
    """What other studies are made of."""
    return [Template.of(path.read_bytes()) for path in paths]

"""Mammograms, maps and weights with known content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dibmg.architecture import AIR, PRESETS
from dibmg.predictor import DibmgPredictor
from dibmg.preprocess import Prepared
from dibmg.preprocessing_version import PREPROCESSING_VERSION
from dibmg.runtime_choice import Precision
from dibmg.synthesis.exam import ORIENTATIONS
from dibmg.weights import FILES, MANIFEST
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Mammogram, WindowRule
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import ImageKind, Instance, Laterality, ViewKey

SIZE = 256


def breast(
    laterality: Laterality,
    rows: int = 640,
    columns: int = 480,
    squares: Mapping[tuple[int, int], int] | None = None,
    wall_on_left: bool | None = None,
    inverted: bool = False,
) -> Mammogram:
    """A half ellipse at the chest wall, with bright squares of 24 pixels around given (column, row)."""
    on_left = (laterality is Laterality.LEFT) if wall_on_left is None else wall_on_left
    v, u = np.mgrid[0:rows, 0:columns] + 0.5
    from_wall = u if on_left else columns - u
    inside = (from_wall / (0.6 * columns)) ** 2 + ((v - rows / 2) / (0.4 * rows)) ** 2 < 1
    pixels = np.where(inside, 1500, 0).astype(np.uint16)
    for (column, row), value in (squares or {}).items():
        pixels[row - 12 : row + 12, column - 12 : column + 12] = value
    if inverted:
        pixels = (4095 - pixels).astype(np.uint16)
    return Mammogram(pixels, 0.0, 4095.0, inverted, WindowRule.WINDOW)


def raw_map(hot: Mapping[tuple[int, int], float], cells: int = 16, cold: float = -6.0) -> NDArray[np.float32]:
    """A map whose cancer minus normal is `cold` but at the given (row, column)."""
    raw = np.zeros((cells, cells, 2), np.float32)
    raw[..., 1] = cold
    for (row, column), value in hot.items():
        raw[row, column, 1] = value
    return raw


def instance(key: ViewKey, orientation: tuple[str, ...] | None = None) -> Instance:
    return Instance(
        sop_uid=f"1.2.3.{len(str(key))}.{ord(str(key)[0])}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        study_uid="1.2.3",
        series_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        kind=ImageKind.FOR_PRESENTATION,
        laterality=key.laterality,
        view=key.view,
        orientation=ORIENTATIONS[key] if orientation is None else orientation,
    )


def exam_of(mammograms: Mapping[ViewKey, Mammogram]) -> Exam:
    return Exam("1.2.3", {key: instance(key) for key in mammograms})


def read_exam(predictor: DibmgPredictor, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
    """Make the views of an exam ready, and read it."""
    views = {}
    for key, mammogram in mammograms.items():
        view = predictor.prepare(exam.views[key], mammogram)
        assert isinstance(view, Prepared), view
        views[key] = view
    return predictor.predict(exam, views)


class SquareSeeker:
    """A stand-in for the network: the map is hot where the view is bright, cold elsewhere."""

    name = "openvino"
    precision = Precision.F32

    def __init__(self, hot: float = 1500.0) -> None:
        self._hot = hot

    def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        count, size = len(views), len(views[0])
        cells = np.stack(views).reshape(count, size // 16, 16, size // 16, 16).max(axis=(2, 4))
        raw = np.zeros((*cells.shape, 2), np.float32)
        raw[..., 1] = np.where(cells > 0.5, self._hot, -6.0)
        return raw


def write_weights(folder: Path, **changes: Any) -> Path:
    """A folder that `load_weights` accepts, with files of three bytes; `changes` replace manifest fields."""
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"abc")
    architecture = PRESETS["fine"]
    point = {
        "name": "default",
        "threshold": 0.5,
        "sensitivity": None,
        "specificity": None,
        "version": "1",
        "chosen_on": "nothing",
        "calibration": None,
    }
    manifest = {
        "name": "test",
        "version": "1",
        "files": {name: sha256(b"abc").hexdigest() for name in FILES},
        "preset": "fine",
        "architecture": architecture.as_json(),
        "input_size": SIZE,
        "map_stride": architecture.stride,
        "preprocessing_version": PREPROCESSING_VERSION,
        "padding": AIR,
        "exam_pooling": "maximum",
        "operating_points": [point],
        "trained": True,
        "trained_on": "nothing",
        "license": "Apache-2.0",
        "attribution": "",
        "how": "",
    }
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))
    return folder

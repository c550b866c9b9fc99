"""Units, images and manifests with known content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino.opset13 as ops
from numpy.typing import NDArray

from dibmg.data.manifest import ImageRow, Label, write_manifest
from dibmg.evaluation.places import find_places
from dibmg.evaluation.reading import ImageReading
from dibmg.evaluation.units import Unit, UnitKind, UnitSet, unit_set
from dibmg.quiet_openvino import openvino
from dibmg.weights import FILES, MANIFEST, OPENVINO
from dibmg_node.domain.study import Laterality, View
from tests.model.factories_model import SIZE, breast, write_weights

CELLS = 8


def row(**changes: Any) -> ImageRow:
    plain = ImageRow(
        exam="e1",
        patient="p1",
        laterality=Laterality.LEFT,
        view=View.CC,
        path=Path("/none.png"),
        label=Label.NORMAL,
        line=2,
    )
    return replace(plain, **changes)


def image(
    difference: float = 0.0,
    hot: Mapping[tuple[int, int], float] | None = None,
    lesion: Sequence[tuple[int, int]] | None = None,
    **changes: Any,
) -> ImageReading:
    """An image of 8 x 8 cells, the left half breast; `difference` is cancer minus normal everywhere else."""
    raw = np.zeros((CELLS, CELLS, 2), np.float32)
    raw[..., 1] = difference
    for place, value in (hot or {}).items():
        raw[*place, 1] = value
    on_breast = np.zeros((2 * CELLS, 2 * CELLS), bool)
    on_breast[:, :CELLS] = True
    lesion_cells = None
    if lesion is not None:
        lesion_cells = np.zeros((CELLS, CELLS), bool)
        for place in lesion:
            lesion_cells[place] = True
    z = np.asarray(raw.mean(axis=(0, 1)), np.float32)
    return ImageReading(row(**changes), z, find_places(raw, on_breast, lesion_cells), 0.25, 0.5)


def unit(score: float, cancer: bool, patient: str = "", **changes: Any) -> Unit:
    label = Label.CANCER if cancer else Label.NORMAL
    plain = Unit(
        patient=patient or f"{score}-{cancer}",
        images=(image(label=label),),
        score=score,
        label=label,
        age=None,
        manufacturer=None,
        model=None,
        software=None,
        density=None,
        cancer_type=None,
        features=frozenset(),
        size_mm=None,
        area=0.25,
        brightness=0.5,
    )
    return replace(plain, **changes)


def units_of(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], patients: Sequence[str] | None = None
) -> UnitSet:
    names = patients or [f"p{number}" for number in range(len(scores))]
    made = [
        unit(float(score), bool(label), name)
        for score, label, name in zip(scores, labels, names, strict=True)
    ]
    return unit_set(UnitKind.EXAM, made)


def draw(
    positives: int, negatives: int, seed: int, shift: float = 1.5
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores 0..1 and labels of a binormal model."""
    random = np.random.default_rng(seed)
    labels = np.arange(positives + negatives) < positives
    logits = random.normal(0.0, 1.0, labels.size) + shift * labels
    return 1.0 / (1.0 + np.exp(-logits)), labels


def write_seeing_weights(folder: Path, strength: float = 300.0, bias: float = 228.3, **changes: Any) -> Path:
    """Weights that OpenVINO loads: cancer minus normal of a cell is its brightest pixel * strength + bias."""
    write_weights(folder)
    inputs = ops.parameter([1, SIZE, SIZE, 1], np.float32, name="views")
    planes = ops.transpose(inputs, np.array([0, 3, 1, 2]))
    # zeros for normal, the brightest pixel of 16 x 16 for cancer
    bright = ops.max_pool(planes, [16, 16], [1, 1], [0, 0], [0, 0], [16, 16]).output(0)
    scaled = ops.add(ops.multiply(bright, np.float32(strength)), np.float32(bias))
    both = ops.concat([ops.multiply(bright, np.float32(0.0)), scaled], axis=1)
    network = openvino.Model([ops.transpose(both, np.array([0, 2, 3, 1]))], [inputs], "seeing")
    openvino.save_model(network, folder / OPENVINO, compress_to_fp16=False)
    manifest = json.loads((folder / MANIFEST).read_text()) | changes
    manifest["files"] = {name: sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def write_set(folder: Path, cancers: int, normals: int, **changes: Any) -> Path:
    """A manifest of PNG images: one breast each, a cancer is a bright square whose place is known."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(cancers + normals):
        sick = number < cancers
        shade = 1300 + 20 * (number % 7)
        squares = {(90, 280 + 10 * number % 60): 4000} if sick else {}
        pixels = breast(Laterality.LEFT, squares=squares).pixels
        pixels = np.where(pixels == 1500, shade, pixels).astype(np.uint16)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), pixels)
        made = row(
            exam=f"exam-{number}",
            patient=f"patient-{number}",
            path=path,
            label=Label.CANCER if sick else Label.NORMAL,
            window=(2048.0, 4096.0),
            **changes,
        )
        if sick:
            (column, line) = next(iter(squares))
            mask = np.zeros(pixels.shape, np.uint8)
            mask[line - 20 : line + 20, column - 20 : column + 20] = 255
            cv2.imwrite(str(folder / f"{number}-mask.png"), mask)
            made = replace(made, mask=folder / f"{number}-mask.png")
        rows.append(made)
    write_manifest(rows, folder / "manifest.csv")
    return folder / "manifest.csv"

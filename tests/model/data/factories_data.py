"""Rows, cases and small pictures of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dibmg.data.cases import Case
from dibmg.data.manifest import CancerType, Density, Feature, ImageRow, Label
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, View

HEADER = "exam,patient,laterality,view,path,label"
DECADES = (35, 45, 55, 65)


def row(**changes: Any) -> ImageRow:
    values: dict[str, Any] = {
        "exam": "e1",
        "patient": "p1",
        "laterality": Laterality.RIGHT,
        "view": View.CC,
        "path": Path("/images/a.png"),
        "label": Label.NORMAL,
        "line": 2,
    }
    return ImageRow(**(values | changes))


def case(name: str, label: Label = Label.NORMAL, views: Any = STANDARD_VIEWS, **changes: Any) -> Case:
    """An exam with one row for each view; its patient has its name."""
    values = {"exam": name, "patient": name, "label": label} | changes
    return Case(
        tuple(
            row(
                **values
                | {"laterality": side, "view": view, "path": Path(f"/images/{name}-{side}-{view}.png")}
            )
            for side, view in views
        )
    )


def screened(cancers: int, normals: int, benign: int = 0, seed: int = 0) -> list[Case]:
    """Exams whose ages, densities, machines and lesions are mixed at random."""
    random = np.random.default_rng(seed)
    labels = [Label.CANCER] * cancers + [Label.NORMAL] * normals + [Label.BENIGN] * benign
    cases = []
    for number, label in enumerate(labels):
        known: dict[str, Any] = {
            "age": int(random.choice(DECADES)),
            "density": Density(str(random.choice(list(Density)))),
            "manufacturer": str(random.choice(["A", "B", "C"], p=[0.5, 0.4, 0.1])),
        }
        if label is Label.CANCER:
            known |= {
                "cancer_type": CancerType(str(random.choice(list(CancerType), p=[0.85, 0.15]))),
                "features": frozenset(feature for feature in Feature if random.random() < 0.4),
                "size_mm": float(random.choice([8, 15, 25, 40])),
            }
        cases.append(case(f"w{number:05d}", label, **known))
    return cases


def write_csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def picture(path: Path, pixels: NDArray[Any] | None = None) -> Path:
    """A picture in the format of its suffix; `pixels` None: a gradient of 8 bit, 60 rows x 40 columns."""
    if pixels is None:
        pixels = (np.arange(60)[:, None] + np.arange(40)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path

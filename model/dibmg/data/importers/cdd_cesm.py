"""CDD-CESM as TCIA publishes it: a workbook of annotations, hand-drawn outlines, and two folders of JPEGs.

- `Radiology-manual-annotations.xlsx` (or the same as CSV), sheet `all`, one line an image: Image_name
  (`P1_L_DM_CC`), Patient_ID, Side, Type (DM: low energy, CESM: subtracted), Age, Breast density (ACR)
  (letter or `_`), BIRADS (`4$2`: several findings), Findings, View, Tags, Machine, Pathology
  Classification/ Follow up (Normal, Benign, Malignant).
- `Low energy images of CDD-CESM/<Image_name>.jpg`, some names with a space before the point; the
  subtracted images, in the other folder, are no mammograms as this model knows them and are left out.
- `Radiology_hand_drawn_segmentations_v2.csv`, written by the VGG Image Annotator: `#filename`,
  `region_shape_attributes` (JSON of a polygon, polyline, ellipse, circle, rectangle or point, in
  pixels).

Source: Khaled R. et al. (2022), Scientific Data 9:122, doi:10.1038/s41597-022-01238-0; TCIA,
doi:10.7937/29kw-ae92; files, sheet and columns as read by public code
(github.com/intel/disease-prediction and others). No copy of the data in that layout was at hand. That a
woman has one exam is inferred from names that tell no date.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dibmg.data.importers.cesm_words import LABELS, LICENSE, NOTES, SOURCE, features_of, model_of, other_of
from dibmg.data.importers.circles import around_box, around_points
from dibmg.data.importers.collect import Collection, worst
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, find_file, need_file, read_table
from dibmg.data.importers.values import age_of, density_of, laterality_of, view_of
from dibmg.data.manifest import Circle, ImageRow, Label

_TABLES: Final = (
    "Radiology-manual-annotations.xlsx",
    "Radiology-manual-annotations.csv",
    "Radiology?manual?annotations.xlsx",
    "Radiology?manual?annotations*.csv",
)
_OUTLINES: Final = ("Radiology_hand_drawn_segmentations_v2.csv", "Radiology_hand_drawn_segmentations*.csv")
_COLUMNS: Final = ("image name", "side", "type", "age", "birads", "findings", "view")
_PATHOLOGY: Final = ("pathology classification/ follow up", "pathology classification/follow up", "pathology")
_DENSITY: Final = ("breast density (acr)", "breast density")
_NOTES: Final = (
    "Low-energy images only; the subtracted ones are left out.",
    "The lesion is the smallest circle around the largest outline of its image.",
    *NOTES,
)


def import_cdd_cesm(folder: Path) -> ImportReport:
    """Low-energy images of the table of annotations.

    Raises:
        LayoutError: The table is missing or lacks a column, or an outline cannot be read.
    """
    outlines = find_file(folder, *_OUTLINES)
    places = _places(outlines) if outlines else {}
    files = {path.stem.strip(): path for path in sorted(folder.rglob("*.jpg"))}
    collection = Collection()
    findings: dict[str, list[Line]] = defaultdict(list)
    for line in read_table(need_file(folder, *_TABLES), _COLUMNS, "all"):
        if line.text("type").upper() != "DM":
            collection.skip("subtracted image")
        else:
            findings[line.text("image name").removesuffix(".jpg").strip()].append(line)
    for image, lines in findings.items():
        row = _row(image, lines, files.get(image, folder / f"{image}.jpg"), places.get(image))
        if row is None:
            collection.skip("side, view or pathology not known")
        else:
            collection.add(row)
    notes = _NOTES if outlines else (*_NOTES, f"{_OUTLINES[0]} was not found: no places of lesions.")
    return collection.report(Layout.CDD_CESM, notes, SOURCE, LICENSE)


def _row(image: str, lines: list[Line], path: Path, place: Circle | None) -> ImageRow | None:
    """One image of one or several lines; None where it cannot be told what it shows."""
    line = lines[0]
    side, view = laterality_of(line.text("side")), view_of(line.text("view"))
    label = worst(LABELS.get(one.text(*_PATHOLOGY).lower()) for one in lines)
    if side is None or view is None or label is None:
        return None
    # the name tells the woman in both layouts of the data set alike (P1); Patient_ID is 1
    patient = image.partition("_")[0]
    texts = "$".join(dict.fromkeys(one.text("findings") for one in lines))
    other = other_of("$".join(one.text("birads") for one in lines), texts, label)
    return ImageRow(
        exam=patient,
        patient=patient,
        laterality=side,
        view=view,
        path=path.absolute(),
        label=label,
        breast_label=label,
        age=age_of(line.text("age")),
        model=model_of(line.text("machine")),
        density=density_of(line.text(*_DENSITY)),
        features=features_of(texts),
        lesion=None if label is Label.NORMAL else place,
        other=other,
        line=line.number,
    )


def _places(path: Path) -> Mapping[str, Circle]:
    """Image → circle around its largest outline."""
    places: dict[str, Circle] = {}
    for line in read_table(path, ("#filename", "region shape attributes")):
        image = line.text("#filename").removesuffix(".jpg").strip()
        circle = _circle(line)
        if circle and (image not in places or circle.radius > places[image].radius):
            places[image] = circle
    return places


def _circle(line: Line) -> Circle | None:
    """Circle around one outline; None where the line has none, as of an image without any."""
    text = line.text("region shape attributes")
    try:
        shape: dict[str, Any] = json.loads(text or "{}")
        match shape.get("name"):
            case None:
                return None
            case "polygon" | "polyline":
                points = list(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
                return around_points(points) if points else None
            case "circle":
                return _round(shape["cx"], shape["cy"], shape["r"])
            case "ellipse":
                return _round(shape["cx"], shape["cy"], max(shape["rx"], shape["ry"]))
            case "point":
                return around_points([(shape["cx"], shape["cy"])])
            case "rect":
                left, top = float(shape["x"]), float(shape["y"])
                return around_box(left, top, left + float(shape["width"]), top + float(shape["height"]))
            case name:
                raise ValueError(f"a shape called {name!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayoutError(f"{line.at('region shape attributes')}: expected an outline ({error})") from error


def _round(column: float, row: float, radius: float) -> Circle:
    return around_points([(column - radius, row), (column + radius, row)])

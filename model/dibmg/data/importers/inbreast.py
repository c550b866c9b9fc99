"""INbreast as its authors publish it: `INbreast.csv`, `AllDICOMs/`, `AllXML/`.

The table is separated by semicolons: Patient ID and Patient age (both `removed`), Laterality, View,
Acquisition date (YYYYMM), File Name, ACR, Bi-Rads. A woman is told by the second part of the image's
file name, `<File Name>_<patient>_MG_<side>_<view>_ANON.dcm`; some women have two exams. `AllXML/<File
Name>.xml` is an OsiriX property list: `Images` → `ROIs` with `Name` and `Point_px`, texts such as
`(1234.5, 678.9)` in pixels from the left and the top (inferred: whether 0 is the corner or the center
of the first pixel).

Source: Moreira I. C. et al. (2012), Academic Radiology 19:236-248, doi:10.1016/j.acra.2011.09.014;
table, file names and names of regions as read by public code (github.com/itzortzis/INBreast_XML_parser
and others). No copy of the data was at hand.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from dibmg.data.importers.circles import around_points
from dibmg.data.importers.collect import FILE_MISSING, Collection
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, need_file, read_table
from dibmg.data.importers.values import (
    BIRADS_NOTE,
    birads_of,
    density_of,
    label_of_birads,
    laterality_of,
    view_of,
)
from dibmg.data.manifest import Circle, Feature, ImageRow
from dibmg_node.domain.image import Point

_COLUMNS: Final = ("laterality", "view", "acquisition date", "file name", "acr", "bi-rads")
_NAME: Final = re.compile(r"(?P<image>[^_]+)_(?P<patient>[^_]+)_MG_.*\.dcm", re.IGNORECASE)
_POINT: Final = re.compile(r"\(\s*(-?[\d.]+(?:e[+-]?\d+)?)\s*,\s*(-?[\d.]+(?:e[+-]?\d+)?)", re.IGNORECASE)
_REGIONS: Final = {
    "mass": Feature.MASS,
    "spiculated region": Feature.MASS,
    "espiculated region": Feature.MASS,
    "cluster": Feature.CALCIFICATION,
    "distortion": Feature.DISTORTION,
    "asymmetry": Feature.ASYMMETRY,
    "assymetry": Feature.ASYMMETRY,
}
_SPECKS: Final = frozenset({"calcification", "calcifications"})
_NOTES: Final = (
    BIRADS_NOTE,
    "The lesion is the smallest circle around the largest region of its image; single calcifications are a "
    "feature, not a place; regions called Unnamed or Point are left out.",
    "No age; the manufacturer is the one of the paper (Siemens MammoNovation).",
    "A woman with exams on two dates has two exams.",
)
_SOURCE: Final = "Moreira I. C. et al. (2012), Academic Radiology 19:236-248, doi:10.1016/j.acra.2011.09.014"
_LICENSE: Final = "no public license found: the terms that its authors gave with the download"


@dataclass(frozen=True)
class _Region:
    """What a reader outlined. Attributes: `name` in small letters, `points` (column, row)."""

    name: str
    points: Sequence[Point]


def import_inbreast(folder: Path) -> ImportReport:
    """Images of `INbreast.csv`.

    Raises:
        LayoutError: The table is missing or lacks a column, or an annotation cannot be read.
    """
    table = need_file(folder, "INbreast.csv")
    lines = read_table(table, _COLUMNS)
    images = _files(table.parent)
    annotations = {path.stem: path for path in table.parent.rglob("*.xml")}
    collection = Collection()
    for line in lines:
        name = line.text("file name").removesuffix(".0")
        side, view = laterality_of(line.text("laterality")), view_of(line.text("view"))
        category = birads_of(line.text("bi-rads"))
        label = label_of_birads(category)
        if side is None or view is None or label is None:
            collection.skip("side, view or BI-RADS category not known")
            continue
        if name not in images:
            # the woman stands in the file's name only: without it, the line cannot speak for any exam
            collection.skip(FILE_MISSING)
            continue
        path, patient = images[name]
        regions = tuple(_regions(annotations[name])) if name in annotations else ()
        collection.add(
            ImageRow(
                exam=f"{patient}-{line.text('acquisition date')}",
                patient=patient,
                laterality=side,
                view=view,
                path=path.absolute(),
                label=label,
                breast_label=label,
                manufacturer="Siemens",
                model="MammoNovation",
                density=density_of(line.text("acr")),
                features=_features(regions),
                lesion=_place(regions),
                other=_other(line, regions),
                line=line.number,
            )
        )
    return collection.report(Layout.INBREAST, _NOTES, _SOURCE, _LICENSE)


def _files(folder: Path) -> Mapping[str, tuple[Path, str]]:
    """File Name of the table → image and patient."""
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        match = _NAME.fullmatch(path.name)
        if match:
            found[match["image"]] = (path, match["patient"])
    return found


def _regions(path: Path) -> Iterator[_Region]:
    """Regions of an annotation that have points."""
    try:
        with path.open("rb") as file:
            content: Any = plistlib.load(file, fmt=plistlib.FMT_XML)
        regions = [region for image in content["Images"] for region in image["ROIs"]]
        for region in regions:
            texts = (_POINT.match(str(text)) for text in region.get("Point_px", ()))
            points = [(float(match[1]), float(match[2])) for match in texts if match]
            if points:
                yield _Region(str(region.get("Name", "")).strip().lower(), points)
    except (OSError, ExpatError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayoutError(f"{path}: expected an OsiriX property list ({type(error).__name__})") from error


def _features(regions: Sequence[_Region]) -> frozenset[Feature]:
    specks = {Feature.CALCIFICATION} if any(region.name in _SPECKS for region in regions) else set()
    return frozenset(specks | {_REGIONS[region.name] for region in regions if region.name in _REGIONS})


def _place(regions: Sequence[_Region]) -> Circle | None:
    circles = [around_points(region.points) for region in regions if region.name in _REGIONS]
    return max(circles, key=lambda circle: circle.radius, default=None)


def _other(line: Line, regions: Sequence[_Region]) -> dict[str, str]:
    findings = sum(region.name in _REGIONS for region in regions)
    return {"birads": line.text("bi-rads"), "pathology_proven": "no", "regions": str(findings)}

"""VinDr-Mammo as PhysioNet publishes it: three tables and `images/<study_id>/<image_id>.dicom`.

- `breast-level_annotations.csv`, one line an image: study_id, series_id, image_id, laterality,
  view_position, height, width, breast_birads (`BI-RADS 4`), breast_density (`DENSITY C`), split
  (training, test).
- `finding_annotations.csv`, one line a finding (or an image without one): the same, and
  finding_categories (`['Mass', 'Skin Retraction']`), finding_birads, xmin, ymin, xmax, ymax in pixels.
  Only findings of BI-RADS 3 and above have a box.
- `metadata.csv`: attributes of the DICOM headers, columns by their names in the standard: `SOP Instance
  UID`, `Manufacturer's Model Name`, and (inferred from that form) `Manufacturer`, `Patient's Age`.

Source: Nguyen H. T. et al. (2023), Scientific Data 10:277, doi:10.1038/s41597-023-02100-7; PhysioNet,
doi:10.13026/br2v-7517; columns as listed by github.com/KP-AROB/AROB-VINDR-IMG. No copy of the data was
at hand.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg.data.importers.circles import around_box
from dibmg.data.importers.collect import Collection
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, find_file, need_file, read_table
from dibmg.data.importers.values import (
    BIRADS_NOTE,
    age_of,
    birads_of,
    density_of,
    label_of_birads,
    laterality_of,
    view_of,
)
from dibmg.data.manifest import Circle, Feature, ImageRow

_COLUMNS: Final = (
    "study id",
    "image id",
    "laterality",
    "view position",
    "breast birads",
    "breast density",
    "split",
)
_FINDING_COLUMNS: Final = ("image id", "finding categories", "finding birads", "xmin", "ymin", "xmax", "ymax")
_FEATURES: Final = {
    "mass": Feature.MASS,
    "suspicious calcification": Feature.CALCIFICATION,
    "asymmetry": Feature.ASYMMETRY,
    "focal asymmetry": Feature.ASYMMETRY,
    "global asymmetry": Feature.ASYMMETRY,
    "architectural distortion": Feature.DISTORTION,
}
_NOTES: Final = (
    BIRADS_NOTE,
    "Women are not told apart: each exam counts as a woman of its own.",
    "The lesion is a circle in the middle of the box of the most suspicious finding of its image, the "
    "largest of them; its radius is half the geometric mean of the box's sides. Benign findings have no box.",
    "No size, no cancer type.",
)
_NO_METADATA: Final = "metadata.csv was not found: no age, manufacturer and model."
_SOURCE: Final = (
    "Nguyen H. T. et al. (2023), Scientific Data 10:277, doi:10.1038/s41597-023-02100-7; PhysioNet, "
    "doi:10.13026/br2v-7517"
)
_LICENSE: Final = "PhysioNet restricted access: its data use agreement"


@dataclass(frozen=True)
class _Finding:
    """What a reader marked. Attributes: `birads` 0 where it has none; `place` None where it has no box."""

    features: frozenset[Feature]
    birads: int
    place: Circle | None


def import_vindr_mammo(folder: Path) -> ImportReport:
    """Images of `breast-level_annotations.csv`.

    Raises:
        LayoutError: A table of annotations is missing or lacks a column, or a cell is not what it should be.
    """
    table = need_file(folder, "breast-level_annotations.csv")
    lines = read_table(table, _COLUMNS)
    findings = _findings(need_file(folder, "finding_annotations.csv"))
    metadata = find_file(folder, "metadata.csv")
    headers: Mapping[str, Line] = {}
    if metadata is not None:
        columns = ("sop instance uid",)
        headers = {line.text(*columns): line for line in read_table(metadata, columns)}
    collection = Collection()
    for line in lines:
        side, view = laterality_of(line.text("laterality")), view_of(line.text("view position"))
        label = label_of_birads(birads_of(line.text("breast birads")))
        if side is None or view is None or label is None:
            collection.skip("side, view or BI-RADS category not known")
            continue
        study, image = line.text("study id"), line.text("image id")
        marked = findings.get(image, [])
        header = headers.get(image)
        collection.add(
            ImageRow(
                exam=study,
                patient=study,
                laterality=side,
                view=view,
                path=(table.parent / "images" / study / f"{image}.dicom").absolute(),
                label=label,
                breast_label=label,
                age=age_of(header.text("patient's age", "patient age")) if header else None,
                manufacturer=(header.text("manufacturer") or None) if header else None,
                model=(header.text("manufacturer's model name") or None) if header else None,
                density=density_of(line.text("breast density")),
                features=frozenset[Feature]().union(*(finding.features for finding in marked)),
                lesion=_place(marked),
                other={
                    "split": line.text("split"),
                    "birads": str(birads_of(line.text("breast birads"))),
                    "pathology_proven": "no",
                    "boxes": str(sum(finding.place is not None for finding in marked)),
                },
                line=line.number,
            )
        )
    notes = _NOTES if metadata is not None else (*_NOTES, _NO_METADATA)
    return collection.report(Layout.VINDR_MAMMO, notes, _SOURCE, _LICENSE)


def _findings(path: Path) -> Mapping[str, list[_Finding]]:
    """Image → findings."""
    found: dict[str, list[_Finding]] = defaultdict(list)
    for line in read_table(path, _FINDING_COLUMNS):
        sides = [line.number_in(column) for column in ("xmin", "ymin", "xmax", "ymax")]
        box = [side for side in sides if side is not None]
        found[line.text("image id")].append(
            _Finding(
                _features(line),
                birads_of(line.text("finding birads")) or 0,
                around_box(*box) if len(box) == 4 else None,
            )
        )
    return found


def _features(line: Line) -> frozenset[Feature]:
    """Of a cell that is the text of a Python list."""
    text = line.text("finding categories")
    try:
        words = ast.literal_eval(text or "[]")
        return frozenset(_FEATURES[word.lower()] for word in words if word.lower() in _FEATURES)
    except (ValueError, SyntaxError, TypeError, AttributeError) as error:
        at = line.at("finding categories")
        raise LayoutError(f"{at}: expected a list such as ['Mass'], found {text!r}") from error


def _place(findings: Sequence[_Finding]) -> Circle | None:
    marked = [(finding.birads, finding.place.radius, finding.place) for finding in findings if finding.place]
    return max(marked, key=lambda one: one[:2])[2] if marked else None

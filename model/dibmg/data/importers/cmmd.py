"""CMMD as TCIA publishes it: `CMMD_clinicaldata_revision.xlsx` and DICOM files below the patient's folder.

The table has one line a breast whose lesion was biopsied: ID1, LeftRight, Age, number (of images),
abnormality (mass, calcification, both), classification (Benign, Malignant), subtype (molecular, of the
second cohort D2-). The files carry side and view in their headers (Image Laterality, View Code
Sequence; no View Position, no manufacturer), 2 or 4 a woman; the second cohort holds the other breast
too, which has no line.

Source: Cui C. et al. (2021), The Chinese Mammography Database, TCIA, doi:10.7937/tcia.eqde-4b16;
columns and headers as public code and a public inventory of the 5,202 files report them; license as in
github.com/hsu-lab/DigitalMammographyEnsembleValidation. No copy of the data was at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dibmg.data.importers.collect import FILE_MISSING, Collection, worst
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, need_file, read_table
from dibmg.data.importers.values import age_of, laterality_of
from dibmg.data.manifest import Feature, ImageRow, Label
from dibmg_node.dicom.header import instance_of, read_header
from dibmg_node.domain.study import Laterality, ViewKey
from dibmg_node.errors import InstanceRejectedError

_TABLES: Final = ("CMMD_clinicaldata_revision.xlsx", "CMMD_clinicaldata_revision*.csv")
_COLUMNS: Final = ("id1", "leftright", "age", "abnormality", "classification")
_LABELS: Final = {"malignant": Label.CANCER, "benign": Label.BENIGN}
_FEATURES: Final = {
    "mass": frozenset({Feature.MASS}),
    "calcification": frozenset({Feature.CALCIFICATION}),
    "both": frozenset({Feature.MASS, Feature.CALCIFICATION}),
}
_NOTES: Final = (
    "Every woman has a biopsied lesion: there are no normal exams.",
    "A woman's other breast, where it was published without a line of its own, has no breast label.",
    "No place and no size of lesions, no density, no manufacturer; the molecular subtype (`subtype`) does "
    "not say whether a cancer invades.",
    "Asymmetry and distortion are not among the words of the table.",
)
_SOURCE: Final = "Cui C. et al. (2021), The Chinese Mammography Database, TCIA, doi:10.7937/tcia.eqde-4b16"
_LICENSE: Final = "CC BY 4.0"


def import_cmmd(folder: Path) -> ImportReport:
    """Images of the women in the clinical table.

    Raises:
        LayoutError: The table is missing or lacks a column.
    """
    collection = Collection()
    breasts = _breasts(need_file(folder, *_TABLES), collection)
    women: dict[str, dict[Laterality, Line]] = defaultdict(dict)
    for (patient, breast), line in breasts.items():
        women[patient][breast] = line
    seen: set[tuple[str, Laterality]] = set()
    for path in sorted(folder.rglob("*.dcm")):
        try:
            with path.open("rb") as file:
                header = read_header(file)
            instance = instance_of(header)
        except InstanceRejectedError:
            collection.skip("file that is not whole DICOM")
            continue
        patient = str(header.get("PatientID", "")).strip()
        side, view = instance.laterality, instance.view
        if side is None or side is Laterality.BOTH or view is None:
            collection.skip("side or view not in the header")
        elif patient not in women:
            collection.skip("woman not in the clinical table")
        else:
            seen.add((patient, side))
            collection.add(_row(path, ViewKey(side, view), patient, women[patient]))
    collection.skip(FILE_MISSING + " (breasts)", len(breasts.keys() - seen))
    return collection.report(Layout.CMMD, _NOTES, _SOURCE, _LICENSE)


def _breasts(path: Path, collection: Collection) -> Mapping[tuple[str, Laterality], Line]:
    """(woman, side) → line of the table."""
    breasts = {}
    for line in read_table(path, _COLUMNS):
        side = laterality_of(line.text("leftright"))
        if side is None or line.text("classification").lower() not in _LABELS:
            collection.skip("line without side or classification")
        else:
            breasts[line.text("id1"), side] = line
    return breasts


def _row(path: Path, view_key: ViewKey, patient: str, breasts: Mapping[Laterality, Line]) -> ImageRow:
    """One file, with what the table says of its breast, or only of the woman's other one."""
    own = breasts.get(view_key.laterality)
    line = own or next(iter(breasts.values()))
    label = worst(_label(breast) for breast in breasts.values())
    assert label is not None
    other = {"subtype": own.text("subtype")} if own and own.text("subtype") else {}
    if own and _label(own) is Label.CANCER:
        other["pathology_proven"] = "yes"
    return ImageRow(
        exam=patient,
        patient=patient,
        laterality=view_key.laterality,
        view=view_key.view,
        path=path.absolute(),
        label=label,
        breast_label=_label(own) if own else None,
        age=age_of(line.text("age")),
        features=_FEATURES.get(own.text("abnormality").lower(), frozenset()) if own else frozenset(),
        other=other,
        line=line.number,
    )


def _label(line: Line) -> Label:
    return _LABELS[line.text("classification").lower()]

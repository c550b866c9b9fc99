"""RSNA screening mammography (2023): `train.csv` and `train_images/<patient>/<image>.dcm`.

Columns of `train.csv`, one line an image: site_id, patient_id, image_id, laterality, view, age, cancer
(of the breast), biopsy, invasive, BIRADS (0: follow-up needed, 1: negative, 2: normal), implant,
density (A to D, one site only), machine_id, difficult_negative_case. `test.csv` has no labels and is
not read.

Source: the competition's data page,
https://www.kaggle.com/competitions/rsna-breast-cancer-detection/data, whose text and columns public
code repeats (github.com/yassineAlouini/rsna-breast-cancer-detection). No copy of the data was at hand;
that a view may be AT (axillary tail) is inferred.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dibmg.data.importers.collect import Collection
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, need_file, read_table
from dibmg.data.importers.values import age_of, density_of, laterality_of, view_of
from dibmg.data.manifest import CancerType, ImageRow, Label

_COLUMNS: Final = ("patient id", "image id", "laterality", "view", "cancer")
_NOTES: Final = (
    "A breast without cancer is benign where it was biopsied, else normal; how long the normal ones were "
    "followed is not said.",
    "No place, size or feature of a lesion, no manufacturer; `model` is the publisher's machine number.",
    "One site gives implants by woman, not by breast.",
    "Column `birads` keeps the publisher's three words: 0 follow-up needed, 1 negative, 2 normal.",
)
_SOURCE: Final = (
    "RSNA Screening Mammography Breast Cancer Detection (2023), "
    "https://www.kaggle.com/competitions/rsna-breast-cancer-detection"
)
_LICENSE: Final = "the rules of the competition (not seen)"


def import_rsna_2023(folder: Path) -> ImportReport:
    """Images of `train.csv`.

    Raises:
        LayoutError: The table is missing or lacks a column, or a cell is not a number where it should be.
    """
    table = need_file(folder, "train.csv")
    collection = Collection()
    for line in read_table(table, _COLUMNS):
        side, view = laterality_of(line.text("laterality")), view_of(line.text("view"))
        label = _label(line)
        if side is None or label is None:
            collection.skip("side or cancer not known")
            continue
        patient, image = line.text("patient id"), line.text("image id")
        if view is None:
            collection.skip(f"view {line.text('view')!r}, which View Position does not have")
            continue
        machine = line.text("machine id")
        collection.add(
            ImageRow(
                exam=patient,
                patient=patient,
                laterality=side,
                view=view,
                path=(table.parent / "train_images" / patient / f"{image}.dcm").absolute(),
                label=label,
                breast_label=label,
                age=age_of(line.text("age")),
                model=f"machine {machine}" if machine else None,
                density=density_of(line.text("density")),
                cancer_type=_type(line, label),
                other=_other(line, label),
                line=line.number,
            )
        )
    return collection.report(Layout.RSNA_2023, _NOTES, _SOURCE, _LICENSE)


def _flag(line: Line, column: str) -> bool | None:
    """A cell of 0 or 1, True or False; None where it is empty."""
    text = line.text(column).lower()
    if text in ("true", "false"):
        return text == "true"
    number = line.number_in(column)
    return None if number is None else number != 0


def _label(line: Line) -> Label | None:
    cancer = _flag(line, "cancer")
    if cancer is None:
        return None
    if cancer:
        return Label.CANCER
    return Label.BENIGN if _flag(line, "biopsy") else Label.NORMAL


def _type(line: Line, label: Label) -> CancerType | None:
    invasive = _flag(line, "invasive")
    if label is not Label.CANCER or invasive is None:
        return None
    return CancerType.INVASIVE if invasive else CancerType.NONINVASIVE


def _other(line: Line, label: Label) -> dict[str, str]:
    flags = {
        "implant": _flag(line, "implant"),
        "biopsy": _flag(line, "biopsy"),
        "difficult": _flag(line, "difficult negative case"),
        "pathology_proven": _flag(line, "biopsy") if label is Label.CANCER else None,
    }
    other = {"site": line.text("site id"), "birads": line.text("birads").removesuffix(".0")}
    other |= {name: "yes" if flag else "no" for name, flag in flags.items() if flag is not None}
    return {name: text for name, text in other.items() if text}

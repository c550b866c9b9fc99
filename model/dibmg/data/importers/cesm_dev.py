"""CDD-CESM, low-energy images on squares of 512: `labels.csv`, `images/`, `masks/`.

One line an image: image, path, mask (empty where there is none), patient, laterality, view, label (malignant,
benign, normal: of the breast, by pathology), age, density, birads, findings, machine, fold (by woman).

Source: the README beside that table; the data themselves: Khaled R. et al. (2022), Scientific Data 9:122,
doi:10.1038/s41597-022-01238-0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dibmg.data.importers.cesm_words import LABELS, LICENSE, NOTES, SOURCE, features_of, model_of, other_of
from dibmg.data.importers.collect import Collection
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import need_file, read_table
from dibmg.data.importers.values import age_of, density_of, laterality_of, view_of
from dibmg.data.manifest import ImageRow

_COLUMNS: Final = ("path", "mask", "patient", "laterality", "view", "label", "findings", "machine", "fold")
_MASK_MISSING: Final = "mask named by the table, file not found (its image is kept)"
_NOTES: Final = (
    "MLO exists for malignant images only: classify on CC alone, or the view gives the label away.",
    "Women have malignant and other images: split by patient (`fold` does), label by breast.",
    "The images are centered on a black square: take the side padding off before training; size alone tells "
    "something of the label.",
    "A mask covers all that was outlined on its image.",
    *NOTES,
)


def import_cesm_dev(folder: Path) -> ImportReport:
    """Images of `labels.csv`.

    Raises:
        LayoutError: The table is missing or lacks a column.
    """
    table = need_file(folder, "labels.csv")
    collection = Collection()
    for line in read_table(table, _COLUMNS):
        side, view = laterality_of(line.text("laterality")), view_of(line.text("view"))
        label = LABELS.get(line.text("label").lower())
        if side is None or view is None or label is None:
            collection.skip("side, view or label not known")
            continue
        path = (table.parent / line.text("path")).absolute()
        mask = (table.parent / line.text("mask")).absolute() if line.text("mask") else None
        if mask is not None and not mask.is_file():
            if path.is_file():
                collection.skip(_MASK_MISSING)
            mask = None
        findings = line.text("findings")
        collection.add(
            ImageRow(
                exam=line.text("patient"),
                patient=line.text("patient"),
                laterality=side,
                view=view,
                path=path,
                label=label,
                breast_label=label,
                age=age_of(line.text("age")),
                model=model_of(line.text("machine")),
                density=density_of(line.text("density")),
                features=features_of(findings),
                mask=mask,
                other=other_of(line.text("birads"), findings, label) | {"fold": line.text("fold")},
                line=line.number,
            )
        )
    return collection.report(Layout.CESM_DEV, _NOTES, SOURCE, LICENSE)

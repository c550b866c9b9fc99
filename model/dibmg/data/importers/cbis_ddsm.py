"""CBIS-DDSM as TCIA publishes it: four tables of abnormalities, and DICOM folders named by UIDs.

Tables `{mass,calc}_case_description_{train,test}_set.csv`, one line an abnormality of one image. Known
of them: columns differ between them (`breast_density` for masses, `breast density` for calcifications);
density and assessment may be 0; path cells end in a line feed; `cropped image file path` and `ROI mask
file path` are exchanged in many lines. So the mask is the file of either that has the image's own size.
The tables' files are `<subject>/<study UID>/<series UID>/00000n.dcm`; see `tcia` for what is on the
disk.

Source: Lee R. S. et al. (2017), Scientific Data 4:170177, doi:10.1038/sdata.2017.177; TCIA,
doi:10.7937/K9/TCIA.2016.7O02S9CY,
https://wiki.cancerimagingarchive.net/pages/viewpage.action?pageId=22516629 (files and license). Column
names and disk layout as read by public code: github.com/sposso/CBIS-DDSM-DATASET,
github.com/john-james-ai/BreastCancerDetection. No copy of the data was at hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dibmg.data.importers.collect import Collection, worst
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import Line, find_file, read_table
from dibmg.data.importers.tcia import TciaFolder
from dibmg.data.importers.values import density_of, laterality_of, view_of
from dibmg.data.manifest import Feature, ImageRow, Label
from dibmg_node.domain.study import Laterality, View

_TABLES: Final = tuple(
    (f"{kind}_case_description_{split}_set.csv", split)
    for kind in ("mass", "calc")
    for split in ("train", "test")
)
_COLUMNS: Final = (
    "patient id",
    "breast density",
    "left or right breast",
    "image view",
    "abnormality type",
    "assessment",
    "pathology",
    "image file path",
    "cropped image file path",
    "roi mask file path",
)
_PATHOLOGY: Final = {
    "malignant": Label.CANCER,
    "benign": Label.BENIGN,
    "benign_without_callback": Label.BENIGN,
}
_SHAPES: Final = {
    "ARCHITECTURAL_DISTORTION": Feature.DISTORTION,
    "ASYMMETRIC_BREAST_TISSUE": Feature.ASYMMETRY,
    "FOCAL_ASYMMETRIC_DENSITY": Feature.ASYMMETRY,
}
_NO_MASK: Final = "mask of an image's first lesion not found, or not on the image's grid"
_NOTES: Final = (
    "Every image has an abnormality: there are no normal exams.",
    "Films of the 1990s: no age, no manufacturer, no pixel spacing, so no size in mm.",
    "An image with several abnormalities is one row with the mask of one: the malignant one, the largest of "
    "them by its cropped picture.",
    "Masses whose shape the publisher calls architectural distortion or asymmetry have that feature too.",
    "Column `split` is the publisher's; masses and calcifications were split apart, so a woman may be in "
    "train and test at once (`both`).",
)
_SOURCE: Final = (
    "Lee R. S. et al. (2017), Scientific Data 4:170177, doi:10.1038/sdata.2017.177; TCIA, "
    "doi:10.7937/K9/TCIA.2016.7O02S9CY"
)
_LICENSE: Final = "CC BY 3.0"


@dataclass(frozen=True)
class _Abnormality:
    """One line of a table, with the label that its pathology gives."""

    line: Line
    split: str
    label: Label


def import_cbis_ddsm(folder: Path) -> ImportReport:
    """Images of the tables that are in a folder.

    Raises:
        LayoutError: None of the four tables is there, or one lacks a column.
    """
    collection = Collection()
    images: dict[tuple[str, Laterality, View], list[_Abnormality]] = defaultdict(list)
    splits: dict[str, set[str]] = defaultdict(set)
    for path, split in _tables(folder):
        for line in read_table(path, _COLUMNS):
            side = laterality_of(line.text("left or right breast"))
            view = view_of(line.text("image view"))
            label = _PATHOLOGY.get(line.text("pathology").lower())
            if side is None or view is None or label is None:
                collection.skip("side, view or pathology not known")
                continue
            patient = line.text("patient id")
            splits[patient].add(split)
            images[patient, side, view].append(_Abnormality(line, split, label))
    disk = TciaFolder(folder)
    without_mask = 0
    for (patient, side, view), abnormalities in images.items():
        image = _image(disk, abnormalities)
        first, mask = _first(disk, abnormalities, image)
        without_mask += mask is None and image is not None
        path = image or folder / _named(first.line, "image file path")
        of_woman = splits[patient]
        collection.add(
            ImageRow(
                exam=patient,
                patient=patient,
                laterality=side,
                view=view,
                path=path.absolute(),
                label=first.label,
                breast_label=worst(one.label for one in abnormalities),
                density=density_of(first.line.text("breast density")),
                features=frozenset[Feature]().union(*(_features(one.line) for one in abnormalities)),
                mask=mask,
                other=_other(first, abnormalities, "both" if len(of_woman) > 1 else min(of_woman)),
                line=first.line.number,
            ),
            found=image is not None,
        )
    collection.skip("damaged DICOM file", len(disk.damaged))
    notes = [*_NOTES, f"{without_mask} images: {_NO_MASK}."] if without_mask else _NOTES
    return collection.report(Layout.CBIS_DDSM, notes, _SOURCE, _LICENSE)


def _tables(folder: Path) -> list[tuple[Path, str]]:
    found = [(path, split) for name, split in _TABLES if (path := find_file(folder, name)) is not None]
    if not found:
        raise LayoutError(f"{folder}: expected at least one of {[name for name, _ in _TABLES]}, found none")
    return found


def _named(line: Line, column: str) -> PurePosixPath:
    """Path that a table names; some cells have a quote or a line feed around it."""
    return PurePosixPath(line.text(column).strip('" \r\n'))


def _series(disk: TciaFolder, line: Line, column: str) -> Sequence[Path]:
    named = _named(line, column)
    return disk.series(named.parts[0], named.parts[-2]) if len(named.parts) >= 3 else ()


def _image(disk: TciaFolder, abnormalities: Sequence[_Abnormality]) -> Path | None:
    """The film; it was stored once for its masses and once for its calcifications."""
    for one in abnormalities:
        for path in _series(disk, one.line, "image file path"):
            return path
    return None


def _first(
    disk: TciaFolder, abnormalities: Sequence[_Abnormality], image: Path | None
) -> tuple[_Abnormality, Path | None]:
    """The abnormality that stands for an image, and its mask."""
    grid = disk.size_of(image) if image else None
    pictures = [_pictures(disk, one.line) for one in abnormalities]

    def crop(place: int) -> int:
        sizes = (
            rows * columns for path, (rows, columns) in pictures[place].items() if (rows, columns) != grid
        )
        return max(sizes, default=0)

    place = max(
        range(len(abnormalities)), key=lambda one: (abnormalities[one].label is Label.CANCER, crop(one), -one)
    )
    masks = [path for path, size in pictures[place].items() if size == grid]
    return abnormalities[place], masks[0].absolute() if masks else None


def _pictures(disk: TciaFolder, line: Line) -> Mapping[Path, tuple[int, int]]:
    """(rows, columns) of the mask and the cropped picture of an abnormality, whichever is which."""
    columns = ("roi mask file path", "cropped image file path")
    return {path: disk.size_of(path) for column in columns for path in _series(disk, line, column)}


def _features(line: Line) -> frozenset[Feature]:
    if line.text("abnormality type").lower() == "calcification":
        return frozenset({Feature.CALCIFICATION})
    shapes = line.text("mass shape").upper().split("-")
    return frozenset({Feature.MASS, *(_SHAPES[shape] for shape in shapes if shape in _SHAPES)})


def _other(first: _Abnormality, abnormalities: Sequence[_Abnormality], split: str) -> dict[str, str]:
    other = {
        "split": split,
        "birads": first.line.text("assessment"),
        "pathology": first.line.text("pathology"),
        "abnormalities": str(len(abnormalities)),
    }
    if first.label is Label.CANCER:
        other["pathology_proven"] = "yes"
    return {name: text for name, text in other.items() if text}

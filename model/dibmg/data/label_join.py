"""Labels of a table, joined to the images of a folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg.data.kinds import Label
from dibmg.data.labels import Labels
from dibmg.data.manifest import ImageRow, build_row, contradictions
from dibmg.data.scan import ScannedImage
from dibmg.data.table import Line, ManifestError

_WORST_FIRST: Final = (Label.CANCER, Label.BENIGN, Label.NORMAL)


@dataclass(frozen=True)
class Joined:
    """Rows of a manifest, and what did not fit together.

    Attributes:
        rows: What headers say, and over it what the table says; `line` is the table's.
        unused_lines: Lines of the table that label no image.
        empty_lines: Lines that name images, but give no label.
        unlabeled: Images that no line names.
        no_patient: Images without a Patient ID that the table gives none either.
    """

    rows: tuple[ImageRow, ...]
    unused_lines: tuple[int, ...]
    empty_lines: tuple[int, ...]
    unlabeled: tuple[Path, ...]
    no_patient: tuple[Path, ...]


def join_labels(images: Sequence[ScannedImage], labels: Labels) -> Joined:
    """Label the images of a folder.

    Raises:
        ManifestError: Labels of one exam contradict each other; or the key is the woman, and one has
            several exams: which one is meant, nobody can tell.
    """
    lines = [(image, _line_of(image, labels)) for image in images]
    matched = [(image, line) for image, line in lines if line is not None]
    if labels.key == "patient":
        _check_one_exam(matched, labels)
    of_exam = _exam_labels(labels)
    # then the label of one breast says nothing of the other
    of_breasts = labels.by_breast or labels.column == "breast_label"
    rows: list[ImageRow] = []
    empty, no_patient = set(), []
    for image, line in matched:
        cells = {**_header_cells(image), **{name: cell for name, cell in line.cells.items() if cell}}
        label = of_exam.get(_key_of(image, labels.key))
        if label is None or (of_breasts and not line.cells[labels.column]):
            empty.add(line.number)
            continue
        if not cells["patient"]:
            no_patient.append(image.path)
            continue
        if labels.by_breast:
            cells["breast_label"] = line.cells["label"]
        cells |= {"path": str(image.path), "label": label.value}
        rows.append(build_row(cells, labels.table.path.parent, line.number))
    complaints = _other_patients(rows) or list(contradictions(labels.table.path, rows))
    if complaints:
        raise ManifestError(complaints)
    used = {line.number for _, line in matched}
    return Joined(
        rows=tuple(rows),
        unused_lines=tuple(line.number for line in labels.lines.values() if line.number not in used),
        empty_lines=tuple(sorted(empty)),
        unlabeled=tuple(image.path for image, line in lines if line is None),
        no_patient=tuple(no_patient),
    )


def _line_of(image: ScannedImage, labels: Labels) -> Line | None:
    key = _key_of(image, labels.key)
    side, view = image.laterality.value, image.view.value
    for narrowed in ((side, view), (side, ""), ("", view), ("", "")):
        line = labels.lines.get((key, *narrowed))
        if line is not None:
            return line
    return None


def _key_of(image: ScannedImage, key: str) -> str:
    return str(getattr(image, key))


def _check_one_exam(matched: Iterable[tuple[ScannedImage, Line]], labels: Labels) -> None:
    exams: dict[str, set[str]] = defaultdict(set)
    first: dict[str, int] = {}
    for image, line in matched:
        exams[image.patient].add(image.exam)
        first.setdefault(image.patient, line.number)
    complaints = [
        f"{labels.table.path}: line {first[patient]}, column patient: has {len(found)} exams in the folder, "
        "expected one: label by exam or accession"
        for patient, found in exams.items()
        if len(found) > 1
    ]
    if complaints:
        raise ManifestError(complaints)


def _other_patients(rows: Iterable[ImageRow]) -> list[str]:
    """Complaints about exams whose images name several patients."""
    first: dict[str, ImageRow] = {}
    return [
        f"{row.path}: another patient than in {one.path} of the same exam, expected one"
        for row in rows
        if (one := first.setdefault(row.exam, row)).patient != row.patient
    ]


def _exam_labels(labels: Labels) -> dict[str, Label | None]:
    """Label of each exam (of each file, where files are labeled); None where no line gives one.

    Raises:
        ManifestError: Lines of one exam give it several.
    """
    told: dict[str, dict[Label, int]] = defaultdict(dict)
    complaints = []
    for (key, _, _), line in labels.lines.items():
        cell = line.cells[labels.column]
        found = told[key]
        if cell:
            found.setdefault(Label(cell), line.number)
        if labels.column == "label" and not labels.by_breast and len(found) > 1:
            (first, number), *_ = found.items()
            complaints.append(
                f"{labels.table.path}: line {line.number}, column label: found {cell}, but {first} in line "
                f"{number} of the same exam; labels of breasts are in breast_label"
            )
    if complaints:
        raise ManifestError(complaints)
    return {
        key: next((label for label in _WORST_FIRST if label in found), None) for key, found in told.items()
    }


def _header_cells(image: ScannedImage) -> dict[str, str]:
    return {
        "exam": image.exam,
        "patient": image.patient,
        "laterality": image.laterality.value,
        "view": image.view.value,
        "manufacturer": image.manufacturer,
        "model": image.model,
        "software": image.software,
        "age": "" if image.age is None else str(image.age),
        "implant": {True: "yes", False: "no", None: ""}[image.implant],
        "accession": image.accession,
    }

"""A table of labels to be filled in, for the exams of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dibmg.data.scan import ScannedImage
from dibmg.data.table import write_table

_FROM_HEADERS: Final = ("exam", "accession", "patient", "study_date", "laterality", "implant")
_TO_FILL: Final = (
    "label",
    "density",
    "birads",
    "years_followed",
    "pathology_proven",
    "cancer_type",
    "features",
    "size_mm",
    "surgery",
    "clip",
)


def write_template(images: Sequence[ScannedImage], path: Path) -> int:
    """Write a table of labels with one row for each breast of each exam; returns their number."""
    breasts = {(image.exam, image.laterality): image for image in reversed(images)}
    rows = [
        {
            "exam": image.exam,
            "accession": image.accession,
            "patient": image.patient,
            "study_date": image.study_date,
            "laterality": image.laterality.value,
            "implant": {True: "yes", False: "no", None: ""}[image.implant],
        }
        for _, image in sorted(breasts.items())
    ]
    write_table([*_FROM_HEADERS, *_TO_FILL], rows, path)
    return len(rows)

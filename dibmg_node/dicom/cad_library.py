"""The Image Library of a CAD report: which images it speaks of, and what is known of each.

Source: TID 4020 CAD Image Library Entry, PS3.16.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes
from dibmg_node.dicom.header import instance_of, numbers_of
from dibmg_node.dicom.sr_content import (
    CONTAINS,
    HAS_ACQUISITION_CONTEXT,
    HAS_CONCEPT_MODIFIER,
    Item,
    code,
    container,
    date,
    image,
    number,
    sop_reference,
    text,
    time,
)
from dibmg_node.domain.study import STANDARD_VIEWS, Instance

_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")


def is_image(header: Dataset) -> bool:
    """Whether an instance has pixels, and a series to refer to it by.

    Reports and presentation states have no place in the library.
    """
    return all(header.get(name) for name in ("Rows", "Columns", "SeriesInstanceUID"))


def in_reading_order(headers: Iterable[FileDataset]) -> list[FileDataset]:
    """Standard views in the order of every output, then other images by SOP Instance UID."""

    def key(header: FileDataset) -> tuple[int, str]:
        view = instance_of(header).view_key
        place = STANDARD_VIEWS.index(view) if view in STANDARD_VIEWS else len(STANDARD_VIEWS)
        return place, str(header.SOPInstanceUID)

    return sorted(headers, key=key)


def library_entry(header: FileDataset) -> Item:
    """TID 4020: one image with what its header says of it; what it does not say is left out."""
    instance = instance_of(header)
    context: list[Item] = []
    if instance.laterality is not None:
        laterality = codes.LATERALITIES[instance.laterality]
        context.append(code(HAS_ACQUISITION_CONTEXT, codes.IMAGE_LATERALITY, laterality))
    context.extend(projection(instance))
    context.extend(moments(header))
    context.extend(numbers(header))
    return image(CONTAINS, instance.sop_class_uid, instance.sop_uid, context)


def image_library(entries: Sequence[Item]) -> Item:
    """TID 4000 rows 3 and 4."""
    return container(CONTAINS, codes.IMAGE_LIBRARY, entries)


def evidence(headers: Iterable[FileDataset]) -> DicomSequence:
    """Current Requested Procedure Evidence Sequence: every image of the library, by study and series.

    Source: PS3.3 C.17.2.3.
    """
    return referenced_instances(
        (
            str(header.StudyInstanceUID),
            str(header.SeriesInstanceUID),
            str(header.SOPClassUID),
            str(header.SOPInstanceUID),
        )
        for header in headers
    )


def referenced_instances(references: Iterable[tuple[str, str, str, str]]) -> DicomSequence:
    """Hierarchical SOP Instance Reference Macro, sorted by UID.

    Args:
        references: (study UID, series UID, SOP class UID, SOP Instance UID).

    Source: PS3.3 table C.17-3.
    """
    studies: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for study_uid, series_uid, sop_class_uid, sop_uid in sorted(references):
        studies[study_uid][series_uid].append((sop_class_uid, sop_uid))
    return DicomSequence([_study(study_uid, series) for study_uid, series in studies.items()])


def projection(instance: Instance) -> Iterable[Item]:
    """View and orientation, as far as the header tells them."""
    if instance.view is not None:
        modifiers = [
            code(HAS_CONCEPT_MODIFIER, codes.IMAGE_VIEW_MODIFIER, codes.MODIFIERS[modifier])
            for modifier in instance.modifiers
            if modifier in codes.MODIFIERS
        ]
        yield code(HAS_ACQUISITION_CONTEXT, codes.IMAGE_VIEW, codes.VIEWS[instance.view], modifiers)
    if len(instance.orientation) == 2 and all(instance.orientation):
        row, column = instance.orientation
        yield text(HAS_ACQUISITION_CONTEXT, codes.ORIENTATION_ROW, row)
        yield text(HAS_ACQUISITION_CONTEXT, codes.ORIENTATION_COLUMN, column)


def moments(header: Dataset) -> Iterable[Item]:
    """When the study and the image were made."""
    for keyword, day, hour in (
        ("Study", codes.STUDY_DATE, codes.STUDY_TIME),
        ("Content", codes.CONTENT_DATE, codes.CONTENT_TIME),
    ):
        value_da, value_tm = str(header.get(f"{keyword}Date", "")), str(header.get(f"{keyword}Time", ""))
        if _DATE.fullmatch(value_da):
            yield date(HAS_ACQUISITION_CONTEXT, day, value_da)
        if _TIME.fullmatch(value_tm):
            yield time(HAS_ACQUISITION_CONTEXT, hour, value_tm)


def numbers(header: Dataset) -> Iterable[Item]:
    """Spacing, angles and size."""
    spacing = numbers_of(header, "ImagerPixelSpacing") or numbers_of(header, "PixelSpacing")
    if len(spacing) == 2:
        vertical, horizontal = spacing
        yield number(HAS_ACQUISITION_CONTEXT, codes.HORIZONTAL_SPACING, horizontal, codes.MILLIMETER)
        yield number(HAS_ACQUISITION_CONTEXT, codes.VERTICAL_SPACING, vertical, codes.MILLIMETER)
    for keyword, concept in (
        ("PositionerPrimaryAngle", codes.PRIMARY_ANGLE),
        ("PositionerSecondaryAngle", codes.SECONDARY_ANGLE),
    ):
        for angle in numbers_of(header, keyword)[:1]:
            yield number(HAS_ACQUISITION_CONTEXT, concept, angle, codes.DEGREE)
    for keyword, concept in (("Rows", codes.ROWS), ("Columns", codes.COLUMNS)):
        for count in numbers_of(header, keyword)[:1]:
            yield number(HAS_ACQUISITION_CONTEXT, concept, count, codes.PIXELS)


def _study(study_uid: str, series: Mapping[str, list[tuple[str, str]]]) -> Dataset:
    study = Dataset()
    study.ReferencedSeriesSequence = DicomSequence()
    for series_uid, instances in series.items():
        item = Dataset()
        item.ReferencedSOPSequence = DicomSequence([sop_reference(*instance) for instance in instances])
        item.SeriesInstanceUID = series_uid
        study.ReferencedSeriesSequence.append(item)
    study.StudyInstanceUID = study_uid
    return study

"""A result that takes an earlier one back: in its series, for its patient, and without what it said.

DICOM lets no one delete what a PACS has. A report has a place to name the one that it replaces; an overlay
and a presentation state have none, and say in words what no longer holds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes, colors
from dibmg_node.dicom.algorithm import Algorithm
from dibmg_node.dicom.cad_impression import withdrawn_impression
from dibmg_node.dicom.caption import RESEARCH_ONLY, Line, caption_panel
from dibmg_node.dicom.identity import withdrawal_uid
from dibmg_node.dicom.presentation import WORDS, words_over
from dibmg_node.dicom.result_header import date_and_time
from dibmg_node.dicom.sr_content import CONTAINS, HAS_PROPERTIES, Item, code, container, content, text
from dibmg_node.dicom.sr_document import document_reference
from dibmg_node.domain.result import Predecessor, ResultKind

WITHDRAWN: Final = "WITHDRAWN"
_PER_IMAGE: Final = ("DisplayedAreaSelectionSequence", "SoftcopyVOILUTSequence")
_FOUND: Final = frozenset(
    one.value
    for one in (
        codes.FINDINGS_SUMMARY,
        codes.SUMMARY_OF_DETECTIONS,
        codes.SUMMARY_OF_ANALYSES,
        codes.IMAGING_MEASUREMENTS,
        codes.QUALITATIVE_EVALUATIONS,
    )
)
"""Items under the heading of a report that hold what was found."""
_LONGEST_DESCRIPTION: Final = 1024
_TEXT_SHARE: Final = 40
"""The picture has room for so many lines of text."""


def withdrawal(
    earlier: FileDataset,
    predecessor: Predecessor,
    kind: ResultKind,
    reason: str,
    now: datetime,
    lost: Collection[str] = (),
) -> Dataset:
    """A result of the same kind and series that says of an earlier one that it no longer holds.

    Args:
        earlier: The earlier result as it was sent. It alone is needed: the images may be damaged or gone.
        predecessor: What the earlier result is for who refers to it.
        kind: Of both.
        reason: Why it no longer holds, in words.
        now: Time of the analysis that found so.
        lost: SOP Instance UIDs of the images that a presentation state no longer holds for; empty: of all.
    """
    taken_back = Dataset()
    for element in earlier:  # decoded here: their character set is that of the earlier result
        taken_back.add(element)
    taken_back.SOPInstanceUID = withdrawal_uid(str(earlier.SOPInstanceUID), reason, lost)
    moments = ("PresentationCreation",) if kind is ResultKind.PRESENTATION else ("Content",)
    for name in ("InstanceCreation", "Series", *moments):
        date, time = date_and_time(earlier, now)
        setattr(taken_back, f"{name}Date", date)
        setattr(taken_back, f"{name}Time", time)
    _DESCRIBE[kind](taken_back, predecessor, withdrawn_impression(reason), lost)
    return taken_back


def _describe_cad_report(report: Dataset, predecessor: Predecessor, words: str, _: Collection[str]) -> None:
    """TID 4000 with its images, of which nothing is said."""
    algorithm = Algorithm.of(None, None).rows(HAS_PROPERTIES)
    impression = [text(HAS_PROPERTIES, codes.IMPRESSION_DESCRIPTION, words), *algorithm]
    _retell(
        report,
        predecessor,
        code(CONTAINS, codes.FINDINGS_SUMMARY, codes.NONE_SUCCEEDED, impression),
        code(CONTAINS, codes.SUMMARY_OF_DETECTIONS, codes.NOT_ATTEMPTED),
        code(CONTAINS, codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED),
    )


def _describe_measurements(report: Dataset, predecessor: Predecessor, words: str, _: Collection[str]) -> None:
    """TID 1500 without any measurement."""
    impression = text(CONTAINS, codes.IMPRESSION, words)
    _retell(report, predecessor, container(CONTAINS, codes.QUALITATIVE_EVALUATIONS, [impression]))


def _describe_overlay(image: Dataset, predecessor: Predecessor, words: str, _: Collection[str]) -> None:
    """Words on black, on the grid of the picture that no longer holds. Source: PS3.3 A.8.1."""
    told = f"Withdraws SOP Instance {predecessor.sop_uid}. {words}"
    image.DerivationDescription = told[:_LONGEST_DESCRIPTION]
    rows, columns = int(image.Rows), int(image.Columns)
    picture = np.zeros((rows, columns, 3), np.uint8)
    lines = [Line(RESEARCH_ONLY, colors.WARNING), Line(WITHDRAWN, colors.WARNING, is_title=True)]
    lines += [Line(line) for line in words.splitlines()]
    panel = caption_panel(lines, max(1, max(rows, columns) // _TEXT_SHARE), columns)
    if panel is not None:
        part = panel[:rows, :columns]
        picture[: part.shape[0], : part.shape[1]] = part
    raw = picture.tobytes()
    image.PixelData = raw + b"\0" * (len(raw) % 2)
    image["PixelData"].VR = "OB"


def _describe_state(state: Dataset, _: Predecessor, words: str, lost: Collection[str]) -> None:
    """The same images, windows and areas, with words over each and no outline. Source: PS3.3 A.33.1."""
    state.ContentDescription = "Withdrawn: earlier outlines no longer hold"
    if lost:
        for series in state.ReferencedSeriesSequence:
            series.ReferencedImageSequence = _named(series.ReferencedImageSequence, lost)
        state.ReferencedSeriesSequence = DicomSequence(
            [series for series in state.ReferencedSeriesSequence if series.ReferencedImageSequence]
        )
        for name in _PER_IMAGE:
            kept = [one for one in state[name].value if _named(one.ReferencedImageSequence, lost)]
            state[name].value = DicomSequence(kept)
    state.GraphicLayerSequence = DicomSequence(
        [layer for layer in state.GraphicLayerSequence if layer.GraphicLayer == WORDS]
    )
    lines = [RESEARCH_ONLY, WITHDRAWN, *words.splitlines()]
    state.GraphicAnnotationSequence = DicomSequence(
        [
            words_over(area.ReferencedImageSequence, lines, at_left=True)
            for area in state.DisplayedAreaSelectionSequence
        ]
    )


def _retell(report: Dataset, predecessor: Predecessor, *items: Item) -> None:
    """Keep of a report what it is and which images it speaks of, and say other things of them."""
    kept = [item for item in report.ContentSequence if _concept(item) not in _FOUND]
    root = container("", codes.CAD_REPORT, items)  # its heading goes nowhere
    report.ContentSequence = DicomSequence([*kept, *content(root).ContentSequence])
    report.PredecessorDocumentsSequence = document_reference(str(report.StudyInstanceUID), predecessor)


def _concept(item: Dataset) -> str:
    """Code value of what an item is; empty where it is nameless."""
    return next((str(one.CodeValue) for one in item.get("ConceptNameCodeSequence") or ()), "")


def _named(references: Iterable[Dataset], sop_uids: Collection[str]) -> DicomSequence:
    """Those references that name one of some instances."""
    return DicomSequence([one for one in references if str(one.ReferencedSOPInstanceUID) in sop_uids])


_DESCRIBE: Final[Mapping[ResultKind, Callable[[Dataset, Predecessor, str, Collection[str]], None]]] = (
    MappingProxyType(
        {
            ResultKind.CAD_SR: _describe_cad_report,
            ResultKind.MEASUREMENT_SR: _describe_measurements,
            ResultKind.OVERLAY: _describe_overlay,
            ResultKind.PRESENTATION: _describe_state,
        }
    )
)

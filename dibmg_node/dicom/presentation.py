"""Presentation states: outlines over the mammograms themselves, for viewers that apply them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import facts
from dibmg_node.dicom.caption import caption_lines
from dibmg_node.dicom.identity import Origin, result_uid, tracking_identifier, tracking_uid
from dibmg_node.dicom.result_header import result_header
from dibmg_node.dicom.softcopy import Grayscale, describe_grayscale, grayscale_of, window_of
from dibmg_node.dicom.spacing import spacing_of
from dibmg_node.dicom.sr_content import decimal, sop_reference
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.result import ExamResult, Finding, ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality, ViewKey

OUTLINES: Final = "DIBMG OUTLINES"
WORDS: Final = "DIBMG WORDS"
_LAYERS: Final = (
    (OUTLINES, "Outlines of suspicious regions"),
    (WORDS, "Scores and what they are worth"),
)
_CYAN: Final = (54128, 24064, 25965)
"""L*, a*, b* of the outlines of overlays as PCS-Values. Source: PS3.3 C.10.7.1.1."""
_LONGEST_TEXT: Final = 1024


def presentation_states(
    images: Mapping[ViewKey, FileDataset],
    mammograms: Mapping[ViewKey, Mammogram],
    result: ExamResult,
    now: datetime,
) -> list[Dataset]:
    """Grayscale Softcopy Presentation States: the outlines and scores of an exam, over its own windows.

    One state for the exam. Where its images differ in polarity or in their modality LUT there is one for
    each kind, since a state has one Presentation LUT and one Modality LUT for all of its images.

    Args:
        images: Header of each image that the model read.
        mammograms: Each decoded, with its window.
        result: What the model says.
        now: Time of the analysis.

    Raises:
        ValueError: A view that was read has no header or no mammogram, or a finding lies on another image.

    Source: A.33.1, PS3.3.
    """
    if not set(images) == set(mammograms) == set(result.scores.views):
        raise ValueError("expected a header and a mammogram of each view that was read, and of no other")
    for one in result.findings:
        if one.sop_uid != str(images[one.view].SOPInstanceUID):
            raise ValueError(f"a finding of {one.view} lies on image {one.sop_uid}, which was not read")
    kinds: dict[Grayscale, list[ViewKey]] = defaultdict(list)
    for view in sorted(images, key=_place):
        kinds[grayscale_of(images[view], mammograms[view])].append(view)
    origin = Origin(
        study_uid=result.study_uid,
        source_uids=tuple(str(header.SOPInstanceUID) for header in images.values()),
        model=result.model,
        operating_point=result.operating_point,
    )
    return [
        _state(number, grayscale, {view: images[view] for view in views}, mammograms, result, origin, now)
        for number, (grayscale, views) in enumerate(kinds.items(), start=1)
    ]


def images_of(state: Dataset) -> frozenset[str]:
    """SOP Instance UIDs of the images that a state is for."""
    return frozenset(
        str(image.ReferencedSOPInstanceUID)
        for series in state.ReferencedSeriesSequence
        for image in series.ReferencedImageSequence
    )


def _place(view: ViewKey) -> tuple[int, str]:
    return (STANDARD_VIEWS.index(view) if view in STANDARD_VIEWS else len(STANDARD_VIEWS)), str(view)


def _state(
    number: int,
    grayscale: Grayscale,
    images: Mapping[ViewKey, FileDataset],
    mammograms: Mapping[ViewKey, Mammogram],
    result: ExamResult,
    origin: Origin,
    now: datetime,
) -> Dataset:
    kind = ResultKind.PRESENTATION
    sop_uid = result_uid(origin, kind, str(number))
    source = next(iter(images.values()))
    state = result_header(source, origin, kind, facts.GRAYSCALE_PRESENTATION_STATE, sop_uid, now)
    _identify(state, number)
    sides = {view.laterality for view in images}
    # type 2C for paired organs: known where all images are of one side
    state.Laterality = next(iter(sides)).value if len(sides) == 1 else ""
    state.ReferencedSeriesSequence = _series(images.values())
    describe_grayscale(state, grayscale)
    state.DisplayedAreaSelectionSequence = DicomSequence([_area(one) for one in images.values()])
    state.SoftcopyVOILUTSequence = DicomSequence(
        [_window(header, mammograms[view]) for view, header in images.items()]
    )
    state.GraphicLayerSequence = DicomSequence(
        [_layer(order, *layer) for order, layer in enumerate(_LAYERS, start=1)]
    )
    annotations = []
    for view, header in images.items():
        findings = [finding for finding in result.findings if finding.view == view]
        if findings:
            annotations.append(_outlines(header, findings, result))
        annotations.append(_words(header, view, result))
    state.GraphicAnnotationSequence = DicomSequence(annotations)
    return state


def _series(images: Iterable[FileDataset]) -> DicomSequence:
    """All images that the state is for, by series. Source: PS3.3 C.11.11."""
    series: dict[str, list[Dataset]] = defaultdict(list)
    for header in images:
        series[str(header.SeriesInstanceUID)] += _image(header)
    items = []
    for series_uid, references in series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedImageSequence = DicomSequence(references)
        items.append(item)
    return DicomSequence(items)


def _identify(state: Dataset, number: int) -> None:
    """Presentation Series and Presentation State Identification. Source: PS3.3 C.11.9, C.11.10."""
    state.Modality = "PR"
    state.InstanceNumber = str(number)
    state.ContentLabel = "DIBMG_OUTLINES"
    state.ContentDescription = "Outlines of suspicious regions - research only"
    state.ContentCreatorName = ""
    # the time of a state has names of its own
    state.PresentationCreationDate = state.pop("ContentDate").value
    state.PresentationCreationTime = state.pop("ContentTime").value


def _image(header: FileDataset) -> DicomSequence:
    return DicomSequence([sop_reference(str(header.SOPClassUID), str(header.SOPInstanceUID))])


def _area(header: FileDataset) -> Dataset:
    """The whole image, as large as fits; counted from 1. Source: PS3.3 C.10.4."""
    area = Dataset()
    area.ReferencedImageSequence = _image(header)
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [int(header.Columns), int(header.Rows)]
    area.PresentationSizeMode = "SCALE TO FIT"
    spacing = spacing_of(header)
    if spacing is None:
        area.PresentationPixelAspectRatio = [1, 1]
    else:
        area.PresentationPixelSpacing = [decimal(spacing.row_mm), decimal(spacing.column_mm)]
    return area


def _window(header: FileDataset, mammogram: Mammogram) -> Dataset:
    """Source: PS3.3 C.11.8."""
    item = window_of(header, mammogram)
    item.ReferencedImageSequence = _image(header)
    return item


def _layer(order: int, name: str, description: str) -> Dataset:
    """Source: PS3.3 C.10.7."""
    layer = Dataset()
    layer.GraphicLayer = name
    layer.GraphicLayerOrder = str(order)
    layer.GraphicLayerDescription = description
    layer.GraphicLayerRecommendedDisplayCIELabValue = list(_CYAN)
    return layer


def _outlines(header: FileDataset, findings: Sequence[Finding], result: ExamResult) -> Dataset:
    """Closed outlines, each with its number; places as in the reports. Source: PS3.3 C.10.5."""
    annotation = Dataset()
    annotation.ReferencedImageSequence = _image(header)
    annotation.GraphicLayer = OUTLINES
    annotation.TextObjectSequence = DicomSequence()
    annotation.GraphicObjectSequence = DicomSequence()
    for finding in findings:
        outline = Dataset()
        outline.GraphicAnnotationUnits = "PIXEL"
        outline.GraphicDimensions = 2
        outline.NumberOfGraphicPoints = len(finding.outline)
        outline.GraphicData = [float(coordinate) for point in finding.outline for coordinate in point]
        outline.GraphicType = "POLYLINE"
        outline.GraphicFilled = "N"
        outline.TrackingID = tracking_identifier(finding)
        outline.TrackingUID = tracking_uid(finding, result.model, result.operating_point)
        annotation.GraphicObjectSequence.append(outline)
        label = Dataset()
        label.AnchorPointAnnotationUnits = "PIXEL"
        label.UnformattedTextValue = f"{finding.number}: {finding.score:.3f}"
        label.AnchorPoint = [max(column for column, _ in finding.outline), finding.center[1]]
        label.AnchorPointVisibility = "N"
        annotation.TextObjectSequence.append(label)
    return annotation


def _words(header: FileDataset, view: ViewKey, result: ExamResult) -> Dataset:
    """What an overlay has burned in, at the side of the air."""
    lines = [line.words for line in caption_lines(result, view, has_heat=False)]
    return words_over(_image(header), lines, at_left=view.laterality is Laterality.RIGHT)


def words_over(images: DicomSequence, lines: Sequence[str], *, at_left: bool) -> Dataset:
    """Words at a corner of the display of some images. Source: PS3.3 C.10.5."""
    annotation = Dataset()
    annotation.ReferencedImageSequence = images
    annotation.GraphicLayer = WORDS
    words = Dataset()
    words.BoundingBoxAnnotationUnits = "DISPLAY"
    words.UnformattedTextValue = "\r\n".join(lines)[:_LONGEST_TEXT]
    words.BoundingBoxTopLeftHandCorner = [0.02, 0.02]
    words.BoundingBoxBottomRightHandCorner = [0.98, 0.3]
    words.BoundingBoxTextHorizontalJustification = "LEFT" if at_left else "RIGHT"
    annotation.TextObjectSequence = DicomSequence([words])
    return annotation

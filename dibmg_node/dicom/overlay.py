"""An overlay as a Secondary Capture Image, one per view."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from dibmg_node.dicom import codes, facts
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.identity import Origin, result_uid
from dibmg_node.dicom.result_header import copy_attributes, plain_text, result_header
from dibmg_node.dicom.spacing import describe_calibration, spacing_of
from dibmg_node.dicom.sr_content import code_sequence, decimal, sop_reference
from dibmg_node.domain.result import ExamResult, OverlayStyle, ResultKind
from dibmg_node.domain.study import STANDARD_VIEWS, Instance, ViewKey

_LOSSY: Final = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
_DERIVATIONS: Final = {
    OverlayStyle.COLOR: "heatmap in color over the windowed mammogram",
    OverlayStyle.CONTOUR: "outlines over the windowed mammogram",
    OverlayStyle.SIDE_BY_SIDE: (
        "left half the windowed mammogram, right half the same with heatmap and outlines; spacing holds "
        "within each half, not across; each half"
    ),
}


def overlay(
    header: FileDataset,
    pixels: NDArray[np.uint8],
    view: ViewKey,
    result: ExamResult,
    source_uids: Collection[str],
    now: datetime,
    *,
    style: OverlayStyle = OverlayStyle.COLOR,
) -> Dataset:
    """A Secondary Capture Image with native RGB pixels.

    Args:
        header: Header of the image under the overlay.
        pixels: uint8 (rows, columns, 3), what `render_overlay` drew; the size of each of its panels
            against the header's gives the Pixel Spacing.
        view: The view that the exam has this image for.
        result: What the overlay shows.
        source_uids: SOP Instance UIDs of all images of the exam: the burned-in exam score is theirs.
        now: Time of the analysis.
        style: How it was drawn.

    Raises:
        ValueError: `pixels` is not uint8 (rows, columns, 3), or its panels are not equally wide.

    Source: A.8.1, PS3.3.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 (rows, columns, 3), found {pixels.dtype} {pixels.shape}")
    rows, columns, _ = pixels.shape
    if columns % style.panels:
        raise ValueError(f"{columns} columns cannot be {style.panels} panels of one width")
    origin = Origin(result.study_uid, tuple(source_uids), result.model, result.operating_point)
    sop_uid = result_uid(origin, ResultKind.OVERLAY, f"{style.value} {rows}x{columns}", view)
    image = result_header(header, origin, ResultKind.OVERLAY, facts.SECONDARY_CAPTURE, sop_uid, now)
    instance = instance_of(header)
    _describe(image, header, instance, view)
    model = result.model
    # in words: below the view's code of a Secondary Capture, dciodvfy takes modifiers for content items
    modified = f"; view modifier {', '.join(instance.modifiers)}" if instance.modifiers else ""
    shape = (rows, columns // style.panels)
    image.DerivationDescription = plain_text(
        f"{facts.ALGORITHM_NAME} {model.name} {model.version} (weights {model.sha256[:16]}): "
        f"{_DERIVATIONS[style]}, {instance.rows}x{instance.columns} to {shape[0]}x{shape[1]} "
        f"pixels; operating point {result.operating_point.label} {result.operating_point.threshold:.3f}"
        f"{modified}"
    )
    _space(image, header, instance, shape)
    image.SamplesPerPixel = 3
    image.PhotometricInterpretation = "RGB"
    image.PlanarConfiguration = 0
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelRepresentation = 0
    raw = np.ascontiguousarray(pixels).tobytes()
    image.PixelData = raw + b"\0" * (len(raw) % 2)
    image["PixelData"].VR = "OB"
    return image


def _describe(image: Dataset, header: FileDataset, instance: Instance, view: ViewKey) -> None:
    """General Series, General Image, SC Equipment. Source: PS3.3 C.7.3.1, C.7.6.1, C.8.6.1."""
    # MG would make hanging protocols take the overlay for a mammogram.
    image.Modality = "OT"
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    number = STANDARD_VIEWS.index(view) if view in STANDARD_VIEWS else len(STANDARD_VIEWS)
    image.InstanceNumber = str(number + 1)
    image.BodyPartExamined = "BREAST"
    image.ImageLaterality = view.laterality.value
    image.PatientOrientation = list(instance.orientation) if len(instance.orientation) == 2 else ""
    image.AnatomicRegionSequence = code_sequence(codes.BREAST)
    image.ViewCodeSequence = code_sequence(codes.VIEWS[view.view])
    image.BurnedInAnnotation = "YES"
    image.RecognizableVisualFeatures = "NO"
    image.LossyImageCompression = "01" if instance.lossy else "00"
    if instance.lossy:
        method = facts.LOSSY_METHODS.get(instance.transfer_syntax_uid)
        if method is not None:
            image.LossyImageCompressionMethod = method
        copy_attributes(header, image, _LOSSY)
    source = sop_reference(instance.sop_class_uid, instance.sop_uid)
    source.PurposeOfReferenceCodeSequence = code_sequence(codes.SOURCE_IMAGE)
    image.SourceImageSequence = DicomSequence([source])


def _space(image: Dataset, header: FileDataset, instance: Instance, shape: tuple[int, int]) -> None:
    """Pixel Spacing in the breast, scaled to the grid of a panel; none where the header has none."""
    spacing = spacing_of(header)
    if spacing is None or not instance.rows or not instance.columns:
        return
    describe_calibration(image, header, spacing)
    rows, columns = shape
    image.PixelSpacing = [
        decimal(spacing.row_mm * instance.rows / rows),
        decimal(spacing.column_mm * instance.columns / columns),
    ]

"""Pixel spacing of a mammogram in the plane of the breast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom.header import instance_of, numbers_of
from dibmg_node.dicom.result_header import copy_attributes

_CALIBRATION: Final = ("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription")


@dataclass(frozen=True)
class Spacing:
    """Distance of the pixels of a mammogram in the breast.

    Attributes:
        row_mm: From one row to the next.
        column_mm: From one column to the next.
        is_imager: Derived from Imager Pixel Spacing; else the header states Pixel Spacing itself.
        is_corrected: Divided by the magnification that the header estimates.
    """

    row_mm: float
    column_mm: float
    is_imager: bool
    is_corrected: bool


def spacing_of(header: FileDataset) -> Spacing | None:
    """The spacing that the header tells; None where it tells none.

    Viewers correct a mammogram's Imager Pixel Spacing for magnification themselves, but not that of
    another image. Source: PS3.3 10.7.1.3.
    """
    imager = _two_of(header, "ImagerPixelSpacing")
    values = imager or _two_of(header, "PixelSpacing")
    if not values:
        return None
    magnification = instance_of(header).magnification
    if imager and magnification is not None and magnification > 0:
        return Spacing(values[0] / magnification, values[1] / magnification, True, True)
    return Spacing(values[0], values[1], bool(imager), False)


def _two_of(header: FileDataset, name: str) -> tuple[float, ...]:
    """Distances of rows and of columns; empty where one is missing, or none."""
    values = numbers_of(header, name)
    return values if len(values) == 2 and min(values) > 0 else ()


def describe_calibration(image: Dataset, header: FileDataset, spacing: Spacing) -> None:
    """Say on a derived image how its Pixel Spacing came about. Source: PS3.3 10.7.1."""
    if spacing.is_corrected:
        image.PixelSpacingCalibrationType = "GEOMETRY"
        image.PixelSpacingCalibrationDescription = "Imager spacing / est. magnification"
    elif not spacing.is_imager:
        copy_attributes(header, image, _CALIBRATION)

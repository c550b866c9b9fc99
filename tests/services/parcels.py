"""Results on their way: an overlay and a report, small but whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.services.delivery import Parcel
from tests.factories import CANARY

OVERLAY, REPORT = "2.25.10", "2.25.11"
PIXELS = (np.arange(20 * 30 * 3) % 251).astype(np.uint8)


def capture(uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = facts.SECONDARY_CAPTURE, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.PatientName, dataset.PatientID = CANARY, "P1"
    dataset.Modality = "OT"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows, dataset.Columns = 20, 30
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.add_new("PixelData", "OB", PIXELS.tobytes())
    return dataset


def report(uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = facts.MAMMOGRAPHY_CAD_SR, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    dataset.PatientName, dataset.Modality = CANARY, "SR"
    return dataset


def make_parcels() -> list[Parcel]:
    """An overlay in RLE and a report."""
    return _parcels([OVERLAY])


def make_parcels_of(overlays: int) -> list[Parcel]:
    """Overlays 2.25.10.0, 2.25.10.1 and so on in RLE, and a report after them."""
    return _parcels([f"{OVERLAY}.{number}" for number in range(overlays)])


def _parcels(overlays: Sequence[str]) -> list[Parcel]:
    made = []
    for dataset, syntax in [
        *((capture(uid), facts.RLE_LOSSLESS) for uid in overlays),
        (report(REPORT), facts.EXPLICIT_LE),
    ]:
        uid, sop_class = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID)
        made.append(Parcel(uid, sop_class, syntax, encode(dataset, syntax), dataset.Modality == "SR"))
    return made

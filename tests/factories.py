"""Fixed test data: instances, mammograms with real pixels in any transfer syntax, exams, ledgers, clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.dicom.resizing import resize
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.image import Heatmap, Mammogram
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import (
    ExamResult,
    Finding,
    ModelIdentity,
    OperatingPoint,
    Result,
    ResultKind,
    Scores,
)
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    Exclusion,
    ImageKind,
    Instance,
    Laterality,
    Verdict,
    View,
    ViewKey,
)
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.receipts import Patience, Received

START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
STUDY_UID = "1.2.826.0.1.3680043.10.9.1"
CANARY = "Kanarienvogel^Erika"
"""A patient's name that must appear in no log."""

R_CC, L_CC, R_MLO, L_MLO = STANDARD_VIEWS
PATIENCE = Patience(quiet=timedelta(seconds=60), longest=timedelta(seconds=300))
LEASE = timedelta(seconds=20)

_VIEW_CODES = {view: (code, meaning) for code, (view, _, meaning) in facts.VIEW_CODES.items()}
_JPEG_LOSSLESS = (facts.JPEG_LOSSLESS_P14, facts.JPEG_LOSSLESS_SV1)
_JPEG_LS = (facts.JPEG_LS_LOSSLESS, facts.JPEG_LS_NEAR_LOSSLESS)
_JPEG_2000 = (facts.JPEG_2000_LOSSLESS, facts.JPEG_2000)
_HTJ2K = (facts.HTJ2K_LOSSLESS, facts.HTJ2K_LOSSLESS_RPCL, facts.HTJ2K)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


def sop_uid(view: ViewKey, study_uid: str = STUDY_UID, number: int = 0) -> str:
    """SOP Instance UID of the factory's image of a standard view; `number` tells retakes apart."""
    return f"{study_uid}.{number}.{STANDARD_VIEWS.index(view) + 1}"


def instance(view: ViewKey = R_CC, /, **changes: Any) -> Instance:
    """Facts of an ordinary mammogram."""
    facts_of_it = Instance(
        sop_uid=sop_uid(view) if view in STANDARD_VIEWS else f"{STUDY_UID}.99",
        sop_class_uid=facts.MG_FOR_PRESENTATION,
        study_uid=STUDY_UID,
        series_uid=f"{STUDY_UID}.100",
        transfer_syntax_uid=facts.EXPLICIT_LE,
        kind=ImageKind.FOR_PRESENTATION,
        modality="MG",
        presentation_intent="FOR PRESENTATION",
        laterality=view.laterality,
        view=view.view,
        image_type=("ORIGINAL", "PRIMARY", ""),
        acquired_at="20260303101112",
        acquired_on="20260303",
        instance_number=1,
        rows=96,
        columns=64,
        manufacturer="Maker",
    )
    return replace(facts_of_it, **changes)


def screening() -> list[Instance]:
    """The four standard views."""
    return [instance(view) for view in STANDARD_VIEWS]


def breast_pixels(view: ViewKey, rows: int = 96, columns: int = 64, bits: int = 12) -> NDArray[np.uint16]:
    """A breast at the chest wall's side of the image, textured, on air; the same every time."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float64)
    from_wall = (columns - 1 - column) if view.laterality is Laterality.RIGHT else column
    inside = (from_wall / (0.7 * columns)) ** 2 + ((row - rows / 2) / (0.42 * rows)) ** 2 < 1
    texture = 0.55 + 0.2 * np.sin(row / 5.0) * np.cos(from_wall / 4.0)
    if view.view is View.MLO:
        texture += 0.15 * (from_wall < 0.2 * columns)
    noise = np.random.default_rng(rows * columns).random((rows, columns)) * 0.05
    values = np.where(inside, texture, 0.02) + noise
    top = (1 << bits) - 1
    return np.clip(values * top, 0, top).astype(np.uint16)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def mammogram(
    view: ViewKey = R_CC,
    *,
    study_uid: str = STUDY_UID,
    number: int = 0,
    transfer_syntax_uid: str = facts.EXPLICIT_LE,
    pixels: NDArray[Any] | None = None,
    bits: int = 12,
    **changes: object,
) -> FileDataset:
    """A Digital Mammography X-Ray Image For Presentation with pixels.

    Args:
        number: Tells images of one view apart (retakes).
        pixels: Stored values; None: `breast_pixels`.
        bits: Bits Stored.
        changes: Attributes to set after all others, by keyword; None deletes one.
    """
    if pixels is None:
        pixels = breast_pixels(view, bits=bits)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.SOPClassUID = facts.MG_FOR_PRESENTATION
    dataset.SOPInstanceUID = sop_uid(view, study_uid, number)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260303"
    dataset.StudyTime = dataset.SeriesTime = "101000"
    dataset.AcquisitionTime = dataset.ContentTime = f"1011{10 + number:02d}"
    dataset.AccessionNumber = "A123"
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = "Maker"
    dataset.InstitutionName = "Clinic"
    dataset.ReferringPhysicianName = "Referring^Physician"
    dataset.StudyDescription = "Mammography screening"
    dataset.ManufacturerModelName = "Unit 1"
    dataset.PatientName = CANARY
    dataset.PatientID = "P123"
    dataset.PatientBirthDate = "19600102"
    dataset.PatientSex = "F"
    dataset.PatientAge = "066Y"
    dataset.BodyPartExamined = "BREAST"
    dataset.DeviceSerialNumber = "42"
    dataset.SoftwareVersions = ["1.0", "2.0"]
    dataset.ImagerPixelSpacing = [0.1, 0.1]
    dataset.DistanceSourceToDetector = "660"
    dataset.DistanceSourceToPatient = "641"
    dataset.EstimatedRadiographicMagnificationFactor = "1.03"
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.PositionerPrimaryAngle = "0" if view.view is View.CC else "45"
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.100"
    dataset.StudyID = "S1"
    dataset.SeriesNumber = "1"
    dataset.InstanceNumber = str(STANDARD_VIEWS.index(view) + 1 if view in STANDARD_VIEWS else 9)
    dataset.PatientOrientation = list(facts.standard_orientation(*view) or ("P", "L"))
    dataset.ImageLaterality = view.laterality.value
    dataset.OrganExposed = "BREAST"
    dataset.DetectorType = "DIRECT"
    if view.view in _VIEW_CODES:
        value, meaning = _VIEW_CODES[view.view]
        item = code(value, "SCT", meaning)
        item.ViewModifierCodeSequence = DicomSequence()
        dataset.ViewCodeSequence = DicomSequence([item])
        dataset.ViewPosition = view.view.value if len(view.view.value) <= 4 else ""
    dataset.AnatomicRegionSequence = DicomSequence([code("76752008", "SCT", "Breast")])
    dataset.PartialView = "NO"
    dataset.BreastImplantPresent = "NO"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = str(1 << (bits - 1)), str(1 << bits)
    dataset.AcquisitionContextSequence = DicomSequence()
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    set_pixels(dataset, pixels, transfer_syntax_uid)
    for name, value in changes.items():
        if value is None:
            if name in dataset:
                delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", facts.MG_FOR_PRESENTATION)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    return FileDataset("", dataset, preamble=b"\0" * 128, file_meta=meta)


def set_pixels(dataset: Dataset, pixels: NDArray[Any], transfer_syntax_uid: str) -> None:
    """Put stored values into a data set as its transfer syntax wants them."""
    if transfer_syntax_uid in (facts.EXPLICIT_LE, facts.IMPLICIT_LE):
        raw = word_pixels(pixels, dataset.BitsAllocated, dataset.BitsStored).tobytes()
        dataset.add_new(
            "PixelData", "OB" if dataset.BitsAllocated == 8 else "OW", raw + b"\0" * (len(raw) % 2)
        )
        return
    frame = encode_frame(pixels, transfer_syntax_uid, dataset.BitsAllocated, dataset.BitsStored)
    dataset.add_new("PixelData", "OB", encapsulate([frame]))
    dataset["PixelData"].is_undefined_length = True


def word_pixels(pixels: NDArray[Any], allocated: int, stored: int) -> NDArray[Any]:
    """Stored values in allocated words: two's complement cut to the stored bits."""
    return (pixels.astype(np.int64) & ((1 << stored) - 1)).astype("u1" if allocated == 8 else "<u2")


def encode_frame(pixels: NDArray[Any], transfer_syntax_uid: str, allocated: int, stored: int) -> bytes:
    """One compressed frame, lossless but for JPEG Baseline."""
    words = word_pixels(pixels, allocated, stored)
    if transfer_syntax_uid == facts.RLE_LOSSLESS:
        return rle(words)
    if transfer_syntax_uid == facts.JPEG_BASELINE:
        return bytes(imagecodecs.jpeg8_encode(words.astype(np.uint8), level=95))
    if transfer_syntax_uid == facts.JPEG_EXTENDED:
        return bytes(imagecodecs.jpeg8_encode(words.astype(np.uint16), level=95, bitspersample=12))
    if transfer_syntax_uid in _JPEG_LOSSLESS:
        predictor = 1 if transfer_syntax_uid == facts.JPEG_LOSSLESS_SV1 else 6
        return bytes(
            imagecodecs.jpeg8_encode(words, lossless=True, predictor=predictor, bitspersample=stored)
        )
    if transfer_syntax_uid in _JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(words))
    # JPEG 2000 alone carries the sign in the codestream
    samples = pixels.astype(f"{pixels.dtype.kind}{allocated // 8}")
    if transfer_syntax_uid in _JPEG_2000:
        return bytes(
            imagecodecs.jpeg2k_encode(samples, codecformat="j2k", reversible=True, bitspersample=stored)
        )
    assert transfer_syntax_uid in _HTJ2K
    return bytes(imagecodecs.htj2k_encode(samples, reversible=True))


def rle(words: NDArray[Any]) -> bytes:
    """A DICOM RLE frame of literal runs: one segment a byte plane, most significant first."""
    planes = words.astype(words.dtype.newbyteorder(">")).view(np.uint8).reshape(words.size, -1).T
    segments = []
    for plane in planes:
        raw = plane.tobytes()
        runs = [raw[at : at + 128] for at in range(0, len(raw), 128)]
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [64 + sum(map(len, segments[:n])) for n in range(len(segments))]
    header = [len(segments), *offsets] + [0] * (15 - len(segments))
    return np.array(header, dtype="<u4").tobytes() + b"".join(segments)


def part10(dataset: Dataset) -> bytes:
    """A data set as a file, as `dcmwrite` makes it."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def data_set_bytes(dataset: FileDataset) -> bytes:
    """The bytes that a C-STORE carries: the data set without preamble and file meta information."""
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    content = file.getvalue()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def write_exam(
    folder: Path,
    study_uid: str = STUDY_UID,
    views: Sequence[ViewKey] = STANDARD_VIEWS,
    *,
    transfer_syntax_uid: str = facts.EXPLICIT_LE,
    number: int = 0,
    rows: int = 96,
    columns: int = 64,
    **changes: object,
) -> list[Path]:
    """Write one mammogram of each view as a Part 10 file, `R-CC.dcm` and so on.

    Args:
        folder: Made where it is missing.
        number: Of the retake; from 1 on it is in the file's name.
        changes: As for `mammogram`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for view in views:
        pixels = breast_pixels(view, rows, columns)
        dataset = mammogram(
            view,
            study_uid=study_uid,
            number=number,
            transfer_syntax_uid=transfer_syntax_uid,
            pixels=pixels,
            **changes,
        )
        path = folder / (f"{view}-{number}.dcm" if number else f"{view}.dcm")
        path.write_bytes(part10(dataset))
        paths.append(path)
    return paths


def new_ledger(folder: Path, policy: ExamPolicy = ExamPolicy()) -> Ledger:
    """An empty ledger in a file."""
    path = folder / "ledger.sqlite"
    path.write_bytes(_empty_ledger())
    return open_ledger(f"sqlite:///{path}", policy)


@cache
def _empty_ledger() -> bytes:
    """A migrated SQLite file: migrating once is enough for all tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        return path.read_bytes()


def new_archive(folder: Path) -> Archive:
    """An empty archive."""
    archive = Archive(folder / "archive")
    archive.prepare()
    return archive


def received(one: Instance, crc32: int = 1, size: int = 100, sender: str = "MG1") -> Received:
    """A receipt of an instance."""
    return Received(one, size, crc32, sender)


def archive_data_set(archive: Archive, dataset: FileDataset) -> tuple[int, int]:
    """Put a data set into the archive as intake does; returns its size and CRC-32."""
    prefix = part10_prefix(
        str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.file_meta.TransferSyntaxUID)
    )
    with archive.open_spool(prefix) as spooled:
        spooled.write(data_set_bytes(dataset))
        spooled.sync()
        archive.keep(spooled, str(dataset.SOPInstanceUID))
        return spooled.size, spooled.crc32


MODEL = ModelIdentity(
    name="test",
    version="0.1.0",
    sha256="0123456789abcdef" * 4,
    runtime="openvino",
    precision="f32",
    preprocessing_version="1",
    input_size=1600,
    trained_on="nothing",
)
POINT = OperatingPoint("default", 0.37, "1")


@dataclass(frozen=True)
class DrawnHeat:
    """Heat as it was drawn on the stored grid; satisfies `Heat`."""

    heatmap: Heatmap

    def on(self, shape: tuple[int, int]) -> Heatmap:
        return resize(self.heatmap, shape)


class ReadsMammograms:
    """The half of `Predictor` that makes nothing ready: what is read is the mammogram itself."""

    least_side = 0

    def prepare(self, instance: Instance, mammogram: Mammogram) -> Mammogram | Exclusion:
        return mammogram


@dataclass(frozen=True)
class FakePredictor:
    """Satisfies `Predictor` with plain arithmetic: score = mean brightness of the view.

    Attributes:
        refuse: Says of each image why it cannot be read, or nothing.
        point: Operating point of every exam.
        least_side: That an image is decoded to; 0: every pixel.
    """

    refuse: Callable[[Instance], Exclusion | None] = lambda instance: None
    point: OperatingPoint = POINT
    least_side: int = 0

    def prepare(self, instance: Instance, mammogram: Mammogram) -> Mammogram | Exclusion:
        return self.refuse(instance) or mammogram

    def predict(self, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
        drawn = {key: one.image() * np.float32(0.9) for key, one in mammograms.items()}
        views = {key: round(float(heatmap.mean()), 6) for key, heatmap in drawn.items()}
        sides = dict.fromkeys(key.laterality for key in views)
        breasts = {
            side: max(score for key, score in views.items() if key.laterality is side) for side in sides
        }
        findings = []
        for number, key in enumerate(views, start=1):
            row, column = np.unravel_index(int(np.argmax(drawn[key])), drawn[key].shape)
            x, y = float(column) + 0.5, float(row) + 0.5
            outline = ((x - 2, y - 2), (x + 2, y - 2), (x + 2, y + 2), (x - 2, y + 2), (x - 2, y - 2))
            findings.append(
                Finding(number, key, exam.views[key].sop_uid, float(drawn[key].max()), (x, y), outline)
            )
        return ExamResult(
            exam.study_uid,
            MODEL,
            self.point,
            Scores(max(breasts.values()), breasts, views),
            tuple(findings),
            heatmaps={key: DrawnHeat(heatmap) for key, heatmap in drawn.items()},
        )


def a_result(uid: str = "2.25.1", kind: ResultKind = ResultKind.CAD_SR, sha256: str = "a" * 64) -> Result:
    """A result's entry in the ledger."""
    sop_class = facts.MAMMOGRAPHY_CAD_SR if kind is ResultKind.CAD_SR else facts.SECONDARY_CAPTURE
    return Result(uid, sop_class, facts.EXPLICIT_LE, kind, sha256, 1000)


def used(one: Instance) -> Verdict:
    """The verdict of an image that was read."""
    return Verdict(one.sop_uid, True, "USED", f"read as {one.view_key}", one.laterality, one.view)

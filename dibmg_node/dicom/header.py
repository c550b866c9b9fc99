"""The header of one received instance: the checks at the door, and its facts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from io import BufferedIOBase, BytesIO
from typing import IO, BinaryIO, Final, cast

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from dibmg_node.dicom import facts
from dibmg_node.dicom.bounded_file import BoundedFile
from dibmg_node.dicom.facts import StoreStatus
from dibmg_node.domain.study import ImageKind, Instance, Laterality, View, ViewModifier
from dibmg_node.errors import InstanceRejectedError

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_TIME: Final = re.compile(r"[0-9.:+-]*")
_STUDY_UID_TAG: Final = 0x0020000D
_SOP_CLASS_TAG: Final = 0x00080016
_SOP_UID_TAG: Final = 0x00080018
_LATERALITIES: Final = frozenset(laterality.value for laterality in Laterality)
_POSITIONS: Final = frozenset(view.value for view in View)
_LONG_VALUE: Final = 2**16
_BEHIND_HEADER: Final = 0x60000000
"""Overlay planes, private pictures, pixels: nothing that tells what an instance is."""
_CONTENT_SEQUENCE: Final = 0x0040A730
"""The findings of a report, which may be tens of thousands; no image has one."""
_MARKED_IMAGE_TYPES: Final = frozenset({"CAD", "OVERLAY", "ANNOTATED"})


def is_uid(text: str) -> bool:
    """Whether text is a UID; leading zeros of a component, which some units send, harm nobody.

    Source: PS3.5 9.1.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def read_header(file: IO[bytes] | BufferedIOBase | BytesIO) -> FileDataset:
    """The attributes of a Part 10 file before its pixels.

    Raises:
        InstanceRejectedError: 0xC000, it is not a data set that can be parsed.
    """
    try:
        return _not_empty(dcmread(file, stop_before_pixels=True, defer_size=_LONG_VALUE))
    except MemoryError:
        raise
    # pydicom tells a damaged file by any of a dozen exceptions, RecursionError for deep nesting
    # among them; whichever it is, the sender's data set is what cannot be understood.
    except Exception as error:
        raise _not_understood(f"data set cannot be parsed ({type(error).__name__})") from error


def read_received_header(file: IO[bytes]) -> FileDataset:
    """The attributes that tell what a received Part 10 file is, within bounds that hold whatever it holds.

    Attributes behind group 5FFF are left out, those from a Content Sequence on, too, and values longer than
    64 KiB count as absent: none that is asked for is that long.

    Raises:
        InstanceRejectedError: 0xC000, it is not a data set that can be parsed, or it has more elements, or
            bytes in them, or deeper sequences than any mammogram.
    """
    bounded = BoundedFile(file)
    try:
        header = read_partial(cast(BinaryIO, bounded), _is_behind_header, defer_size=_LONG_VALUE)
        deferred = [one.tag for one in header.values() if isinstance(one, RawDataElement) and _is_long(one)]
        for tag in deferred:
            del header[tag]  # pydicom would read it when it is asked for
        return _not_empty(header)
    except MemoryError:
        raise
    except Exception as error:  # as above
        if bounded.exceeded:
            raise _not_understood("header has more elements or bytes than any mammogram's") from error
        raise _not_understood(f"data set cannot be parsed ({type(error).__name__})") from error


def read_stored_header(file: IO[bytes]) -> FileDataset:
    """As much of a file as `read_received_header` looked at when it came, long values, too.

    What was not looked at is not looked at later: the content of a report may be damaged, or without end,
    and costs the images of its study nothing.
    """
    return read_partial(cast(BinaryIO, file), _is_behind_header)


def _is_behind_header(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) == _CONTENT_SEQUENCE or int(tag) >= _BEHIND_HEADER


def _is_long(element: RawDataElement) -> bool:
    return element.value is None and element.length > _LONG_VALUE


def _not_empty(header: FileDataset) -> FileDataset:
    if not header:
        raise ValueError("no attribute in it")
    return header


def _not_understood(sentence: str) -> InstanceRejectedError:
    return InstanceRejectedError(StoreStatus.CANNOT_UNDERSTAND, sentence)


def read_instance(header: FileDataset, transfer_syntax_uid: str) -> Instance:
    """Facts of one instance.

    Missing mammography attributes are facts too (None, empty): such an image is safe with the node
    and its study says later why it was not read.

    Raises:
        InstanceRejectedError: 0xA900, Study Instance UID, SOP Class UID or SOP Instance UID is missing or
            not a UID.
    """
    for tag, name in (
        (_STUDY_UID_TAG, "StudyInstanceUID"),
        (_SOP_CLASS_TAG, "SOPClassUID"),
        (_SOP_UID_TAG, "SOPInstanceUID"),
    ):
        found = texts_of(header, name)
        if len(found) != 1 or not is_uid(found[0]):
            problem = "is not a UID" if any(found) else "is missing"
            raise InstanceRejectedError(StoreStatus.DATA_SET_MISMATCH, f"{name} {problem}", tag)
    sop_class_uid = _text(header, "SOPClassUID")
    kind = facts.IMAGE_KINDS.get(sop_class_uid, ImageKind.OTHER)
    return Instance(
        sop_uid=_text(header, "SOPInstanceUID"),
        sop_class_uid=sop_class_uid,
        study_uid=_text(header, "StudyInstanceUID"),
        series_uid=_text(header, "SeriesInstanceUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        kind=kind,
        modality=_text(header, "Modality"),
        presentation_intent=_intent(header, kind),
        laterality=_laterality(header),
        view=_view(header),
        modifiers=_modifiers(header),
        image_type=tuple(value.upper() for value in texts_of(header, "ImageType")),
        acquired_at=_acquired_at(header),
        acquired_on=_acquired_on(header),
        content_at=_moment(header, "Content"),
        instance_number=_integer(header, "InstanceNumber", 0),
        rows=_integer(header, "Rows", 0),
        columns=_integer(header, "Columns", 0),
        frames=_integer(header, "NumberOfFrames", 1),
        partial_view=_text(header, "PartialView").upper() == "YES",
        implant_present=_text(header, "BreastImplantPresent").upper() == "YES",
        burned_in=_is_marked(header),
        quality_control=_is_quality_control(header),
        orientation=texts_of(header, "PatientOrientation"),
        lossy=_text(header, "LossyImageCompression") == "01" or transfer_syntax_uid in facts.LOSSY_SYNTAXES,
        magnification=next(iter(numbers_of(header, "EstimatedRadiographicMagnificationFactor")), None),
        manufacturer=_text(header, "Manufacturer"),
        manufacturer_model=_text(header, "ManufacturerModelName"),
        software_versions=" ".join(texts_of(header, "SoftwareVersions")),
    )


def instance_of(header: FileDataset) -> Instance:
    """Facts of an instance whose header has its file meta information, as `read_instance` gives them."""
    return read_instance(header, str(header.file_meta.TransferSyntaxUID))


def numbers_of(header: Dataset, name: str) -> tuple[float, ...]:
    """Values of a numeric attribute; empty where it is absent, or any of it is not a finite number."""
    try:
        values = tuple(float(text) for text in texts_of(header, name))
    except ValueError:
        return ()
    return values if all(map(math.isfinite, values)) else ()


def texts_of(header: Dataset, name: str) -> tuple[str, ...]:
    """Values of a text attribute, stripped; empty where it is absent or cannot be read."""
    try:
        value = header.get(name)
    except Exception:  # noqa: BLE001 - a damaged optional attribute is an absent one
        return ()
    if value is None:
        return ()
    values: Sequence[object] = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(str(one).strip() for one in values)


def _text(header: Dataset, name: str) -> str:
    values = texts_of(header, name)
    return values[0] if values else ""


def _integer(header: Dataset, name: str, default: int) -> int:
    try:
        return int(_text(header, name))
    except ValueError:
        return default


def datasets_of(header: Dataset, name: str) -> list[Dataset]:
    """Items of a sequence; empty where it is absent or cannot be read."""
    try:
        return list(header.get(name) or [])
    except Exception:  # noqa: BLE001 - a damaged optional sequence is an absent one
        return []


def _intent(header: Dataset, kind: ImageKind) -> str:
    stated = _text(header, "PresentationIntentType").upper()
    if stated:
        return stated
    if kind is ImageKind.FOR_PRESENTATION:
        return "FOR PRESENTATION"
    return "FOR PROCESSING" if kind is ImageKind.FOR_PROCESSING else ""


def _laterality(header: Dataset) -> Laterality | None:
    """Image Laterality, else Laterality, else the Frame Laterality or code that tells it."""
    for name in ("ImageLaterality", "Laterality", "FrameLaterality"):
        value = _text(header, name).upper()
        if value in _LATERALITIES:
            return Laterality(value)
    for region in datasets_of(header, "AnatomicRegionSequence"):
        for code in [region, *datasets_of(region, "AnatomicRegionModifierSequence")]:
            laterality = facts.LATERALITY_BY_CODE.get(_text(code, "CodeValue"))
            if laterality is not None:
                return laterality
    return None


def _view(header: Dataset) -> View | None:
    """View Code Sequence (SCT or the old SRT); View Position only where there is no code.

    A code that CID 4014 does not have is another view than CC or MLO, whatever View Position says.
    """
    codes = [code for code in datasets_of(header, "ViewCodeSequence") if _text(code, "CodeValue")]
    if codes:
        return facts.VIEW_BY_CODE.get(_text(codes[0], "CodeValue"))
    position = _text(header, "ViewPosition").upper()
    return View(position) if position in _POSITIONS else None


def _modifiers(header: Dataset) -> tuple[ViewModifier, ...]:
    """View modifiers; PS3.3 nests them in the view's code, some units put them at the top level."""
    codes = [
        modifier
        for code in [*datasets_of(header, "ViewCodeSequence"), header]
        for modifier in datasets_of(code, "ViewModifierCodeSequence")
    ]
    return tuple(
        facts.MODIFIER_BY_CODE.get(_text(code, "CodeValue"), ViewModifier.UNKNOWN)
        for code in codes
        if _text(code, "CodeValue")
    )


def _acquired_at(header: Dataset) -> str:
    """Sortable time of acquisition, `YYYYMMDDHHMMSS.FFFFFF`; words in place of a time are dropped.

    A day alone counts only where there is no time at all: it would hide which of its images is newer.
    """
    stamp = _stamp(header, "AcquisitionDateTime")[:21]
    if len(stamp) > len("YYYYMMDD"):
        return stamp
    kinds = ("Acquisition", "Content", "Series", "Study")
    moments = [_moment(header, kind) for kind in kinds]
    days = [_stamp(header, f"{kind}Date") for kind in kinds]
    return next(filter(None, [*moments, stamp, *days]), "")


def _acquired_on(header: Dataset) -> str:
    """Day of acquisition, `YYYYMMDD`; empty where the header does not tell it."""
    stamps = (_stamp(header, "AcquisitionDateTime"), _stamp(header, "AcquisitionDate"))
    return next((stamp[:8] for stamp in stamps if len(stamp) >= len("YYYYMMDD")), "")


def _moment(header: Dataset, kind: str) -> str:
    """Date and time of one kind, likewise; empty where one of them is absent."""
    date, time = _stamp(header, f"{kind}Date"), _stamp(header, f"{kind}Time")
    return date + time if date and time else ""


def _stamp(header: Dataset, name: str) -> str:
    """A date or a time, empty where it is anything else: facts are kept and told, and may quote nobody."""
    text = _text(header, name)
    return text if _TIME.fullmatch(text) else ""


def _is_marked(header: Dataset) -> bool:
    """Whether marks of a CAD or a reader are burned into the pixels."""
    return _text(header, "BurnedInAnnotation").upper() == "YES" or any(
        value.upper() in _MARKED_IMAGE_TYPES for value in texts_of(header, "ImageType")
    )


def _is_quality_control(header: Dataset) -> bool:
    """Quality-control images and phantoms: by their attribute, or a patient that is no patient.

    QC and QA count only as a whole ID or family name: as a prefix they belong to sites with real patients.
    """
    if _text(header, "QualityControlImage").upper() == "YES":
        return True
    patient_id, name = _text(header, "PatientID").upper(), _text(header, "PatientName").upper()
    words = set(re.split(r"[^A-Z]+", f"{patient_id} {name}"))
    return "PHANTOM" in words or bool({patient_id, name.partition("^")[0].strip()} & {"QC", "QA"})

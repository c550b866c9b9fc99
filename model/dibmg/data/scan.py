"""The mammograms of a folder, as their DICOM headers describe them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final, TypeAlias

from pydicom.dataset import FileDataset

from dibmg_node.dicom.header import read_header, read_instance
from dibmg_node.domain.eligibility import exclude
from dibmg_node.domain.policy import ExamPolicy, ImplantPolicy
from dibmg_node.domain.study import ExclusionCode, ImageKind, Instance, Laterality, View, ViewModifier
from dibmg_node.errors import InstanceRejectedError

Progress = Callable[[int, int], None]
"""Called with the number of files done and of all."""

StatedView: TypeAlias = tuple[Laterality | None, View | None]
"""What a person says of an image that its header does not."""

# images of breasts with implants are taken: whether they belong in a data set is a rule of inclusion
_POLICY: Final = ExamPolicy(implants=ImplantPolicy.READ)
_AGE: Final = re.compile(r"0*(\d{1,3})Y?")
_NAMED_VIEW: Final = re.compile(
    r"(?<![A-Z])(?:(?P<side>R|L|RIGHT|LEFT)[ _-]*)?(?P<view>CC|MLO)(?![A-Z])", re.IGNORECASE
)
"""A view's name in a text: `MLO`, `RCC`, `Left MLO`, `L-CC`."""
_OLDEST: Final = 120
"""Years; a manifest takes no greater age."""

WAIVABLE: Final[Mapping[ExclusionCode, Callable[[Instance], Instance]]] = {
    ExclusionCode.SECONDARY_CAPTURE: lambda instance: replace(instance, kind=ImageKind.FOR_PRESENTATION),
    ExclusionCode.NOT_MAMMOGRAPHY: lambda instance: replace(instance, modality="MG"),
    ExclusionCode.BURNED_IN: lambda instance: replace(instance, burned_in=False),
    ExclusionCode.MAGNIFIED: lambda instance: replace(instance, magnification=None),
}
"""Reasons to pass an image over that a site may waive: archives state them where they are not true."""


@dataclass(frozen=True)
class ScannedImage:
    """One mammogram of a folder.

    Attributes:
        path: Absolute.
        exam: Study Instance UID.
        accession: Empty where there is none; so are `patient`, `manufacturer`, `model` and `software`.
        study_date: `YYYYMMDD`, or empty.
        age: Years at the study.
        implant: Whether there is one; None where the header does not tell.
    """

    path: Path
    exam: str
    accession: str
    patient: str
    study_date: str
    laterality: Laterality
    view: View
    manufacturer: str
    model: str
    software: str
    age: int | None
    implant: bool | None


@dataclass(frozen=True)
class PassedOver:
    """A file that is no mammogram for a data set. Attributes: `code` for counts, `reason` for people."""

    path: Path
    code: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds."""

    images: tuple[ScannedImage, ...]
    passed_over: tuple[PassedOver, ...]


def scan_folder(
    folder: Path,
    waived: frozenset[ExclusionCode] = frozenset(),
    stated: Mapping[Path, StatedView] | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Read the header of every file below a folder.

    An image passes by the node's own rules, but that breasts with implants do. Of files with the same SOP
    Instance UID the largest is taken, of equal ones the first; one that cannot be read is passed over.

    Args:
        folder: Searched with all folders below it.
        waived: Reasons (of `WAIVABLE`) that keep no image out.
        stated: Side and view of files whose header is wrong or silent, by absolute path.
        progress: Told as files are read.

    Returns:
        Images and other files, each in the order of their paths.
    """
    files = sorted(p for p in folder.absolute().rglob("*") if p.name != "DICOMDIR" and _is_file(p))
    # the largest goes first: a copy that breaks off within its pixels has a whole header
    files.sort(key=_size, reverse=True)
    images: list[ScannedImage] = []
    passed_over: list[PassedOver] = []
    seen: dict[str, Path] = {}
    for done, path in enumerate(files, start=1):
        found = _read(path, waived, (stated or {}).get(path, (None, None)), seen)
        if isinstance(found, ScannedImage):
            images.append(found)
        else:
            passed_over.append(found)
        if progress is not None:
            progress(done, len(files))
    images.sort(key=lambda one: one.path)
    passed_over.sort(key=lambda one: one.path)
    return Scan(tuple(images), tuple(passed_over))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # told when it is read
        return 0


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be entered: told when it is read
        return True


def _read(
    path: Path, waived: frozenset[ExclusionCode], stated: StatedView, seen: dict[str, Path]
) -> ScannedImage | PassedOver:
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return PassedOver(path, "NOT_DICOM", "not a DICOM file (Part 10)")
            file.seek(0)
            header = read_header(file)
            instance = read_instance(header, str(header.file_meta.get("TransferSyntaxUID", "")))
    except InstanceRejectedError as error:
        return PassedOver(path, "UNREADABLE", str(error))
    except OSError as error:
        return PassedOver(path, "UNREADABLE", f"cannot be read: {error.strerror or type(error).__name__}")
    first = seen.setdefault(instance.sop_uid, path)
    if first is not path:
        return PassedOver(path, "DUPLICATE", f"the same SOP Instance UID as {first}, which is no smaller")
    instance = _completed(header, instance)
    instance = replace(instance, laterality=stated[0] or instance.laterality, view=stated[1] or instance.view)
    for code in waived:
        instance = WAIVABLE[code](instance)
    exclusion = exclude(instance, _POLICY)
    if exclusion is not None:
        return PassedOver(path, exclusion.code.value, exclusion.sentence)
    assert instance.laterality is not None
    assert instance.view is not None
    return ScannedImage(
        path=path,
        exam=instance.study_uid,
        accession=_text(header, "AccessionNumber"),
        patient=_text(header, "PatientID"),
        study_date=_text(header, "StudyDate"),
        laterality=instance.laterality,
        view=instance.view,
        manufacturer=instance.manufacturer,
        model=instance.manufacturer_model,
        software=instance.software_versions,
        age=_age(header),
        implant=_implant(header, instance),
    )


def _completed(header: FileDataset, instance: Instance) -> Instance:
    """Side and view, where the standard's attributes lack them, from where units and archives put them.

    CBIS-DDSM has the view in Patient Orientation, some units `RMLO` in View Position, others both in
    the series' description alone.
    """
    if instance.laterality is not None and instance.view is not None:
        return instance
    laterality, view = instance.laterality, instance.view
    for name in ("ViewPosition", "PatientOrientation", "SeriesDescription", "ProtocolName"):
        named = {(m["side"] or "", m["view"]) for m in _NAMED_VIEW.finditer(_text(header, name).upper())}
        if len(named) != 1:
            continue  # none, or several: `RCC LCC` of a whole series says nothing of one image
        side, projection = named.pop()
        # a view that has a code, if an unknown one, is not what a description calls it
        if view is None and not header.get("ViewCodeSequence"):
            view = View(projection)
        if laterality is None and side:
            laterality = Laterality(side[0])
    return replace(instance, laterality=laterality, view=view)


def _implant(header: FileDataset, instance: Instance) -> bool | None:
    if instance.implant_present or ViewModifier.IMPLANT_DISPLACED in instance.modifiers:
        return True
    return False if _text(header, "BreastImplantPresent").upper() == "NO" else None


def _age(header: FileDataset) -> int | None:
    """Years by Patient Age, else by birth date and study date; none beyond what anybody reaches."""
    stated = _AGE.fullmatch(_text(header, "PatientAge").upper())
    if stated is not None and int(stated[1]) <= _OLDEST:
        return int(stated[1])
    try:
        born, seen = (date.fromisoformat(_text(header, name)) for name in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return None
    age = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
    return age if 0 <= age <= _OLDEST else None


def _text(header: FileDataset, name: str) -> str:
    try:
        return str(header.get(name) or "").strip()
    except Exception:  # noqa: BLE001 - a damaged optional attribute is an absent one
        return ""

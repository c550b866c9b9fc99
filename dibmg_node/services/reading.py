"""Reading one study: from its files to its exam, its scores and the results to be kept."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol

from pydicom import dcmread
from pydicom.dataset import FileDataset

from dibmg_node.dicom.header import read_received_header
from dibmg_node.dicom.part10 import data_set_offset
from dibmg_node.dicom.pixels import PixelsUnreadableError, SyntaxNotDecodedError, read_mammogram
from dibmg_node.domain.exam import Exam, Selection, select_exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import Exclusion, ExclusionCode, Instance, Study, ViewKey
from dibmg_node.errors import InstanceRejectedError, RetryableError, StudyExcludedError
from dibmg_node.storage.checksum import crc32

AT_ONCE: Final = min(4, os.cpu_count() or 1)
"""Images that are read, decoded or drawn at the same time: more would take memory alone."""


class Predictor(Protocol):
    """The model, as the node sees it."""

    def predict(self, exam: Exam, mammograms: Mapping[ViewKey, Mammogram]) -> ExamResult:
        """Read one exam."""


class DamagedFileError(RetryableError):
    """A file in the archive is not what intake received: the disk lies."""


@dataclass(frozen=True)
class StudyFiles:
    """A study with the bytes of its instances.

    Attributes:
        paths: Part 10 file of each instance, by SOP Instance UID.
        checksums: Size and CRC-32 of each data set as they were received; empty: not checked.
    """

    study: Study
    paths: Mapping[str, Path]
    checksums: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """What reading a study gave.

    Attributes:
        headers: Data sets without their pixels, by SOP Instance UID.
        mammograms: Decoded images of the exam, by view.
        result: None where nothing was read.
        sha256: Of each file's data set, by SOP Instance UID.
    """

    study_uid: str
    selection: Selection
    headers: Mapping[str, FileDataset]
    mammograms: Mapping[ViewKey, Mammogram]
    result: ExamResult | None
    sha256: Mapping[str, str]


def read_study(files: StudyFiles, policy: ExamPolicy, predictor: Predictor) -> Reading:
    """Read one study.

    An image whose pixels cannot be decoded, or that shows no breast, is excluded with its reason and
    the exam selected anew, so that an older image of the same view may take its place.

    Raises:
        DamagedFileError: A file differs from what was received.
        OSError: A file cannot be read.
    """
    clock = _Clock()
    headers, digests = {}, {}
    uids = [instance.sop_uid for instance in files.study.instances]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for uid, (header, digest) in zip(uids, pool.map(partial(_read_checked, files), uids), strict=True):
            headers[uid], digests[uid] = header, digest
    clock.lap("read")
    excluded = excluded_by_header(headers, files.study.instances)
    mammograms: dict[str, Mammogram] = {}
    while True:
        selection = select_exam(files.study.study_uid, files.study.instances, policy, excluded)
        found = _decode_missing(files, selection, mammograms)
        excluded.update(found)
        if found:
            continue
        if selection.exam is None:
            return Reading(files.study.study_uid, selection, headers, {}, None, digests)
        clock.lap("decode")
        by_view = {key: mammograms[i.sop_uid] for key, i in selection.exam.views.items()}
        try:
            result = predictor.predict(selection.exam, by_view)
        except StudyExcludedError as error:
            excluded.update(_by_instance(error, selection.exam))
            continue
        result = replace(result, seconds={**clock.seconds, **result.seconds})
        return Reading(files.study.study_uid, selection, headers, by_view, result, digests)


def read_headers(files: StudyFiles) -> dict[str, FileDataset]:
    """Headers of a study's files, without checks and without pixels; damaged files are left out."""
    headers = {}
    for instance in files.study.instances:
        try:
            with files.paths[instance.sop_uid].open("rb") as file:
                headers[instance.sop_uid] = read_received_header(file)
        except (InstanceRejectedError, OSError):
            continue  # what is wrong with it is the failure that the headers are read for
    return headers


def _read_checked(files: StudyFiles, sop_uid: str) -> tuple[FileDataset, str]:
    """Header and SHA-256 of one file, if it is the one that was received."""
    content = _checked(files, sop_uid)
    digest = sha256(memoryview(content)[data_set_offset(content) :]).hexdigest()
    header = dcmread(BytesIO(content), stop_before_pixels=True)
    header.buffer = None  # or the whole file stays in memory with it
    return header, digest


def _checked(files: StudyFiles, sop_uid: str) -> bytes:
    """The bytes of one file, if they are those that were received."""
    content = files.paths[sop_uid].read_bytes()
    expected = files.checksums.get(sop_uid)
    if expected is not None:
        data_set = memoryview(content)[data_set_offset(content) :]
        found = (len(data_set), crc32(data_set))
        if found != expected:
            raise DamagedFileError(
                f"archived file of instance {sop_uid} has size and CRC-32 {found}, received were {expected}"
            )
    return content


def _without_series(instances: Sequence[Instance]) -> dict[str, Exclusion]:
    """Exclusions of images that no report can refer to. Source: PS3.3 table C.17-3."""
    sentence = "Series Instance UID is missing: no report could refer to this image"
    return {
        i.sop_uid: Exclusion(ExclusionCode.SERIES_UNKNOWN, sentence, i.sop_uid, i.laterality)
        for i in instances
        if not i.series_uid
    }


def excluded_by_header(
    headers: Mapping[str, FileDataset], instances: Sequence[Instance]
) -> dict[str, Exclusion]:
    """Exclusions by UID of images that no result may be made of, whatever they show.

    Args:
        headers: Of the images whose header can be read.
        instances: Of the study.
    """
    return _without_series(instances) | _strangers(headers, instances)


def _strangers(headers: Mapping[str, FileDataset], instances: Sequence[Instance]) -> dict[str, Exclusion]:
    """Exclusions of every image of a study whose images name different patients.

    Results would go to one of them; which one, nobody can tell. The sentence names no patient. An
    image that leaves out who issued the identifier contradicts none that says so.
    """
    issuers: dict[str, set[str]] = {}
    for i in instances:
        if i.modality == "MG" and i.sop_uid in headers:
            header = headers[i.sop_uid]
            issuer = str(header.get("IssuerOfPatientID") or "").strip()
            issuers.setdefault(str(header.get("PatientID") or "").strip(), set()).add(issuer)
    patients = [(one, issuer) for one, several in issuers.items() for issuer in (several - {""} or {""})]
    if len(patients) < 2:
        return {}
    sentence = f"the images of this study name {len(patients)} different patients, expected one"
    return {
        i.sop_uid: Exclusion(ExclusionCode.PATIENT_DIFFERS, sentence, i.sop_uid, i.laterality)
        for i in instances
        if i.modality == "MG"
    }


def _decode_missing(
    files: StudyFiles, selection: Selection, mammograms: dict[str, Mammogram]
) -> dict[str, Exclusion]:
    """Decode, in parallel, what the exam needs and `mammograms` lacks; returns what cannot be decoded."""
    wanted = selection.exam.views.values() if selection.exam else ()
    missing = [instance for instance in wanted if instance.sop_uid not in mammograms]
    unreadable = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        decoded = pool.map(lambda i: _decode(files.paths[i.sop_uid], i), missing)
        for instance, one in zip(missing, decoded, strict=True):
            if isinstance(one, Exclusion):
                unreadable[instance.sop_uid] = one
            else:
                mammograms[instance.sop_uid] = one
    return unreadable


def _decode(path: Path, instance: Instance) -> Mammogram | Exclusion:
    try:
        return read_mammogram(_read(path))
    except SyntaxNotDecodedError as error:
        return Exclusion(ExclusionCode.SYNTAX_NOT_DECODED, str(error), instance.sop_uid, instance.laterality)
    except PixelsUnreadableError as error:
        return Exclusion(ExclusionCode.PIXELS_UNREADABLE, str(error), instance.sop_uid, instance.laterality)


def _read(path: Path) -> FileDataset:
    try:
        return dcmread(path)
    except (OSError, MemoryError):
        raise
    # the header was readable, or there would be no instance: what is damaged are the pixels behind it
    except Exception as error:
        raise PixelsUnreadableError(f"pixel data cannot be read ({type(error).__name__})") from error


def _by_instance(error: StudyExcludedError, exam: Exam) -> dict[str, Exclusion]:
    """Exclusions of images of the exam by their UID.

    Where the model names none of them it means all: at least one must go, or selecting anew never ends.
    """
    read = {instance.sop_uid: instance for instance in exam.views.values()}
    named = {e.sop_uid: e for e in error.exclusions if e.sop_uid is not None and e.sop_uid in read}
    if named:
        return named
    code = error.exclusions[0].code if error.exclusions else ExclusionCode.NO_BREAST
    return {uid: Exclusion(code, str(error), uid, one.laterality) for uid, one in read.items()}


class _Clock:
    """Wall time of the steps of one reading."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now

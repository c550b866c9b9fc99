"""Reading one study: from its files to its exam, its scores and the results to be kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pydicom.dataset import FileDataset

from dibmg_node.dicom.header import read_received_header
from dibmg_node.domain.exam import Selection, select_exam
from dibmg_node.domain.image import Mammogram
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import Exclusion, ExclusionCode, Instance, ViewKey
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.services.images import Images, Opened, Prepared, StudyFiles


@dataclass(frozen=True)
class Reading:
    """What reading a study gave.

    Attributes:
        headers: Data sets without their pixels, by SOP Instance UID.
        mammograms: What is shown of each image of the exam, by view.
        result: None where nothing was read.
        sha256: Of each file's data set, by SOP Instance UID.
    """

    study_uid: str
    selection: Selection
    headers: Mapping[str, FileDataset]
    mammograms: Mapping[ViewKey, Mammogram]
    result: ExamResult | None
    sha256: Mapping[str, str]


def read_study(
    files: StudyFiles, policy: ExamPolicy, images: Images[Prepared], today: date | None = None
) -> Reading:
    """Read one study.

    An image whose pixels cannot be decoded, or that shows no breast, is excluded with its reason and
    the exam selected anew, so that an older image of the same view may take its place.

    Args:
        files: The study.
        policy: The site's choices.
        images: Of this study, with the model that is to read them; some may have been read already.
        today: As for `find_priors`.

    Raises:
        DamagedFileError: A file differs from what was received.
        OSError: A file cannot be read.
    """
    clock = _Clock()
    uid = files.study.study_uid
    read = images.headers(files, files.study.instances)
    headers = {sop_uid: header for sop_uid, (header, _) in read.items()}
    digests = {sop_uid: digest for sop_uid, (_, digest) in read.items()}
    clock.lap("read")
    excluded = excluded_by_header(headers, files.study.instances)
    while True:
        selection = select_exam(uid, files.study.instances, policy, excluded, today)
        if selection.exam is None:
            return Reading(uid, selection, headers, {}, None, digests)
        opened = images.open(files, selection.exam.views.values())
        unreadable = {sop_uid: one for sop_uid, one in opened.items() if isinstance(one, Exclusion)}
        if not unreadable:
            break
        excluded.update(unreadable)
    clock.lap("prepare")
    by_view = {key: _opened(opened[one.sop_uid]) for key, one in selection.exam.views.items()}
    result = images.predictor.predict(selection.exam, {key: one.view for key, one in by_view.items()})
    result = replace(result, seconds={**clock.seconds, **result.seconds})
    shown_by_view = {key: one.shown for key, one in by_view.items()}
    return Reading(uid, selection, headers, shown_by_view, result, digests)


def read_headers(files: StudyFiles) -> dict[str, FileDataset]:
    """Headers of a study's files, without checks and without pixels; those gone or damaged are left out."""
    headers = {}
    for instance in files.study.instances:
        if instance.sop_uid not in files.paths:
            continue
        try:
            with files.paths[instance.sop_uid].open("rb") as file:
                headers[instance.sop_uid] = read_received_header(file)
        except (InstanceRejectedError, OSError):
            continue  # what is wrong with it is the failure that the headers are read for
    return headers


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


def _opened(one: Opened[Prepared] | Exclusion) -> Opened[Prepared]:
    assert isinstance(one, Opened)  # the exam was selected anew until all were
    return one


class _Clock:
    """Wall time of the steps of one reading."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now

"""Writing results: from a reading to the DICOM instances that tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pickle import PickleBuffer
from typing import Any

from pydicom.dataset import Dataset, FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.cad_library import is_image
from dibmg_node.dicom.cad_report import cad_report
from dibmg_node.dicom.encode import encode
from dibmg_node.dicom.identity import renewed_uid
from dibmg_node.dicom.measurement_report import measurement_report
from dibmg_node.dicom.overlay import overlay
from dibmg_node.dicom.presentation import presentation_states
from dibmg_node.dicom.rendering import render_overlay
from dibmg_node.domain.exam import Exam
from dibmg_node.domain.result import (
    REPORTS,
    Delivered,
    ExamResult,
    FindingCode,
    OverlayStyle,
    Result,
    ResultKind,
    variant_of,
)
from dibmg_node.domain.study import ExclusionCode, ViewKey
from dibmg_node.services.images import AT_ONCE, Shown
from dibmg_node.services.reading import Reading


@dataclass(frozen=True)
class Wish:
    """A kind of result in the form that some destination wants."""

    kind: ResultKind
    finding_code: FindingCode = FindingCode.DENSITY

    @property
    def variant(self) -> str:
        """As `variant_of` says."""
        return variant_of(self.kind, self.finding_code)


@dataclass(frozen=True)
class Writing:
    """What a reading is written as.

    Attributes:
        now: Date and time of the analysis, in every result.
        max_side: Longer side of an overlay, pixels; 0: the grid of the mammogram.
        style: What an overlay shows.
        delivered: Results of the study that a destination has or is being sent, oldest first.
    """

    wishes: Collection[Wish]
    now: datetime
    max_side: int
    style: OverlayStyle = OverlayStyle.COLOR
    delivered: Sequence[Delivered] = ()

    @property
    def shown(self) -> Shown:
        """What has to be kept of each image."""
        return Shown(self.wants(ResultKind.OVERLAY), self.max_side, self.style)

    def wants(self, kind: ResultKind) -> bool:
        """Whether any wish is for this kind."""
        return any(wish.kind is kind for wish in self.wishes)

    def replaced(self, kind: ResultKind, variant: str = "") -> list[Delivered]:
        """The report that one of this kind and variant replaces, if any."""
        earlier = [one for one in self.delivered if (one.kind, one.variant) == (kind, variant)]
        return list(earlier[-1:])

    def uid_of(self, sop_uid: str, kind: ResultKind, variant: str) -> str:
        """SOP Instance UID of a result that would have this one, were nothing delivered in its place."""
        uids = [one.sop_uid for one in self.delivered]
        if sop_uid not in uids:
            return sop_uid
        later = self.delivered[uids.index(sop_uid) + 1 :]
        of_its_place = [
            one.sop_uid
            for one in later
            if one.withdraws == sop_uid
            or (kind in REPORTS and (one.kind, one.variant) == (kind, variant) and one.sop_uid != sop_uid)
        ]
        return renewed_uid(sop_uid, of_its_place)


@dataclass(frozen=True)
class Written:
    """One result with its bytes."""

    result: Result
    series_uid: str
    content: bytes

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Pickled with the content beside the rest where whoever pickles takes such buffers (PEP 574)."""
        return Written, (self.result, self.series_uid, PickleBuffer(self.content))


def write_results(reading: Reading, writing: Writing, failure: str = "") -> Iterator[Written]:
    """Write a reading as the kinds of result that are wanted.

    A study that was not read (or, with `failure`, whose analysis broke off) gets a CAD report that says
    so, if it holds any mammogram, and no other kind: there is nothing that they could show. A study of
    other objects gets nothing. Nor does one whose images name different patients: whatever is written
    would lie in the folder of one of them.
    """
    if any(verdict.code == ExclusionCode.PATIENT_DIFFERS for verdict in reading.selection.verdicts):
        return
    if reading.result is not None and reading.selection.exam is not None:
        yield from _of_exam(reading, reading.result, reading.selection.exam, writing)
    mammograms = {uid: header for uid, header in reading.headers.items() if _is_mammogram(header)}
    for wish in sorted(writing.wishes, key=lambda w: w.finding_code):
        if wish.kind is ResultKind.CAD_SR and mammograms:
            report = cad_report(
                mammograms,
                [v for v in reading.selection.verdicts if v.sop_uid in mammograms],
                writing.now,
                result=reading.result,
                exclusions=reading.selection.exclusions,
                failure=failure,
                finding_code=wish.finding_code,
                predecessors=writing.replaced(wish.kind, wish.variant),
            )
            yield _written(report, writing, ResultKind.CAD_SR, variant=wish.variant)


def _of_exam(reading: Reading, result: ExamResult, exam: Exam, writing: Writing) -> Iterator[Written]:
    """What is written of an exam that was read, but for its CAD report."""
    images = {key: reading.headers[instance.sop_uid] for key, instance in exam.views.items()}
    if writing.wants(ResultKind.OVERLAY):
        yield from _overlays(reading, result, images, writing)
    if writing.wants(ResultKind.PRESENTATION):
        for state in presentation_states(images, reading.mammograms, result, writing.now):
            yield _written(state, writing, ResultKind.PRESENTATION)
    if writing.wants(ResultKind.MEASUREMENT_SR):
        report = measurement_report(
            images,
            result,
            writing.now,
            exclusions=reading.selection.exclusions,
            predecessors=writing.replaced(ResultKind.MEASUREMENT_SR),
        )
        yield _written(report, writing, ResultKind.MEASUREMENT_SR)


def _overlays(
    reading: Reading, result: ExamResult, images: Mapping[ViewKey, FileDataset], writing: Writing
) -> Iterator[Written]:
    sources = [str(header.SOPInstanceUID) for header in images.values()]
    style = writing.style

    def drawn(key: ViewKey) -> Written:
        header, mammogram, heat = images[key], reading.mammograms[key], result.heatmaps[key]
        picture = render_overlay(mammogram, heat, key, result, max_side=writing.max_side, style=style)
        capture = overlay(header, picture, key, result, sources, writing.now, style=style)
        return _written(capture, writing, ResultKind.OVERLAY, view=key)

    # drawing and compressing release the interpreter
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(drawn, images)


def _written(
    dataset: Dataset,
    writing: Writing,
    kind: ResultKind,
    *,
    variant: str = "",
    view: ViewKey | None = None,
) -> Written:
    dataset.SOPInstanceUID = writing.uid_of(str(dataset.SOPInstanceUID), kind, variant)
    return written(dataset, kind, variant=variant, view=view)


def written(
    dataset: Dataset,
    kind: ResultKind,
    *,
    variant: str = "",
    view: ViewKey | None = None,
    withdraws: str = "",
) -> Written:
    """A result as bytes, with its entry for the ledger."""
    transfer_syntax_uid = facts.RLE_LOSSLESS if kind is ResultKind.OVERLAY else facts.EXPLICIT_LE
    content = encode(dataset, transfer_syntax_uid)
    result = Result(
        sop_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        transfer_syntax_uid=transfer_syntax_uid,
        kind=kind,
        sha256=sha256(content).hexdigest(),
        size=len(content),
        variant=variant,
        view=view,
        withdraws=withdraws,
    )
    return Written(result, str(dataset.SeriesInstanceUID), content)


def _is_mammogram(header: Dataset) -> bool:
    """Whether a CAD report can speak of an instance; of a scanned film or a CR image of modality MG, too."""
    is_mammography = str(header.get("Modality", "")) == "MG"
    return is_image(header) and (
        is_mammography or str(header.get("SOPClassUID", "")) in facts.MAMMOGRAM_CLASSES
    )

"""The Mammography CAD report of one study, by TID 4000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset, FileDataset

from dibmg_node.domain.result import ExamResult, FindingCode, ModelIdentity
from dibmg_node.domain.study import Exclusion, Verdict


@dataclass(frozen=True)
class Predecessor:
    """An earlier report of the same study that this one replaces."""

    sop_class_uid: str
    sop_uid: str
    series_uid: str


def cad_report(
    headers: Mapping[str, FileDataset],
    verdicts: Sequence[Verdict],
    now: datetime,
    *,
    result: ExamResult | None = None,
    exclusions: Sequence[Exclusion] = (),
    failure: str = "",
    model: ModelIdentity | None = None,
    finding_code: FindingCode = FindingCode.DENSITY,
    predecessors: Sequence[Predecessor] = (),
) -> Dataset:
    """A Mammography CAD SR: what was found, that nothing was found, or why the study was not read.

    With `result` the exam was read, with `failure` the analysis broke off, with neither the study is
    excluded.

    Args:
        headers: Headers of the study's instances by SOP Instance UID; those that are no images (SR …)
            are passed over. Patient and study attributes are those of the first image read.
        verdicts: What became of each instance. `used` images are the exam; those not used because
            reading them failed are named as failed; the others stay out of the report of an exam that
            was read, and in the library of one that was not.
        now: Time of the analysis; every date and time of the report.
        result: What the model says.
        exclusions: Why a breast or the study was not read, beside what the verdicts say.
        failure: Why the analysis failed, in words.
        model: The model of a study without `result`, where it is known.
        finding_code: What a finding is called; SELECTED_REGION carries no probability of cancer.
        predecessors: Reports that this one replaces.

    Raises:
        ValueError: No header is that of an image, `result` and `failure` are both given, or an image of
            the result has no header.

    Source: A.35.5, PS3.3; TID 4000, PS3.16.
    """
    raise NotImplementedError

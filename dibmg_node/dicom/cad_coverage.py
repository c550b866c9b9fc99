"""Which images a CAD report speaks of, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import FileDataset

from dibmg_node.dicom.cad_library import in_reading_order, is_image
from dibmg_node.domain.result import ExamResult
from dibmg_node.domain.study import ExclusionCode, Verdict

FAILED_TO_READ: Final = frozenset(
    {ExclusionCode.PIXELS_UNREADABLE, ExclusionCode.SYNTAX_NOT_DECODED, ExclusionCode.NO_BREAST}
)
"""Reasons that an image was tried and failed; every other one means that it was not tried."""


@dataclass(frozen=True)
class Coverage:
    """What became of the images that a report speaks of.

    Attributes:
        library: Headers of all of them, in reading order; at least one.
        read: SOP Instance UIDs of those that the model read.
        failed: SOP Instance UIDs of those that were tried and failed.
    """

    library: list[FileDataset]
    read: tuple[str, ...]
    failed: tuple[str, ...]


def find_coverage(
    headers: Mapping[str, FileDataset], verdicts: Sequence[Verdict], result: ExamResult | None, failure: str
) -> Coverage:
    """Sort a study's images into read, failed and not tried.

    Args:
        headers: Of the study's instances, by SOP Instance UID.
        verdicts: What became of each.
        result: Where the exam was read.
        failure: Where the analysis failed.

    Raises:
        ValueError: As for `cad_report`.
    """
    images = {sop_uid: header for sop_uid, header in headers.items() if is_image(header)}
    if not images:
        raise ValueError("a CAD report needs at least one image, and no header is that of one")
    used = tuple(sorted(verdict.sop_uid for verdict in verdicts if verdict.used))
    without_header = sorted(set(used) - set(images))
    if without_header:
        raise ValueError(f"images read, but no header given: {', '.join(without_header)}")
    if result is None:
        failed = (used or tuple(sorted(images))) if failure else ()
        return Coverage(in_reading_order(images.values()), (), failed)
    strangers = sorted({finding.sop_uid for finding in result.findings} - set(used))
    if not used or strangers:
        raise ValueError(f"findings on images that no verdict calls used: {', '.join(strangers) or 'all'}")
    failed = tuple(
        sorted(v.sop_uid for v in verdicts if v.code in FAILED_TO_READ and v.sop_uid in images and not v.used)
    )
    return Coverage(in_reading_order(images[sop_uid] for sop_uid in used + failed), used, failed)

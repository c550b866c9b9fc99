"""The sentences of a report: what was scored, what was not read and why, and what it is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from dibmg_node.dicom import facts
from dibmg_node.dicom.cad_findings import FINDING_CODES
from dibmg_node.dicom.codes import LATERALITIES
from dibmg_node.dicom.result_header import plain_text
from dibmg_node.domain.result import ExamResult, FindingCode
from dibmg_node.domain.study import STANDARD_VIEWS, Exclusion, Laterality, Verdict

RESEARCH_ONLY: Final = "Research use only. Not for diagnosis."
_LINE_BREAK: Final = "\r\n"


def reasons(verdicts: Sequence[Verdict], exclusions: Sequence[Exclusion], failure: str) -> tuple[str, ...]:
    """Why something was not read: first the study or breast, then single images; each sentence once."""
    told = {exclusion.sop_uid for exclusion in exclusions if exclusion.sop_uid is not None}
    whole = [exclusion.sentence for exclusion in exclusions if exclusion.sop_uid is None]
    single = [exclusion.sentence for exclusion in exclusions if exclusion.sop_uid is not None]
    single += [verdict.sentence for verdict in verdicts if not verdict.used and verdict.sop_uid not in told]
    lines = ([f"Analysis failed: {failure}"] if failure else []) + list(dict.fromkeys(whole))
    for sentence, count in sorted(Counter(single).items()):
        lines.append(sentence if count == 1 else f"{sentence} ({count} images)")
    return tuple(plain_text(line) for line in lines)


def exam_impression(
    result: ExamResult, finding_code: FindingCode, not_read: Sequence[str], *, has_probabilities: bool
) -> str:
    """Impression Description of an exam that was read.

    Args:
        result: What the model says.
        finding_code: What a finding is called in the report.
        not_read: Why something was not read.
        has_probabilities: Whether the report gives each region its probability, where there is a calibration.
    """
    lines = _exam_lines(result, finding_code, not_read, has_probabilities)
    return _LINE_BREAK.join(plain_text(line) for line in lines)


def unread_impression(not_read: Sequence[str], failed: bool) -> str:
    """Impression Description of a study that was not read."""
    outcome = "The analysis of this study failed" if failed else "This study was not analyzed"
    lines = [
        RESEARCH_ONLY,
        f"{outcome}. That no finding is reported says nothing about the images.",
        *not_read,
    ]
    return _LINE_BREAK.join(plain_text(line) for line in lines)


def withdrawn_impression(reason: str) -> str:
    """What is said instead of findings that no longer hold.

    Args:
        reason: Why not, in words.
    """
    lines = [
        RESEARCH_ONLY,
        "The earlier result of this algorithm is withdrawn: it no longer holds for this study.",
        "That no finding is reported says nothing about the images.",
        reason,
    ]
    return _LINE_BREAK.join(plain_text(line) for line in lines if line)


def _exam_lines(
    result: ExamResult, finding_code: FindingCode, not_read: Sequence[str], has_probabilities: bool
) -> Iterable[str]:
    model, point, scores = result.model, result.operating_point, result.scores
    yield RESEARCH_ONLY
    breasts = ", ".join(
        f"{LATERALITIES[laterality].meaning.lower()} {scores.breasts[laterality]:.3f}"
        for laterality in (Laterality.RIGHT, Laterality.LEFT)
        if laterality in scores.breasts
    )
    views = ", ".join(f"{view} {scores.views[view]:.3f}" for view in STANDARD_VIEWS if view in scores.views)
    yield f"Score of the exam {scores.exam:.3f} (0 to 1); {breasts}; views {views}."
    side = "at or above" if scores.exam >= point.threshold else "below"
    operating_point = f"operating point {point.label} (version {point.version}), {point.threshold:.3f}"
    yield f"The score of the exam is {side} the {operating_point}."
    expected = [
        f"{name} {100.0 * value:.1f} %"
        for name, value in (("sensitivity", point.sensitivity), ("specificity", point.specificity))
        if value is not None
    ]
    if expected:
        yield f"The operating point was chosen for {' and '.join(expected)}."
    if point.chosen_on:
        yield f"The operating point was chosen on {point.chosen_on}."
    count = len(result.findings)
    yield f"{count or 'No'} suspicious {'region' if count == 1 else 'regions'} marked."
    if result.unlike_training:
        unlike = ", ".join(map(str, result.unlike_training))
        yield f"Unlike the images that the model was trained on: {unlike}."
        yield "Scores and regions of such images may mean nothing."
    missing = [str(view) for view in STANDARD_VIEWS if view not in scores.views]
    if missing:
        yield f"Views not read: {', '.join(missing)}."
    yield from not_read
    yield from _calibration_lines(result, has_probabilities)
    yield (
        "The algorithm does not tell types of lesion apart: a marked region is coded "
        f"{FINDING_CODES[finding_code].meaning}, whatever it is."
    )
    yield f"{facts.ALGORITHM_NAME} {model.name} {model.version}, trained on {model.trained_on}."


def _calibration_lines(result: ExamResult, has_probabilities: bool) -> Iterable[str]:
    calibration, probability = result.operating_point.calibration, result.probability
    if calibration is None or probability is None:
        yield "The score is not calibrated: a higher one is more suspicious, but it is not a percentage."
        return
    told = f"Probability of cancer of the exam by calibration on {calibration.population}"
    yield f"{told}: {100.0 * probability:.1f} %."
    yield f"It holds where {100.0 * calibration.prevalence:.1f} % of exams show cancer, as they did there."
    if result.findings and has_probabilities:
        yield "The probability of a region is that of its breast, or less where its own score is lower."

"""Priors: mammograms of an earlier exam that came under the study of a newer one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from dibmg_node.domain.eligibility import is_standard_view
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import MAMMOGRAMS, Exclusion, ExclusionCode, Instance

_LONGEST_EXAM: Final = timedelta(days=30)
"""From its first image to the last repeat of a view."""
_FIRST_DAY: Final = date(2001, 1, 1)
"""Systems of digital mammography are no older: an earlier date is that of a clock that was reset."""


def find_priors(
    instances: Iterable[Instance], policy: ExamPolicy, today: date | None
) -> dict[str, Exclusion]:
    """Exclusions, by SOP Instance UID, of images acquired more than 30 days before the newest mammogram.

    The newest is a CC or MLO of the whole breast, read or not (For Processing, too): a spot view that came
    weeks later is no exam. Images without a day of acquisition that makes sense are no priors, and make
    none: other days may be those on which an image was processed again.

    Args:
        instances: Of one study.
        policy: Which views count as whole.
        today: Dates after tomorrow are those of a clock that is wrong; None: all are believed.
    """
    dated = [(i, day) for i in instances if i.kind in MAMMOGRAMS and (day := _day(i, today)) is not None]
    newest = max((day for i, day in dated if is_standard_view(i, policy)), default=date.min)
    return {
        i.sop_uid: Exclusion(
            ExclusionCode.EARLIER_EXAM,
            f"acquired on {day}, more than {_LONGEST_EXAM.days} days before the newest mammogram of the "
            f"study ({newest}): expected images of one exam",
            i.sop_uid,
            i.laterality,
        )
        for i, day in dated
        if newest - day > _LONGEST_EXAM
    }


def _day(instance: Instance, today: date | None) -> date | None:
    """Day of acquisition; None where there is none, or none that makes sense."""
    text = instance.acquired_on
    if not (text.isdecimal() and len(text) == len("YYYYMMDD")):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None  # the 31st of February, say
    # it may be tomorrow where the image was made
    is_future = today is not None and day > today + timedelta(days=1)
    return None if is_future or day < _FIRST_DAY else day

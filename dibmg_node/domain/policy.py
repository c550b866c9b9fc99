"""The choices that a site may make about what is read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExamMinimum(StrEnum):
    """Which views a study must have to be read."""

    ONE_VIEW = "one_view"
    ONE_BREAST = "one_breast"
    FOUR_VIEWS = "four_views"


class ImplantPolicy(StrEnum):
    """What becomes of breasts with implants."""

    EXCLUDE = "exclude"
    READ = "read"


@dataclass(frozen=True)
class ExamPolicy:
    """The choices that a site may make; the default is the most careful that reads one breast."""

    minimum: ExamMinimum = ExamMinimum.ONE_BREAST
    implants: ImplantPolicy = ImplantPolicy.EXCLUDE

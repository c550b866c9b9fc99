"""The scores that a file of operating points was chosen on: what a node's own scores are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from dibmg.point_fields import STRICT, Count, MeasuredRate, Share
from dibmg_node.domain.device import Device
from dibmg_node.domain.score_reference import ScoreReference


@dataclass(frozen=True)
class ReferenceScores:
    """Scores of the exams without cancer of one device, or of a class of devices.

    Those with cancer are left out: sets are enriched with them, screening is not.

    Attributes:
        manufacturer, model, software: As of a `Threshold`.
        exams: Without cancer.
        scores: Of these, rising; evenly spaced ranks where they are many.
        recall: Share of them at or above the threshold that the file has for their device.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    manufacturer: str | None
    model: str | None
    software: str | None
    exams: Annotated[Count, Field(ge=1)]
    scores: Annotated[tuple[Share, ...], Field(min_length=1)]
    recall: MeasuredRate

    @property
    def device(self) -> Device:
        """Whose exams they are."""
        return Device(self.manufacturer or "", self.model or "", self.software or "")

    @property
    def reference(self) -> ScoreReference:
        """What a node holds its own scores against."""
        return ScoreReference(self.device, self.exams, self.scores)

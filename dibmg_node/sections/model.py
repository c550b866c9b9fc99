"""`[model]`, `[model.shadow]` and `[drift]`: what reads, what reads beside it, whether scores move."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg_node.sections.base import Seconds, Section


class ShadowSection(Section):
    """`[model.shadow]`: weights that read beside those in use, and are told to nobody."""

    weights: str
    operating_point: str = "default"


class ModelSection(Section):
    """`[model]`."""

    weights: str = "default"
    runtime: RuntimeKind = RuntimeKind.AUTO
    operating_point: str = "default"
    precision: Precision = Precision.F32
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    deadline_seconds: Seconds = 120
    memory_gb: Annotated[float, Field(ge=0.5, le=256)] = 6.0
    shadow: ShadowSection | None = None


class DriftSection(Section):
    """`[drift]`: which exams of a device are recent, and from where on their scores have moved."""

    window_exams: Annotated[int, Field(ge=50, le=5000)] = 500
    window_days: Annotated[float, Field(ge=0, le=3660)] = 0
    minimum_exams: Annotated[int, Field(ge=50, le=5000)] = 200
    psi_limit: Annotated[float, Field(gt=0, le=10)] = 0.2
    ks_limit: Annotated[float, Field(gt=0, lt=1)] = 0.001
    recall_limit: Annotated[float, Field(gt=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _window_holds_enough(self) -> DriftSection:
        if self.window_exams < self.minimum_exams:
            raise ValueError("window_exams is less than minimum_exams: nothing would ever be said")
        return self

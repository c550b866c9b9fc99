"""Kinds of field that a file of operating points is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", strict=True)

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class MeasuredRate:
    """A rate 0..1 with its 95 % interval; all None where there was nothing to measure it on."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    value: Share | None
    low: Share | None
    high: Share | None

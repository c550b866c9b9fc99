"""`[telemetry]`: where traces go, if anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from dibmg_node.sections.base import Section
from dibmg_node.sections.values import Variable, WebUrl, is_exposed


class TelemetrySection(Section):
    """`[telemetry]`: OpenTelemetry by OTLP over HTTP; off without an endpoint."""

    endpoint: WebUrl | None = None
    token_env: Variable | None = None
    ca: Path | None = None
    insecure: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        if self.endpoint is None and (self.token_env or self.ca or self.insecure):
            raise ValueError("token_env, ca and insecure are of no use without endpoint")
        if is_exposed(self.endpoint) and not self.insecure:
            raise ValueError("traces would cross the network in plain text: https://, or insecure = true")
        return self

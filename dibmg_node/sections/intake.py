"""`[node]`, `[intake]`, `[[sender]]` and `[exam]`: what a node is, and what it takes from whom."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from dibmg_node.domain.policy import ExamMinimum, ImplantPolicy
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.subject import is_subject
from dibmg_node.sections.base import AeTitle, Name, Port, Seconds, Section, ServerTlsSection


class NodeSection(Section):
    """`[node]`."""

    data_dir: Path = Path("var")
    name: Name | None = None
    roles: tuple[Literal["intake", "web", "sweep", "analysis", "shadow", "delivery"], ...] | None = None
    log_level: Literal["debug", "info", "warning"] = "info"

    @field_validator("roles")
    @classmethod
    def _has_any(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise ValueError("expected at least one role")
        return value


class IntakeSection(Section):
    """`[intake]`."""

    ae_title: AeTitle = "DIBMG"
    address: str = "127.0.0.1"
    port: Port = 11112
    quiet_seconds: Seconds = 60
    max_wait_seconds: Seconds = 300
    same_uid: Literal["refuse", "keep_first"] = "refuse"
    reserve_gb: Annotated[float, Field(ge=0)] = 5.0
    max_associations: Annotated[int, Field(ge=1, le=1024)] = 64
    max_per_address: Annotated[int, Field(ge=1, le=1024)] = 8
    association_seconds: Seconds = 10
    pdu_seconds: Seconds = 15
    idle_seconds: Seconds = 30
    min_bytes_per_second: Annotated[int, Field(ge=1)] = 10_000
    max_instance_gb: Annotated[float, Field(gt=0, le=4)] = 4.0
    insecure: Annotated[bool, Field(strict=True)] = False
    tls: ServerTlsSection | None = None

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        ipaddress.ip_address(value)
        return value

    @model_validator(mode="after")
    def _wait_is_longer(self) -> IntakeSection:
        if self.max_wait_seconds < self.quiet_seconds:
            raise ValueError("max_wait_seconds is shorter than quiet_seconds")
        return self


class SenderSection(Section):
    """`[[sender]]`: who may send."""

    ae_title: AeTitle
    address: ipaddress.IPv4Network | ipaddress.IPv6Network
    certificate_subject: str | None = None
    quiet_seconds: Seconds | None = None
    priority: Priority | None = None

    @field_validator("certificate_subject")
    @classmethod
    def _is_subject(cls, value: str | None) -> str | None:
        if value is not None and not is_subject(value):
            raise ValueError("expected the subject of a certificate, such as O=Clinic,CN=mg1")
        return value

    @field_validator("address", mode="before")
    @classmethod
    def _is_network(cls, value: object) -> object:
        return ipaddress.ip_network(value) if isinstance(value, str) else value


class ExamSection(Section):
    """`[exam]`."""

    minimum: ExamMinimum = ExamMinimum.ONE_BREAST
    implants: ImplantPolicy = ImplantPolicy.EXCLUDE

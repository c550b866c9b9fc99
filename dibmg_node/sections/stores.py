"""`[archive]`, `[broker]`, `[ledger]`, `[audit]` and `[selftest]`: where what is kept, and who watches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from dibmg_node.sections.base import Section, TlsSection, no_secret
from dibmg_node.sections.values import WebUrl, host_and_port, is_exposed

LONGEST_DAYS: Final = 36_500
"""That anything is kept: a century. What lies so far back can be reckoned with, and is before every image."""


class ArchiveSection(Section):
    """`[archive]`: where it is, and when studies that are read, answered and proven are purged from it."""

    folder: Path | None = None
    url: Annotated[str, Field(pattern=r"^s3://[^/\s]+(/\S*)?$")] | None = None
    endpoint: WebUrl | None = None
    cache_gb: Annotated[float, Field(gt=0)] = 20.0
    insecure: Annotated[bool, Field(strict=True)] = False
    high_water_percent: Annotated[float, Field(ge=1, le=100)] = 85
    keep_hours: Annotated[float, Field(ge=0, le=24 * LONGEST_DAYS)] = 24
    purge_after_days: Annotated[float, Field(ge=0, le=LONGEST_DAYS)] = 0

    @model_validator(mode="after")
    def _endpoint_is_safe(self) -> ArchiveSection:
        if self.endpoint is not None and self.url is None:
            raise ValueError("endpoint is of no use without url")
        if self.endpoint is not None and is_exposed(self.endpoint) and not self.insecure:
            raise ValueError(
                "images would cross the network in plain text: expected an https endpoint, or insecure = true"
            )
        return self


class BrokerSection(Section):
    """`[broker]`."""

    url: str = "embedded"
    tls: TlsSection | None = None

    @model_validator(mode="after")
    def _tls_has_an_effect(self) -> BrokerSection:
        if self.tls is not None and self.url.startswith("redis:"):
            raise ValueError("tls has no effect with redis://: expected rediss://")
        return self

    @field_validator("url")
    @classmethod
    def _is_broker(cls, value: str) -> str:
        if value != "embedded" and not re.match(r"(redis|rediss|redis\+socket)://", value):
            raise ValueError("expected 'embedded', redis://, rediss:// or redis+socket://")
        return no_secret(value)


class LedgerSection(Section):
    """`[ledger]`."""

    url: str = "embedded"

    @field_validator("url")
    @classmethod
    def _is_ledger(cls, value: str) -> str:
        if value != "embedded" and not value.startswith("postgresql+psycopg://"):
            raise ValueError("expected 'embedded' or postgresql+psycopg://")
        return no_secret(value)


class AuditSection(Section):
    """`[audit]`: whom the audit trail is passed on to, by syslog over TLS. PEM files."""

    syslog: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @field_validator("syslog")
    @classmethod
    def _is_host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            host_and_port(value)
        return value

    @model_validator(mode="after")
    def _files_have_a_use(self) -> AuditSection:
        if self.syslog is None and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key are of no use without syslog")
        if self.key and not self.certificate:
            raise ValueError("key is of no use without certificate")
        return self


class SelfTestSection(Section):
    """`[selftest]`: how often, and who a self-test is where intake asks for a certificate. PEM files."""

    every_hours: Annotated[float, Field(ge=0, le=8760)] = 0
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> SelfTestSection:
        if self.key and not self.certificate:
            raise ValueError("key is of no use without certificate")
        return self

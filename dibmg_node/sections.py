"""The sections of `config.toml`: their keys, defaults and checks."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    field_validator,
    model_validator,
)

from dibmg_node.destination_rules import rules_broken
from dibmg_node.domain.lifecycle import Proof
from dibmg_node.domain.policy import ExamMinimum, ImplantPolicy
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.result import FindingCode, OverlayStyle, ResultKind
from dibmg_node.domain.selftest import SELFTEST_AET
from dibmg_node.domain.subject import is_subject
from dibmg_node.section_values import Variable, WebUrl, host_and_port, is_exposed, whole


def _check_ae_title(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}", value) or value != value.strip():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return _not_reserved(value)


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("a name has 1 to 64 letters, digits, '.', '_' and '-'")
    return _not_reserved(value)


def _not_reserved(value: str) -> str:
    if value == SELFTEST_AET:
        raise ValueError(f"{SELFTEST_AET} is reserved for the node's own self-tests")
    return value


AeTitle = Annotated[str, AfterValidator(_check_ae_title)]
Name = Annotated[str, AfterValidator(_check_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class Section(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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


class ServerTlsSection(Section):
    """`[intake.tls]`, `[web.tls]`: PEM files, relative to the configuration file."""

    certificate: Path
    key: Path
    ca: Path | None = None


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
    max_instance_gb: Annotated[float, Field(gt=0, le=4)] = 1.0
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


class ArchiveSection(Section):
    """`[archive]`: where it is, and when studies that are read, answered and proven are purged from it."""

    folder: Path | None = None
    url: Annotated[str, Field(pattern=r"^s3://[^/\s]+(/\S*)?$")] | None = None
    endpoint: WebUrl | None = None
    cache_gb: Annotated[float, Field(gt=0)] = 20.0
    insecure: Annotated[bool, Field(strict=True)] = False
    high_water_percent: Annotated[float, Field(ge=1, le=100)] = 85
    keep_hours: Annotated[float, Field(ge=0)] = 24
    purge_after_days: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _endpoint_is_safe(self) -> ArchiveSection:
        if self.endpoint is not None and self.url is None:
            raise ValueError("endpoint is of no use without url")
        if self.endpoint is not None and is_exposed(self.endpoint) and not self.insecure:
            raise ValueError(
                "images would cross the network in plain text: expected an https endpoint, or insecure = true"
            )
        return self


class ExamSection(Section):
    """`[exam]`."""

    minimum: ExamMinimum = ExamMinimum.ONE_BREAST
    implants: ImplantPolicy = ImplantPolicy.EXCLUDE


class TlsSection(Section):
    """`[broker.tls]`: whom we trust, and who we are. PEM files, relative to the configuration."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> TlsSection:
        if self.key and not self.certificate:
            raise ValueError("key is of no use without certificate")
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
        return _no_secret(value)


class LedgerSection(Section):
    """`[ledger]`."""

    url: str = "embedded"

    @field_validator("url")
    @classmethod
    def _is_ledger(cls, value: str) -> str:
        if value != "embedded" and not value.startswith("postgresql+psycopg://"):
            raise ValueError("expected 'embedded' or postgresql+psycopg://")
        return _no_secret(value)


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


class OverlaySection(Section):
    """`[overlay]`."""

    style: OverlayStyle = OverlayStyle.COLOR
    max_side: Annotated[int, Field(ge=0, le=16384)] = 2048

    @field_validator("max_side")
    @classmethod
    def _is_legible(cls, value: int) -> int:
        if 0 < value < 512:
            raise ValueError("expected 0 (the source grid) or at least 512: the text would not be legible")
        return value


class DestinationTlsSection(TlsSection):
    """`[destination.tls]`: the same, and another name in the server's certificate than its address."""

    server_name: str | None = None


class OAuthSection(Section):
    """`[destination.oauth]`: a token of our own, by client credentials."""

    token_url: WebUrl
    client_id: str
    client_secret_env: Variable
    scope: str = ""
    ca: Path | None = None


class DestinationSection(Section):
    """`[[destination]]`: who gets which results; address, port and AE title, or a URL."""

    name: Name
    kind: Literal["cstore", "stow"] = "cstore"
    address: str | None = None
    port: Port | None = None
    ae_title: AeTitle | None = None
    url: WebUrl | None = None
    token_env: Variable | None = None
    username: str | None = None
    password_env: Variable | None = None
    insecure: bool = False
    oauth: OAuthSection | None = None
    tls: DestinationTlsSection | None = None
    results: tuple[ResultKind, ...] = (ResultKind.CAD_SR, ResultKind.OVERLAY)
    answer_unread: bool = True
    proof: Proof = Proof.NONE
    finding_code: FindingCode = FindingCode.DENSITY

    @model_validator(mode="wrap")
    @classmethod
    def _keys_fit_together(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Check every key, and which belong together: all complaints at once."""
        return whole(value, handler, rules_broken)

    @field_validator("username")
    @classmethod
    def _is_username(cls, value: str | None) -> str | None:
        if value is not None and (not value or ":" in value):
            raise ValueError("a user name is not empty and holds no colon")
        return value

    @field_validator("results")
    @classmethod
    def _names_some(cls, value: tuple[ResultKind, ...]) -> tuple[ResultKind, ...]:
        if not value:
            raise ValueError("names no kind of result")
        return value


def _no_secret(url: str) -> str:
    try:
        parts = urlsplit(url)
        asked = {name.lower() for name, _ in parse_qsl(parts.query)}
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.password or asked & {"password", "passwd", "sslpassword", "credentials"}:
        raise ValueError("holds a password: secrets come by environment, never in the file")
    return url

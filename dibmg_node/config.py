"""`config.toml`: read once, checked whole, handed on as frozen values."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from dibmg_node.domain.exam import ExamMinimum, ExamPolicy, ImplantPolicy
from dibmg_node.domain.result import FindingCode, ResultKind
from dibmg_node.errors import ConfigError

_LONGEST_SOCKET_PATH: Final = 100
"""Bytes: sun_path holds 108 with its end, some systems 104."""


def _check_ae_title(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}", value) or value != value.strip():
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("a name has 1 to 64 letters, digits, '.', '_' and '-'")
    return value


AeTitle = Annotated[str, AfterValidator(_check_ae_title)]
Name = Annotated[str, AfterValidator(_check_name)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NodeSection(_Section):
    """`[node]`."""

    data_dir: Path = Path("var")


class IntakeSection(_Section):
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


class SenderSection(_Section):
    """`[[sender]]`: who may send."""

    ae_title: AeTitle
    address: ipaddress.IPv4Network | ipaddress.IPv6Network
    quiet_seconds: Seconds | None = None

    @field_validator("address", mode="before")
    @classmethod
    def _is_network(cls, value: object) -> object:
        return ipaddress.ip_network(value) if isinstance(value, str) else value


class ExamSection(_Section):
    """`[exam]`."""

    minimum: ExamMinimum = ExamMinimum.ONE_BREAST
    implants: ImplantPolicy = ImplantPolicy.EXCLUDE


class BrokerSection(_Section):
    """`[broker]`."""

    url: str = "embedded"

    @field_validator("url")
    @classmethod
    def _is_broker(cls, value: str) -> str:
        if value != "embedded" and not re.match(r"(redis|rediss|redis\+socket)://", value):
            raise ValueError("expected 'embedded', redis://, rediss:// or redis+socket://")
        return _no_secret(value)


class LedgerSection(_Section):
    """`[ledger]`."""

    url: str = "embedded"

    @field_validator("url")
    @classmethod
    def _is_ledger(cls, value: str) -> str:
        if value != "embedded" and not value.startswith("postgresql+psycopg://"):
            raise ValueError("expected 'embedded' or postgresql+psycopg://")
        return _no_secret(value)


class RuntimeChoice(StrEnum):
    """Who computes the network."""

    AUTO = "auto"
    OPENVINO = "openvino"
    TENSORFLOW = "tensorflow"


class ModelSection(_Section):
    """`[model]`."""

    weights: str = "default"
    runtime: RuntimeChoice = RuntimeChoice.AUTO
    operating_point: str = "default"
    precision: Literal["f32", "bf16"] = "f32"
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    deadline_seconds: Seconds = 120


class WebSection(_Section):
    """`[web]`: checked, but without effect until the node has its dashboard."""

    address: str = "127.0.0.1"
    port: Port = 8080


class OverlaySection(_Section):
    """`[overlay]`."""

    style: Literal["color"] = "color"
    max_side: Annotated[int, Field(ge=0, le=16384)] = 2048

    @field_validator("max_side")
    @classmethod
    def _is_legible(cls, value: int) -> int:
        if 0 < value < 512:
            raise ValueError("expected 0 (the source grid) or at least 512: the text would not be legible")
        return value


class DestinationSection(_Section):
    """`[[destination]]`: who gets which results."""

    name: Name
    kind: str = "cstore"
    address: str
    port: Port
    ae_title: AeTitle
    results: tuple[ResultKind, ...] = (ResultKind.CAD_SR, ResultKind.OVERLAY)
    answer_unread: bool = True
    finding_code: FindingCode = FindingCode.DENSITY

    @field_validator("kind")
    @classmethod
    def _can_send(cls, value: str) -> str:
        if value != "cstore":
            raise ValueError(f"{value!r}: this version delivers by 'cstore' only")
        return value

    @field_validator("results")
    @classmethod
    def _can_write(cls, value: tuple[ResultKind, ...]) -> tuple[ResultKind, ...]:
        if not value:
            raise ValueError("names no kind of result")
        unwritten = set(value) - {ResultKind.CAD_SR, ResultKind.OVERLAY}
        if unwritten:
            raise ValueError(f"{', '.join(sorted(unwritten))} cannot be written by this version")
        return value


class Settings(_Section):
    """The whole of `config.toml`; relative paths in it start at its folder."""

    _path: Path | None = PrivateAttr(default=None)
    node: NodeSection = NodeSection()
    intake: IntakeSection = IntakeSection()
    sender: tuple[SenderSection, ...] = ()
    exam: ExamSection = ExamSection()
    broker: BrokerSection = BrokerSection()
    ledger: LedgerSection = LedgerSection()
    model: ModelSection = ModelSection()
    overlay: OverlaySection = OverlaySection()
    web: WebSection = WebSection()
    destination: tuple[DestinationSection, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> Settings:
        names = [destination.name for destination in self.destination]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"destination name used twice: {', '.join(twice)}")
        return self

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return (self._path.parent if self._path else Path()).absolute()

    @property
    def path(self) -> Path | None:
        """The file; None where every value is the default."""
        return self._path

    @property
    def data_dir(self) -> Path:
        """Where everything that the node keeps lies."""
        return self.folder / self.node.data_dir

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL; the password of a server comes from DIBMG_LEDGER_PASSWORD."""
        if self.ledger.url == "embedded":
            return f"sqlite:///{self.data_dir / 'ledger.sqlite'}"
        return _with_password(self.ledger.url, "DIBMG_LEDGER_PASSWORD")

    @property
    def broker_url(self) -> str:
        """Celery URL; the password of a server comes from DIBMG_BROKER_PASSWORD."""
        if self.broker.url == "embedded":
            return f"redis+socket://{self.broker_socket}"
        return _with_password(self.broker.url, "DIBMG_BROKER_PASSWORD")

    @property
    def broker_socket(self) -> Path:
        """Unix socket of the embedded broker: below data_dir, unless its path is too long for a socket."""
        path = self.data_dir / "broker" / "broker.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(gettempdir()) / f"dibmg-{os.getuid()}-{name}" / "broker.sock"

    @property
    def exam_policy(self) -> ExamPolicy:
        """The site's choices for `select_exam`."""
        return ExamPolicy(self.exam.minimum, self.exam.implants)

    def quiet_time(self, sender_aet: str) -> timedelta:
        """Quiet time of one sender, or the common one."""
        for sender in self.sender:
            if sender.ae_title == sender_aet and sender.quiet_seconds is not None:
                return timedelta(seconds=sender.quiet_seconds)
        return timedelta(seconds=self.intake.quiet_seconds)


def load_settings(path: Path | None) -> Settings:
    """Read and check a configuration file.

    Args:
        path: The file; None takes every default.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    if path is None:
        return Settings()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise ConfigError([_complaint(one) for one in error.errors()]) from error
    settings._path = path.absolute()
    return settings


def _complaint(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"


def _no_secret(url: str) -> str:
    try:
        parts = urlsplit(url)
        asked = {name.lower() for name, _ in parse_qsl(parts.query)}
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.password or asked & {"password", "passwd", "sslpassword", "credentials"}:
        raise ValueError("holds a password: secrets come by environment, never in the file")
    return url


def _with_password(url: str, variable: str) -> str:
    password = os.environ.get(variable)
    if not password:
        return url
    scheme, rest = url.split("://", 1)
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}"

"""`config.toml`: read once, checked whole, handed on as frozen values."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from tempfile import gettempdir
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import (
    PrivateAttr,
    ValidationError,
    model_validator,
)

from dibmg.point_names import names_a_file
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.priority import Priority
from dibmg_node.environment import read_secret
from dibmg_node.errors import ConfigError
from dibmg_node.sections.alarms import AlarmChannelSection, AlarmsSection
from dibmg_node.sections.base import Section
from dibmg_node.sections.destinations import DestinationSection, OverlaySection
from dibmg_node.sections.intake import ExamSection, IntakeSection, NodeSection, SenderSection
from dibmg_node.sections.model import DriftSection, ModelSection
from dibmg_node.sections.stores import (
    ArchiveSection,
    AuditSection,
    BrokerSection,
    LedgerSection,
    SelfTestSection,
)
from dibmg_node.sections.telemetry import TelemetrySection
from dibmg_node.sections.web import StowSection, WebSection

_LONGEST_SOCKET_PATH: Final = 100
"""Bytes: sun_path holds 108 with its end, some systems 104."""

_LIBPQ_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})


_DECISIVE: Final = frozenset({"address", "insecure"})
"""Keys that say how exposed a section is: without them it would be complained of wrongly."""


class InvalidSettingsError(ConfigError):
    """A configuration file is not valid.

    Attributes:
        rest: Settings of what is valid in it; None: too little is.
    """

    def __init__(self, complaints: list[str], rest: Settings | None) -> None:
        super().__init__(complaints)
        self.rest = rest


class Settings(Section):
    """The whole of `config.toml`; relative paths in it start at its folder."""

    _path: Path | None = PrivateAttr(default=None)
    node: NodeSection = NodeSection()
    intake: IntakeSection = IntakeSection()
    sender: tuple[SenderSection, ...] = ()
    archive: ArchiveSection = ArchiveSection()
    exam: ExamSection = ExamSection()
    broker: BrokerSection = BrokerSection()
    ledger: LedgerSection = LedgerSection()
    model: ModelSection = ModelSection()
    drift: DriftSection = DriftSection()
    overlay: OverlaySection = OverlaySection()
    audit: AuditSection = AuditSection()
    selftest: SelfTestSection = SelfTestSection()
    web: WebSection | None = None
    stow: StowSection = StowSection()
    destination: tuple[DestinationSection, ...] = ()
    alarms: AlarmsSection = AlarmsSection()
    telemetry: TelemetrySection = TelemetrySection()
    alarm_channel: tuple[AlarmChannelSection, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _stow_wants_web(cls, content: Any) -> Any:
        """STOW-RS is served at the web address, whether the file names it or not."""
        stow = content.get("stow") if isinstance(content, dict) else None
        if isinstance(stow, dict) and stow.get("enabled") is True:
            return {"web": {}, **content}
        return content

    @model_validator(mode="after")
    def _names_differ(self) -> Settings:
        for kind, several in (("destination", self.destination), ("alarm_channel", self.alarm_channel)):
            names = [one.name for one in several]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} name used twice: {', '.join(twice)}")
        return self

    def with_roles(self, roles: Sequence[str]) -> Settings:
        """The same settings for a node of these roles.

        Raises:
            ConfigError: One of them is none.
        """
        try:
            node = NodeSection.model_validate({**self.node.model_dump(), "roles": roles})
        except ValidationError as error:
            raise ConfigError([_complaint(one) for one in error.errors()]) from error
        return self.model_copy(update={"node": node})

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
    def node_name(self) -> str:
        """How this node signs in the ledger, which others may share."""
        return self.node.name or gethostname()

    @property
    def shares_archive(self) -> bool:
        """Whether images and results lie where other nodes reach them."""
        return self.archive.folder is not None or self.archive.url is not None

    @property
    def archive_folder(self) -> Path:
        """Where images and results lie: below the data folder, or in a folder that several nodes share."""
        named = self.archive.folder
        return self.data_dir / "archive" if named is None else self.folder / named

    @property
    def weights(self) -> str:
        """Name of a released set, or the path of a folder that the configuration names."""
        return self._weights(self.model.weights)

    @property
    def operating_point(self) -> str:
        """Name of a point in the weights' manifest, or the path of a file of points."""
        return self._operating_point(self.model.operating_point)

    @property
    def shadow(self) -> tuple[str, str] | None:
        """Weights and operating point of the shadow model, as `weights` and `operating_point` are."""
        shadow = self.model.shadow
        if shadow is None:
            return None
        return self._weights(shadow.weights), self._operating_point(shadow.operating_point)

    def _weights(self, named: str) -> str:
        folder = self.folder / named
        return str(folder) if (folder / "manifest.json").is_file() else named

    def _operating_point(self, named: str) -> str:
        return str(self.folder / named) if names_a_file(named) else named

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL; the password of a server comes from DIBMG_LEDGER_PASSWORD."""
        if self.ledger.url == "embedded":
            return f"sqlite:///{self.data_dir / 'ledger.sqlite'}"
        return self._with_files(_with_password(self.ledger.url, "DIBMG_LEDGER_PASSWORD"))

    @property
    def broker_url(self) -> str:
        """Celery URL; the password of a server comes from DIBMG_BROKER_PASSWORD."""
        if self.broker.url == "embedded":
            return f"redis+socket://{self.broker_socket}"
        return _with_password(self.broker.url, "DIBMG_BROKER_PASSWORD")

    def _with_files(self, url: str) -> str:
        """The URL with files of libpq's TLS as they are seen from everywhere."""
        address, mark, query = url.partition("?")
        parameters = [
            (name, str(self.folder / value) if name in _LIBPQ_FILES and value != "system" else value)
            for name, value in parse_qsl(query, keep_blank_values=True)
        ]
        return address + mark + urlencode(parameters)

    @property
    def broker_socket(self) -> Path:
        """Unix socket of the embedded broker: below data_dir, unless its path is too long for a socket."""
        path = self.data_dir / "broker" / "broker.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(gettempdir()) / f"dibmg-{os.getuid()}-{name}" / "broker.sock"

    @property
    def web_tokens(self) -> tuple[str, ...]:
        """Bearer tokens of DICOMweb, from the environment variable `stow.token_env` or the file `..._FILE`.

        Several, separated by blanks or lines, hold at once: one is renewed while its clients still use it.
        """
        return tuple(read_secret(self.stow.token_env).split())

    @property
    def users_file(self) -> Path:
        """Who may log in to the pages; `dibmg user` writes it."""
        named = self.web.users if self.web else None
        return self.data_dir / "web" / "users.json" if named is None else self.folder / named

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

    def priority(self, sender_aet: str) -> Priority | None:
        """Priority of what one sender sends; None: what its images say."""
        named = (one.priority for one in self.sender if one.ae_title == sender_aet)
        return next((priority for priority in named if priority is not None), None)


def load_settings(path: Path | None) -> Settings:
    """Read and check a configuration file.

    Args:
        path: The file; None takes every default.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key; InvalidSettingsError where
            the file could be read.
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
        rest = _without(content, error)
        raise InvalidSettingsError([_complaint(one) for one in error.errors()], _of(rest, path)) from error
    settings._path = path.absolute()
    return settings


def _of(content: dict[str, Any], path: Path) -> Settings | None:
    try:
        settings = Settings.model_validate(content)
    except ValidationError:
        return None
    settings._path = path.absolute()
    return settings


def _without(content: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The content without what is wrong: the key alone where nothing else depends on it, else its section."""
    rest = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    for one in error.errors():
        section, *keys = one["loc"] or ("",)
        part = rest.get(str(section))
        key = keys[0] if len(keys) == 1 else None
        if isinstance(part, dict) and key not in _DECISIVE and not isinstance(part.get(key, {}), dict):
            del part[key]
        else:
            rest.pop(str(section), None)
    if "intake" in content and "intake" not in rest:
        rest.pop("sender", None)  # whether certificates are asked for is not known
    return rest


def _complaint(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"


def _with_password(url: str, variable: str) -> str:
    """The URL with the password that the environment, or the file that it names, holds."""
    password = read_secret(variable)
    if not password:
        return url
    scheme, rest = url.split("://", 1)
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}@{host}"

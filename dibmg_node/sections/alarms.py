"""`[alarms]` and `[[alarm_channel]]`: what a person should know of, and how it is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, field_validator, model_validator

from dibmg_node.sections.base import Name, Port, Section
from dibmg_node.sections.values import Variable, WebUrl, is_exposed, is_loopback, whole

_WEBHOOK_KEYS: Final = ("url", "url_env", "token_env")
_EMAIL_KEYS: Final = ("host", "port", "security", "username", "password_env", "from_address", "to")
_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}

Limit = Annotated[float, Field(ge=0, le=1_000_000)]
Wait = Annotated[float, Field(ge=0, le=86_400)]


class AlarmsSection(Section):
    """`[alarms]`: from where on something is an alarm; 0: never."""

    waiting_minutes: Limit = 15
    delivery_minutes: Limit = 60
    disk_hours: Limit = 24
    certificate_days: Limit = 30
    failed_studies: Annotated[int, Field(ge=0)] = 1
    audit_minutes: Limit = 15
    processes: Annotated[bool, Field(strict=True)] = True
    quarantine: Annotated[bool, Field(strict=True)] = True
    selftest: Annotated[bool, Field(strict=True)] = True
    drift: Annotated[bool, Field(strict=True)] = True
    hold_seconds: Wait = 60
    clear_seconds: Wait = 300


class AlarmChannelSection(Section):
    """`[[alarm_channel]]`: a webhook, or addresses by e-mail."""

    name: Name
    kind: Literal["webhook", "email"]
    url: WebUrl | None = None
    url_env: Variable | None = None
    token_env: Variable | None = None
    host: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._:-]+$")] | None = None
    port: Port | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password_env: Variable | None = None
    from_address: str | None = None
    to: tuple[str, ...] = ()
    ca: Path | None = None
    insecure: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="wrap")
    @classmethod
    def _keys_fit_together(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Check every key, and which belong together: all complaints at once."""
        return whole(value, handler, _rules_broken)

    @field_validator("from_address", "to")
    @classmethod
    def _are_addresses(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for one in (value,) if isinstance(value, str) else value or ():
            if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", one):
                raise ValueError("expected an address alone, such as pacs@clinic.example")
        return value

    @property
    def smtp_port(self) -> int:
        """The mail server's port, that of its security by default."""
        return self.port or _PORTS[self.security]


def _rules_broken(channel: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Complaints about a channel as the file has it, each with the path of its key."""
    kind = channel.get("kind")
    if kind == "webhook":
        yield from (((key,), "is of kind 'email' only") for key in _EMAIL_KEYS if key in channel)
        if ("url" in channel) == ("url_env" in channel):
            yield ("url",), "one of url and url_env is needed with kind 'webhook'"
        yield from _encryption(channel, is_exposed(channel.get("url")))
    elif kind == "email":
        yield from (((key,), "is of kind 'webhook' only") for key in _WEBHOOK_KEYS if key in channel)
        needed = ("host", "from_address", "to")
        yield from (((key,), "is needed with kind 'email'") for key in needed if not channel.get(key))
        if ("username" in channel) != ("password_env" in channel):
            yield ("username",), "username and password_env belong together"
        plain = channel.get("security") == "none" and not is_loopback(str(channel.get("host", "localhost")))
        yield from _encryption(channel, plain)


def _encryption(channel: Mapping[str, Any], in_plain_text: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if in_plain_text and channel.get("insecure") is not True:
        yield ("insecure",), "alarms would cross the network in plain text: encrypt, or say insecure = true"
    if channel.get("insecure") is True and not in_plain_text and "url_env" not in channel:
        yield ("insecure",), "nothing crosses the network in plain text here: leave it out"

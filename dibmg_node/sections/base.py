"""Kinds of name, and what the sections of `config.toml` have in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from dibmg_node.domain.selftest import SELFTEST_AET


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
    """Frozen; an unknown key is an error, and so is a number without end."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class ServerTlsSection(Section):
    """`[intake.tls]`, `[web.tls]`: PEM files, relative to the configuration file."""

    certificate: Path
    key: Path
    ca: Path | None = None


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


def no_secret(url: str) -> str:
    """A URL as it is, unless a password is in it."""
    try:
        parts = urlsplit(url)
        asked = {name.lower() for name, _ in parse_qsl(parts.query)}
    except ValueError as error:
        raise ValueError("is not a URL") from error
    if parts.password or asked & {"password", "passwd", "sslpassword", "credentials"}:
        raise ValueError("holds a password: secrets come by environment, never in the file")
    return url

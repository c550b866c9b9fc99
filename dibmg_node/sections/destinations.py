"""`[overlay]` and `[[destination]]`: what is sent, and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    field_validator,
    model_validator,
)

from dibmg_node.domain.lifecycle import Proof
from dibmg_node.domain.result import FindingCode, OverlayStyle, ResultKind
from dibmg_node.sections.base import AeTitle, Name, Port, Section, TlsSection
from dibmg_node.sections.destination_rules import rules_broken
from dibmg_node.sections.values import Variable, WebUrl, whole


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

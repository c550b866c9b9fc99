"""Sections of `config.toml` about the web: where it answers, who logs in by whom, what it takes."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from dibmg_node.sections.base import Port, Section, ServerTlsSection
from dibmg_node.sections.values import Variable, WebUrl, is_exposed


class OidcSection(Section):
    """`[web.oidc]`: people log in at a provider of OpenID Connect.

    Attributes:
        issuer: As the provider writes it, to the letter.
        public_url: Where browsers reach these pages; the provider sends them back to
            `public_url/login/oidc/callback`.
        roles_claim: Claim of the ID token with a person's roles or groups; its name, or a path with dots.
        viewer: Values of it that make a viewer.
        operator: Values of it that make an operator.
    """

    issuer: WebUrl
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_env: Variable | None = None
    public_url: WebUrl
    scope: Annotated[str, Field(pattern="^openid( [!#-\\[\\]-~]+)*$")] = "openid profile"
    roles_claim: Annotated[str, Field(pattern="^[^.]+([.][^.]+)*$")] = "roles"
    viewer: tuple[str, ...] = ()
    operator: tuple[str, ...] = ()
    ca: Path | None = None

    @field_validator("issuer", "public_url")
    @classmethod
    def _is_protected(cls, value: str) -> str:
        if is_exposed(value):
            raise ValueError("a login needs https://, but for an address of this machine")
        return value

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
        if not (self.viewer or self.operator):
            raise ValueError("nobody could log in: name values of roles_claim as viewer or operator")
        return self


class WebSection(Section):
    """`[web]`: where the node answers by HTTP, if it is in the file at all.

    Attributes:
        public_url: Where others reach it, through a proxy, say; of the answers' Retrieve URLs.
    """

    address: str = "127.0.0.1"
    port: Port = 8080
    insecure: Annotated[bool, Field(strict=True)] = False
    users: Path | None = None
    public_url: WebUrl | None = None
    tls: ServerTlsSection | None = None
    oidc: OidcSection | None = None

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        ipaddress.ip_address(value)
        return value

    @property
    def known_as(self) -> str:
        """Where others reach it: as `public_url` says, or that of `[web.oidc]`; empty: as they call it."""
        return self.public_url or (self.oidc.public_url if self.oidc else "")


class StowSection(Section):
    """`[stow]`: STOW-RS as a server, on the web port."""

    enabled: Annotated[bool, Field(strict=True)] = False
    token_env: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] = "DIBMG_STOW_TOKEN"
    max_request_gb: Annotated[float, Field(gt=0, le=64)] = 8.0
    max_instances: Annotated[int, Field(ge=1, le=100_000)] = 2000

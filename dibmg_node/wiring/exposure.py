"""Who can reach the node and how he is kept out: plain text off loopback is never an accident."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dibmg_node.config import Settings
from dibmg_node.environment import need_secret, read_secret
from dibmg_node.errors import ConfigError
from dibmg_node.sections.base import ServerTlsSection
from dibmg_node.sections.intake import IntakeSection
from dibmg_node.sections.web import OidcSection, WebSection
from dibmg_node.services.tls import ServerTls, TlsFiles, trust_of
from dibmg_node.wiring.role_choice import Role, roles_of

_SESSION_KEY: Final = "DIBMG_SESSION_KEY"
_SHORTEST_KEY: Final = 16


def check_exposure(settings: Settings) -> None:
    """Whether what listens is as protected as its address asks for, and its TLS files can be used.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    for role, look, open_tls in (
        (Role.INTAKE, _intake_complaints, open_intake_tls),
        (Role.WEB, _web_complaints, open_web_tls),
    ):
        if role not in roles_of(settings):
            continue  # another machine listens, and has the files
        complaints += look(settings)
        try:
            open_tls(settings)
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(complaints)


def is_exposed(section: IntakeSection | WebSection) -> bool:
    """Whether other machines reach what listens there."""
    return not ipaddress.ip_address(section.address).is_loopback


def is_insecure(section: IntakeSection | WebSection) -> bool:
    """Whether other machines reach it in plain text, because the configuration says that they may."""
    return is_exposed(section) and section.tls is None


def is_login_needed(settings: Settings) -> bool:
    """Whether the pages ask for a login even where nobody was made a user yet.

    A token or a clients' CA says that a proxy or other machines stand before the loopback address too, and a
    provider of logins, or a file of users that is named, that people are to log in.
    """
    web = settings.web
    if web is None:
        return False
    asked = settings.web_tokens or web.oidc or web.users or (web.tls and web.tls.ca)
    return is_exposed(web) or bool(asked)


def comes_by_https(settings: Settings) -> bool:
    """Whether browsers come by HTTPS: to the node, or to the proxy that `public_url` names."""
    web = settings.web
    if web is None:
        return False
    return bool(web.tls) or urlsplit(web.known_as).scheme == "https"


def given_session_key() -> str:
    """What signs sessions, from the environment; empty where there is none.

    Raises:
        ConfigError: It is too short, or the file that the environment names cannot be read.
    """
    given = read_secret(_SESSION_KEY)
    if given and len(given) < _SHORTEST_KEY:
        raise ConfigError([f"{_SESSION_KEY}: expected at least {_SHORTEST_KEY} characters"])
    return given


def missing_users(settings: Settings) -> Path | None:
    """The file of users, where the configuration names one that is not there: nobody is in it."""
    web = settings.web
    if web is None or web.users is None or Role.WEB not in roles_of(settings):
        return None
    return None if settings.users_file.exists() else settings.users_file


def open_intake_tls(settings: Settings) -> ServerTls | None:
    """TLS of the associations that are accepted; None: plain DICOM.

    Raises:
        ConfigError: A file cannot be used.
    """
    return _open(settings, settings.intake.tls, "intake.tls")


def open_web_tls(settings: Settings) -> ServerTls | None:
    """TLS of the web server; None: plain HTTP.

    Raises:
        ConfigError: A file cannot be used.
    """
    return _open(settings, settings.web.tls if settings.web else None, "web.tls")


def _open(settings: Settings, tls: ServerTlsSection | None, key_path: str) -> ServerTls | None:
    if tls is None:
        return None
    folder = settings.folder
    files = TlsFiles(tls.ca and folder / tls.ca, folder / tls.certificate, folder / tls.key)
    return ServerTls(files, key_path)


def _intake_complaints(settings: Settings) -> Iterator[str]:
    intake = settings.intake
    mutual = intake.tls is not None and intake.tls.ca is not None
    if is_exposed(intake) and not intake.insecure:
        if intake.tls is None:
            yield (
                f"intake.address: {intake.address} is reached from other machines, and plain DICOM is "
                "neither encrypted nor authenticated: add [intake.tls] with certificate, key and ca, or "
                "accept that with insecure = true in [intake]"
            )
        elif not mutual:
            yield (
                f"intake.tls.ca: is needed, for {intake.address} is reached from other machines: clients "
                "have to show a certificate; or accept that they do not with insecure = true in [intake]"
            )
    for place, sender in enumerate(settings.sender):
        if sender.certificate_subject is not None and not mutual:
            yield f"sender.{place}.certificate_subject: no certificate is asked for without intake.tls.ca"


def _web_complaints(settings: Settings) -> Iterator[str]:
    web = settings.web
    try:
        given_session_key()
    except ConfigError as error:
        yield from error.complaints
    if web is not None and web.oidc is not None:
        yield from _oidc_complaints(settings, web.oidc)
    if web is None or not is_exposed(web):
        return
    if web.tls is None and not web.insecure:
        yield (
            f"web.address: {web.address} is reached from other machines, and plain HTTP can be read on the "
            "network: add [web.tls] with certificate and key, or accept that with insecure = true in [web]"
        )
    if not (settings.web_tokens or (web.tls and web.tls.ca)):
        yield (
            f"web.address: {web.address} is reached from other machines: put a token into the "
            f"environment variable {settings.stow.token_env} (stow.token_env), or name the clients' CA "
            "in web.tls.ca"
        )


def _oidc_complaints(settings: Settings, oidc: OidcSection) -> Iterator[str]:
    if oidc.client_secret_env:
        try:
            need_secret(oidc.client_secret_env)
        except ConfigError as error:
            yield from (f"web.oidc.client_secret_env: {one}" for one in error.complaints)
    try:
        trust_of(TlsFiles(ca=oidc.ca and settings.folder / oidc.ca))
    except OSError as error:
        yield f"web.oidc.ca: the file cannot be used: {error.strerror or error}"

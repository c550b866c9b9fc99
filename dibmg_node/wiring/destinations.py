"""Destinations: from their sections of the settings to the senders that reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from dibmg_node.config import Settings
from dibmg_node.domain.lifecycle import Proof
from dibmg_node.environment import need_secret
from dibmg_node.errors import ConfigError
from dibmg_node.sections.destinations import DestinationSection, DestinationTlsSection, OAuthSection
from dibmg_node.services.commitment import CommitmentWitness
from dibmg_node.services.credentials import Anonymous, Basic, Bearer, ClientCredentials, Credentials
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.presence import CFindSearch, QidoSearch, QueryWitness
from dibmg_node.services.proving import Witness
from dibmg_node.services.reports import Reports
from dibmg_node.services.scu import DimsePeer
from dibmg_node.services.stow import StowSender
from dibmg_node.services.tls import TlsFiles, trust_of
from dibmg_node.services.web_service import WebService
from dibmg_node.storage.proofs import Proofs

Clock = Callable[[], datetime]


def open_senders(settings: Settings, now: Clock) -> dict[str, CStoreSender | StowSender]:
    """A sender for every destination, by its name."""
    return {one.name: _sender(settings, one, now) for one in settings.destination}


def open_witnesses(settings: Settings, proofs: Proofs, now: Clock) -> dict[str, Witness]:
    """A witness for every destination that is asked for a proof, by its name."""
    return {
        one.name: _witness(settings, one, proofs, now)
        for one in settings.destination
        if one.proof is not Proof.NONE
    }


def check_destinations(settings: Settings) -> None:
    """Whether the secrets and the TLS files that destinations name are there; nothing is sent.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    for place, destination in enumerate(settings.destination):
        path = f"destination.{place}"
        oauth = destination.oauth
        for key, variable in (
            ("token_env", destination.token_env),
            ("password_env", destination.password_env),
            ("oauth.client_secret_env", oauth and oauth.client_secret_env),
        ):
            if variable:
                with _collected(complaints, f"{path}.{key}"):
                    need_secret(variable)
        if destination.tls:
            with _collected(complaints, f"{path}.tls"):
                trust_of(_tls_files(settings, destination.tls))
        if oauth and oauth.ca:
            with _collected(complaints, f"{path}.oauth.ca"):
                trust_of(TlsFiles(ca=settings.folder / oauth.ca))
    if complaints:
        raise ConfigError(complaints)


def _sender(settings: Settings, destination: DestinationSection, now: Clock) -> CStoreSender | StowSender:
    match destination:
        case DestinationSection(kind="stow", url=str(url)):
            service = open_web_service(settings, destination, url, now)
            return StowSender(url, service.credentials, service.tls, now)
    peer = open_dimse_peer(settings, destination)
    return CStoreSender(peer.calling_aet, peer.called_aet, peer.address, peer.port, peer.tls)


def open_dimse_peer(settings: Settings, destination: DestinationSection) -> DimsePeer:
    """The AE of a destination of kind `cstore`."""
    match destination:
        case DestinationSection(kind="cstore", address=str(address), port=int(port), ae_title=str(ae_title)):
            tls = _tls_files(settings, destination.tls) if destination.tls else None
            return DimsePeer(settings.intake.ae_title, ae_title, address, port, tls)
    raise AssertionError("the rules of a destination let no other one pass")


def _witness(settings: Settings, destination: DestinationSection, proofs: Proofs, now: Clock) -> Witness:
    match destination:
        case DestinationSection(kind="stow", url=str(url)):
            return QueryWitness(QidoSearch(open_web_service(settings, destination, url, now)))
    peer = open_dimse_peer(settings, destination)
    if destination.proof is Proof.QUERY:
        return QueryWitness(CFindSearch(peer))
    return CommitmentWitness(peer, destination.name, proofs, Reports(proofs, now), now)


def open_web_service(settings: Settings, destination: DestinationSection, url: str, now: Clock) -> WebService:
    """The DICOMweb service of a destination."""
    tls = _tls_files(settings, destination.tls) if destination.tls else TlsFiles()
    return WebService(url, _credentials(settings, destination), tls, now)


def _credentials(settings: Settings, destination: DestinationSection) -> Credentials:
    match destination:
        case DestinationSection(token_env=str(variable)):
            return Bearer(partial(need_secret, variable))
        case DestinationSection(username=str(username), password_env=str(variable)):
            return Basic(username, partial(need_secret, variable))
        case DestinationSection(oauth=OAuthSection() as oauth):
            secret = partial(need_secret, oauth.client_secret_env)
            trusted = TlsFiles(ca=oauth.ca and settings.folder / oauth.ca)
            return ClientCredentials(oauth.token_url, oauth.client_id, secret, oauth.scope, trusted)
    return Anonymous()


def _tls_files(settings: Settings, tls: DestinationTlsSection) -> TlsFiles:
    ca, certificate, key = (path and settings.folder / path for path in (tls.ca, tls.certificate, tls.key))
    return TlsFiles(ca, certificate, key, tls.server_name)


@contextmanager
def _collected(complaints: list[str], path: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        complaints += [f"{path}: {one}" for one in error.complaints]
    except OSError as error:
        complaints.append(f"{path}: a file cannot be used: {error.strerror or error}")

"""HTTPS: a server certificate, and where a CA is named a client's, too."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from dibmg_node.errors import ConfigError
from dibmg_node.services.tls import ServerTls, TlsFiles
from dibmg_node.web.server import WebServer
from tests.services.test_acceptor_tls import certificates, client_context, server_tls  # noqa: F401 - a fixture
from tests.web.conftest import WebSide

Serve = Callable[..., WebServer]


def get(server: WebServer, context: ssl.SSLContext) -> int:
    return httpx2.get(f"https://127.0.0.1:{server.port}/health/live", verify=context).status_code


def test_who_shows_a_certificate_of_the_ca_is_answered(
    web: WebSide,
    serve: Serve,
    certificates: Path,  # noqa: F811
) -> None:
    server = serve(web.app(), tls=server_tls(certificates, "ca.crt"))

    assert get(server, client_context(certificates)) == 200


def test_who_shows_no_certificate_is_not_answered_where_a_ca_is_named(
    web: WebSide,
    serve: Serve,
    certificates: Path,  # noqa: F811
) -> None:
    server = serve(web.app(), tls=server_tls(certificates, "ca.crt"))

    with pytest.raises(httpx2.TransportError):
        get(server, client_context(certificates, None))


def test_without_a_ca_no_certificate_is_asked_for(web: WebSide, serve: Serve, certificates: Path) -> None:  # noqa: F811
    server = serve(web.app(), tls=server_tls(certificates, None))

    assert get(server, client_context(certificates, None)) == 200


def test_plain_http_to_the_tls_port_is_not_answered(web: WebSide, serve: Serve, certificates: Path) -> None:  # noqa: F811
    server = serve(web.app(), tls=server_tls(certificates, None))

    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"http://127.0.0.1:{server.port}/health/live")


@pytest.mark.parametrize(
    ("certificate", "key", "ca", "named"),
    [
        ("missing.crt", "node.key", None, "web.tls.certificate"),
        ("node.crt", "mg1.key", None, "web.tls.certificate, web.tls.key"),
        ("node.crt", "node.key", "node.key", "web.tls.ca"),
    ],
)
def test_files_that_cannot_be_used_are_a_complaint(
    certificates: Path,  # noqa: F811
    certificate: str,
    key: str,
    ca: str | None,
    named: str,
) -> None:
    files = TlsFiles(ca and certificates / ca, certificates / certificate, certificates / key)

    with pytest.raises(ConfigError, match=named):
        ServerTls(files, "web.tls")

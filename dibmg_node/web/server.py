"""The web server: one listening socket, uvicorn on a thread of its own, drain."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp
from uvicorn import Config, Server

from dibmg_node.services.tls import ServerTls
from dibmg_node.web.protocol import DeadlineProtocol

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 5
_LONGEST_HEAD: Final = 16 * 1024
_BACKLOG: Final = 128


@dataclass(frozen=True)
class WebAddress:
    """Where the server listens, and what it bears.

    Attributes:
        port: 0: any free port; `WebServer.port` tells which.
        tls: Server side; None: plain HTTP.
        most_connections: More at once are answered 503.
        drain_seconds: For requests on their way at the end.
    """

    address: str
    port: int
    tls: ServerTls | None = None
    most_connections: int = 64
    drain_seconds: int = 20


class WebServer:
    """Serves an application."""

    def __init__(
        self, app: ASGIApp, where: WebAddress, protocol: type[DeadlineProtocol] = DeadlineProtocol
    ) -> None:
        """Make a server that does not listen yet."""
        self._where = where
        self._port = where.port
        tls = where.tls
        self._server = Server(
            Config(
                app,
                loop="asyncio",
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would write URLs, and those of QIDO-RS hold patient data
                proxy_headers=False,
                server_header=False,
                limit_concurrency=where.most_connections,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=where.drain_seconds,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
                ssl_context_factory=None if tls is None else lambda config, default: tls.context,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; where the settings say 0, known after `start`."""
        return self._port

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            OSError: The address cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in self._where.address else socket.AF_INET
        address = (self._where.address, self._where.port)
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        # on a thread: uvicorn on the main one would take the signals for itself
        self._thread = threading.Thread(target=self._serve, args=([listener],), name="web", daemon=True)
        self._thread.start()
        _log.info("web server listening", extra={"address": self._where.address, "port": self._port})

    def renew(self) -> None:
        """Read the files of TLS anew; requests on their way go on."""
        if self._where.tls is not None:
            self._where.tls.renew_or_keep()

    def stop(self) -> None:
        """Stop listening, let requests on their way be finished, cut what is left."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        _log.info("web server stopped")

    def _serve(self, listeners: Sequence[socket.socket]) -> None:
        self._server.run(list(listeners))

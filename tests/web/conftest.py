"""A node's web side without its other processes: in memory, and as a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.intake import Intake
from dibmg_node.services.lookup import Lookup
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.web.access import Bearer
from dibmg_node.web.app import make_app
from dibmg_node.web.body import BodyLimits
from dibmg_node.web.health import HealthService
from dibmg_node.web.protocol import DeadlineProtocol
from dibmg_node.web.retrieve import RetrieveService
from dibmg_node.web.search import SearchService
from dibmg_node.web.server import WebAddress, WebServer
from dibmg_node.web.stow import StowLimits, StowService
from tests.factories import Clock
from tests.services.test_intake import POLICY

BODY = BodyLimits(
    longest=10_000_000, idle=timedelta(seconds=30), grace=timedelta(seconds=15), minimum_rate=10_000
)
LIMITS = StowLimits(BODY, longest_instance=1_000_000, most_instances=20, most_requests=4)


@dataclass
class WebSide:
    """Makes applications over one archive and one ledger."""

    archive: Archive
    ledger: Ledger
    clock: Clock

    def app(
        self,
        limits: StowLimits = LIMITS,
        token: str | None = None,
        loopback_names_only: bool = False,
        stow: bool = True,
        most_studies: int = 2000,
        audit: Auditor = SILENT,
        **policy: Any,
    ) -> Starlette:
        """An application; `policy` changes intake's."""
        intake = Intake(self.archive, self.ledger.receipts, replace(POLICY, **policy), self.clock)
        lookup = Lookup(self.ledger.catalog, self.archive, most_studies)
        return make_app(
            search=SearchService(lookup, audit),
            retrieve=RetrieveService(lookup, audit),
            health=HealthService(intake, self.ledger.views),
            stow=StowService(intake, limits) if stow else None,
            bearer=Bearer(lambda: [] if token is None else token.split()),
            loopback_names_only=loopback_names_only,
            audit=audit,
        )

    def client(self, *args: Any, **kwargs: Any) -> TestClient:
        """Asks an application without a socket."""
        return TestClient(self.app(*args, **kwargs), base_url="http://node")

    def files(self, folder: str) -> list[Path]:
        """Files in a folder of the archive."""
        return [path for path in (self.archive.root / folder).rglob("*") if path.is_file()]

    def stored(self, study_uid: str) -> int:
        """Number of instances that the ledger has of a study."""
        study = self.ledger.views.study(study_uid)
        return 0 if study is None else len(study["instances"])


@pytest.fixture
def web(archive: Archive, ledger: Ledger, clock: Clock) -> WebSide:
    return WebSide(archive, ledger, clock)


class Impatient(DeadlineProtocol):
    """Waits for nobody."""

    head_seconds = 0.2
    stall_seconds = 0.2


@pytest.fixture
def serve() -> Iterator[Callable[..., WebServer]]:
    """Real servers on a port of their own, stopped after the test."""
    with ExitStack() as servers:

        def start(
            app: Starlette, protocol: type[DeadlineProtocol] = DeadlineProtocol, **where: Any
        ) -> WebServer:
            server = WebServer(app, WebAddress("127.0.0.1", 0, **where), protocol)
            server.start()
            servers.callback(server.stop)
            return server

        yield start

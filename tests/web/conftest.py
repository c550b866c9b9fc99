"""A node's web side without its other processes: in memory, and as a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dibmg_node.health.capacity import foresee
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.intake import Intake
from dibmg_node.services.lookup import Lookup
from dibmg_node.services.patients import Patients
from dibmg_node.services.pictures import Pictures
from dibmg_node.services.trail_desk import TrailDesk
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.growth import Inflow
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.users import Users
from dibmg_node.web.access import Bearer
from dibmg_node.web.app import make_app
from dibmg_node.web.body import BodyLimits
from dibmg_node.web.health import HealthService
from dibmg_node.web.pages.site import SiteAccess, make_site
from dibmg_node.web.protocol import DeadlineProtocol
from dibmg_node.web.retrieve import RetrieveService
from dibmg_node.web.search import SearchService
from dibmg_node.web.server import WebAddress, WebServer
from dibmg_node.web.stow import StowLimits, StowService
from dibmg_node.wiring.selftest_watch import selftest_facts
from tests.factories import START, Clock
from tests.services.sandbox_work import prepare
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
    archive_identity: str | None = None

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.archive, prepare)
        self.drift: dict[str, Any] = {"reference": "none", "minimum": 100, "devices": []}
        self.shadow: dict[str, Any] | None = None
        self.beside: list[str] = []
        self.turned_away: list[TurnedAway] = []
        self.patients = Patients(self.archive, SILENT.patient)

    def app(
        self,
        limits: StowLimits = LIMITS,
        token: str | None = None,
        loopback_names_only: bool = False,
        stow: bool = True,
        most_studies: int = 2000,
        audit: Auditor = SILENT,
        login_always: bool = False,
        **policy: Any,
    ) -> Starlette:
        """An application; `policy` changes intake's."""
        bearer = Bearer(lambda: [] if token is None else token.split())
        intake = Intake(self.archive, self.ledger.receipts, replace(POLICY, **policy), self.clock)
        lookup = Lookup(self.ledger.catalog, self.archive, self.archive_identity, most_studies)
        return make_app(
            search=SearchService(lookup, audit),
            retrieve=RetrieveService(lookup, audit),
            health=HealthService(intake, self.ledger.views),
            stow=StowService(intake, limits, self.turned_away.append) if stow else None,
            site=self.site(bearer, login_always, audit),
            bearer=bearer,
            loopback_names_only=loopback_names_only,
            audit=audit,
        )

    def site(self, bearer: Bearer, login_always: bool, audit: Auditor) -> Starlette:
        """The pages, of a node that is well."""
        return make_site(
            ledger=self.ledger,
            patients=Patients(self.archive, audit.patient),
            pictures=self.pictures,
            look=self.look,
            now=self.clock,
            access=SiteAccess(self.users, login_always, "a key of some length", tls=False),
            bearer=bearer,
            desk=self.desk(audit),
            audit=audit,
        )

    @property
    def trail_folder(self) -> Path:
        """Of the audit trail, which is there once somebody opens it."""
        return self.archive.root / "audit"

    def desk(self, audit: Auditor = SILENT) -> TrailDesk:
        """Where the trail is read."""
        return TrailDesk(self.trail_folder, self.archive.root / "verified.json", audit, self.clock)

    @property
    def users(self) -> Users:
        """The file of users, with hashes that take no time."""
        return Users(self.archive.root / "users.json", PasswordHasher(1, 8, 1))

    def look(self) -> dict[str, Any]:
        """The node at a glance; without configuration, so with one destination and no process."""
        views, pauses = self.ledger.views, self.ledger.pauses.all()
        return {
            "health": "degraded",
            "reasons": ["sweep does not run", *(one.sentence for one in pauses)],
            "pauses": [vars(one) for one in pauses],
            "processes": [
                {"process": "sweep@host", "alive": False, "pid": None, "since": None, "detail": ""},
                {"process": "sweep@other", "alive": True, "pid": 7, "since": self.clock(), "detail": ""},
            ],
            "broker": {"answers": True, "analyses": 2, "deliveries": 3},
            "studies": views.count_by_state(),
            "oldest_waiting": views.oldest_waiting(),
            "selftest": selftest_facts(24, self.ledger.selftests, self.clock(), [], self.beside),
            "failed_last_day": views.failed_since(self.clock() - timedelta(days=1)),
            "senders": views.last_received(),
            "destinations": [
                {
                    "name": "pacs",
                    "kind": "cstore",
                    "insecure": False,
                    "paused": next((one.sentence for one in pauses if one.name == "pacs"), None),
                    **vars(views.destination("pacs", self.clock() - timedelta(days=1))),
                    **vars(self.ledger.reach.of("pacs")),
                }
            ],
            "shadow": self.shadow,
            "archive": {"quarantined": 0, "missing": 0, "shared": False},
            "certificates": [{"key": "web.tls.ca", "expires_at": START}],
            "audit": {
                "lines": 7,
                "syslog": {"to": "log:6514", "waiting": 3, "oldest_waiting": START.isoformat(), "error": ""},
            },
            "alarms": [
                {"key": "disk", "subject": "", "sentence": "the disk is full", "since": START},
            ],
            "alarm_channels": [{"name": "ops", "kind": "webhook", "insecure": False, "owed": 1}],
            "ledger": {"answers": True, "kind": "SQLite 3", "schema": "0006", "bytes": 10**6},
            "disk": {
                "free_bytes": 10**12,
                "reserve_bytes": 5 * 10**9,
                "forecast": foresee(Inflow(24 * 10**9, timedelta(days=1)), 10**12, 2 * 10**12, 5 * 10**9, 85),
            },
            "model": {
                "name": "synthetic",
                "version": "3",
                "trained_on": "synthetic exams",
                "sha256": "a" * 64,
                "preprocessing_version": "3",
                "input_size": 512,
                "members": 1,
                "whole_members": 2,
                "license": "Apache-2.0",
                "operating_point": {"name": "default", "version": "1"},
            },
            "drift": self.drift,
            "intake": {"ae_title": "DIBMG", "address": "127.0.0.1", "port": 11112},
            "web": {"url": "http://127.0.0.1:8080/dicom-web", "stow": True, "token": False},
        }

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
def web(archive: Archive, ledger: Ledger, clock: Clock) -> Iterator[WebSide]:
    side = WebSide(archive, ledger, clock)
    yield side
    side.pictures.stop()


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

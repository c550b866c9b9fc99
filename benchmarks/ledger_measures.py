"""What is measured on a large ledger: commands, pages, the sweep, and the steps of a study's life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from click.testing import CliRunner
from sqlalchemy import func, select, text
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from benchmarks.ledger_rows import PACS
from benchmarks.timing import Stopwatch, Timing
from dibmg_node.cli.main import cli
from dibmg_node.cli.studies import studies as studies_command
from dibmg_node.config import Settings
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.domain.priority import Priority
from dibmg_node.domain.study import STANDARD_VIEWS
from dibmg_node.health.conditions import conditions
from dibmg_node.health.look import look
from dibmg_node.sections.alarms import AlarmsSection
from dibmg_node.services.analysis import LEASE
from dibmg_node.services.audit import SILENT
from dibmg_node.services.sweep import Sweep
from dibmg_node.storage.alarms import Damping
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema import instances, studies
from dibmg_node.wiring import foundation
from dibmg_node.wiring.receiving import make_intake
from dibmg_node.wiring.role_choice import roles_of
from dibmg_node.wiring.serving import make_web_app
from tests.factories import PATIENCE, archive_data_set, instance, mammogram, received

LIMIT_MS: Final = 200.0
SWEEP_LIMIT_MS: Final = 100.0

_FILTERS: Final[dict[str, str | Callable[[datetime], str]]] = {
    "state": "FAILED",
    "sender": "MG3",
    "manufacturer": "Other",
    "begin": lambda now: f"{now - timedelta(days=400):%Y-%m-%d}",
    "end": lambda now: f"{now - timedelta(days=400):%Y-%m-%d}",
    "since": lambda now: f"{now - timedelta(days=400):%Y-%m-%d}",
    "until": lambda now: f"{now - timedelta(days=400):%Y-%m-%d}",
    "min_score": "0.98",
    "max_score": "0.0",
    "score": "0.98",
}
"""One value of every filter, of commands and of the page; scores that hardly any study has."""
_NO_FILTERS: Final = frozenset({"limit", "settings", "as_json"})
_SPANS: Final = {"since": "400d"}
"""Where a command wants a span and the page a day."""


@dataclass
class Node:
    """A node on a seeded ledger, all of it in this process.

    Attributes:
        config: Its file.
    """

    config: Path
    settings: Settings
    ledger: Ledger
    seeded_at: datetime
    _told: int = field(default=0, init=False)

    def analyze(self, study_uid: str, revision: int, priority: Priority) -> None:
        """A publisher that counts: what the broker takes is none of the ledger's."""
        self._told += 1

    def deliver(self, study_uid: str, revision: int, destination: str) -> None:
        """The same."""
        self._told += 1

    def waiting(self) -> tuple[dict[Priority, int], int]:
        """No message is queued."""
        return dict.fromkeys(Priority, 0), 0

    def look(self) -> dict[str, Any]:
        """At a glance."""
        return look(self.settings, self.ledger, roles_of(self.settings))

    def some(self, state: str, number: int) -> list[str]:
        """UIDs of the newest studies in a state."""
        query = select(studies.c.study_uid).where(studies.c.state == state)
        with self.ledger.engine.connect() as connection:
            newest = query.order_by(studies.c.last_instance_at.desc()).limit(number)
            return list(connection.scalars(newest))

    def run(self, statement: str, **values: Any) -> None:
        """Bring the ledger into a state."""
        with self.ledger.engine.begin() as connection:
            connection.execute(text(statement), values)


def measured(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    """Everything, reading things first."""
    yield from _commands(node, watch)
    yield from _pages(node, watch)
    yield from _looks(node, watch)
    yield from _sweeps(node, watch)
    yield from _steps(node, watch)


def filters_of_command() -> list[str]:
    """Filters that `dibmg studies` has."""
    names = [str(one.name) for one in studies_command.params]
    return [name for name in names if name not in _NO_FILTERS]


def _commands(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    runner = CliRunner()

    def timed(*words: str) -> Timing:
        def work() -> None:
            found = runner.invoke(cli, [*words, "--config", str(node.config)])
            if found.exception is not None and not isinstance(found.exception, SystemExit):
                raise found.exception
            if not found.output.strip():
                raise AssertionError(f"dibmg {' '.join(words)} says nothing")

        return watch.measure("command", " ".join(words), work, LIMIT_MS)

    yield timed("status")
    yield timed("status", "--json")
    yield timed("studies")
    yield timed("studies", "--json")
    options = {str(one.name): one.opts[0] for one in studies_command.params}
    for name in filters_of_command():
        value = _SPANS.get(name) or _value(name, node.seeded_at)
        yield timed("studies", options[name], value)
    yield timed("studies", "--state", "DELIVERED")
    yield timed("study", node.some("DELIVERED", 1)[0])
    yield timed("study", node.some("ANALYZED", 1)[0], "--json")
    yield timed("explain", node.some("EXCLUDED", 1)[0])
    yield timed("drift")
    yield timed("alarms")


def pages(app: Starlette) -> list[str]:
    """Paths of the pages that are of no single study."""
    site = next(one.app for one in app.routes if isinstance(one, Mount) and one.path == "")
    routes = [one for one in site.routes if isinstance(one, Route)]  # type: ignore[attr-defined]
    return [one.path for one in routes if "{" not in one.path and "GET" in (one.methods or ())]


def _pages(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    settings, ledger = node.settings, node.ledger
    archive = foundation.open_archive(settings)
    archive.prepare()
    intake = make_intake(settings, ledger, archive, SILENT)
    app = make_web_app(settings, ledger, intake, SILENT, node.look)
    client = TestClient(app, base_url="http://127.0.0.1:8080", follow_redirects=False)

    def timed(path: str) -> Timing:
        def work() -> None:
            answer = client.get(path)
            if answer.status_code not in (200, 303):
                raise AssertionError(f"{path} answered {answer.status_code}")

        _archive_images(node, client, path)
        return watch.measure("page", path, work, LIMIT_MS)

    for path in pages(app):
        yield timed(path)
    for name in ("state", "sender", "manufacturer", "since", "until", "score"):
        yield timed("/studies?" + urlencode({name: _value(name, node.seeded_at)}))
    every = {name: _value(name, node.seeded_at) for name in ("sender", "manufacturer", "since", "score")}
    yield timed("/studies?" + urlencode({**every, "state": "DELIVERED"}))
    yield timed(f"/studies/{node.some('DELIVERED', 1)[0]}")
    yield timed(f"/studies/{node.some('ANALYZED', 1)[0]}")
    yield timed("/health/ready")


def _looks(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    """What a running node does by itself all the time."""
    damping = Damping(timedelta(minutes=1), timedelta(minutes=5), timedelta(seconds=30))
    limits = AlarmsSection()

    def observe() -> None:
        now = foundation.now()
        node.ledger.alarms.observe(conditions(node.look(), limits, now), ["ops"], now, damping, now)

    yield watch.measure("step", "alarms are looked at", observe, LIMIT_MS)


def _sweeps(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    sweep = Sweep(node.ledger, node, foundation.now)
    later = node.seeded_at + timedelta(days=30)

    def settled() -> None:
        node.run("UPDATE studies SET published_at = :later WHERE state = 'READY'", later=_micros(later))
        node.run(
            "UPDATE deliveries SET next_at = :later, published_at = NULL "
            "WHERE destination = :pacs AND state = 'OWED'",
            later=_micros(later),
            pacs=PACS,
        )

    settled()
    yield watch.measure("sweep", "nothing due", sweep.run, SWEEP_LIMIT_MS)

    def nobody_told() -> None:
        node.run("UPDATE studies SET published_at = NULL WHERE state = 'READY'")

    yield watch.measure("sweep", "every READY study untold", sweep.run, SWEEP_LIMIT_MS, nobody_told)
    settled()

    def resume() -> None:
        node.ledger.pauses.begin(Pause(Part.DESTINATION, PACS, foundation.now(), "bench", "maintenance"))
        begun = foundation.now()
        node.ledger.pauses.end(Part.DESTINATION, PACS, begun)

    yield watch.measure("step", "a destination with a backlog is resumed", resume)
    yield watch.measure("sweep", "all that is owed to a destination is due", sweep.run, SWEEP_LIMIT_MS)
    settled()


def _steps(node: Node, watch: Stopwatch) -> Iterator[Timing]:
    ready = iter(node.some("READY", watch.runs + 1))
    claims, now = node.ledger.claims, foundation.now

    def claim() -> None:
        claims.claim(next(ready), 4, "bench", now(), LEASE)

    yield watch.measure("step", "a study is claimed", claim)
    node.run(
        "UPDATE studies SET state = 'READY', claimed_by = NULL, lease_until = NULL, attempts = 0 "
        "WHERE claimed_by = 'bench'"
    )
    number = 0

    def receive() -> None:
        nonlocal number
        study, view = divmod(number, len(STANDARD_VIEWS))
        number += 1
        one = instance(STANDARD_VIEWS[view], study_uid=f"2.25.9.{study}", sop_uid=f"2.25.9.{study}.{view}")
        node.ledger.receipts.store(received(one), PATIENCE, now())

    yield watch.measure("step", "an image is entered", receive)
    for table in ("history", "instances", "studies"):
        node.run(f"DELETE FROM {table} WHERE study_uid LIKE '2.25.9.%'")
    owed = iter(node.some("ANALYZED", watch.runs + 1))
    node.run("UPDATE deliveries SET next_at = 0 WHERE destination = :pacs AND state = 'OWED'", pacs=PACS)

    def take() -> None:
        node.ledger.outbox.claim(next(owed), PACS, now(), LEASE)

    yield watch.measure("step", "what a study owes is taken for delivery", take)
    node.run("UPDATE deliveries SET lease_until = NULL, claimed_by = NULL WHERE claimed_by = ''")


def _archive_images(node: Node, client: TestClient, path: str) -> None:
    """Put an image of each study of a page where the page looks for the patient's name."""
    if not path.startswith("/studies"):
        return
    archive = foundation.open_archive(node.settings)
    shown = [part[:64] for part in client.get(path).text.split("/studies/")[1:]]
    uids = {part.partition('"')[0].partition("/")[0].partition("?")[0] for part in shown}
    first = select(instances.c.study_uid, func.min(instances.c.sop_uid)).group_by(instances.c.study_uid)
    with node.ledger.engine.connect() as connection:
        rows = connection.execute(first.where(instances.c.study_uid.in_(uids))).tuples().all()
    for study_uid, sop_uid in rows:
        if not archive.has_instance(sop_uid):
            archive_data_set(archive, mammogram(study_uid=study_uid, SOPInstanceUID=sop_uid))


def _value(name: str, now: datetime) -> str:
    value = _FILTERS[name]
    return value if isinstance(value, str) else value(now)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)

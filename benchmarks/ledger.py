"""Ledger: a million studies in it, and how long commands, pages and the sweep take then.

make bench-ledger                         # a million, on SQLite and PostgreSQL; kept in build/bench-ledger
make bench-ledger ARGS="--studies 20000"  # fewer
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from benchmarks.ledger_measures import Node, measured
from benchmarks.ledger_rows import PACS, REPORTING
from benchmarks.ledger_seed import seed
from benchmarks.machine import machine
from benchmarks.timing import Stopwatch, Timing
from dibmg.weights import load_weights
from dibmg_node.config import load_settings
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.ledger import open_ledger
from dibmg_node.storage.schema_version import is_current, newest_known
from dibmg_node.wiring import foundation
from dibmg_node.wiring.drift_watch import open_drift_watch
from tests.flow.machines import running_redis
from tests.postgresql import PASSWORD, Cluster, kept_cluster

DATABASES: Final = ("sqlite", "postgresql")
_KEPT: Final = timedelta(hours=12)
"""A ledger that was seeded longer ago has no studies of the last day, and would be made anew."""
_SERVER: Final = "shared_buffers = 512MB\nmax_wal_size = 4GB\n"

_CONFIG: Final = """
[node]
data_dir = "{folder}/node"
name = "host"
[ledger]
url = "{ledger}"
[broker]
url = "redis://127.0.0.1:{broker}/0"
[web]
port = 8080
[[alarm_channel]]
name = "ops"
kind = "webhook"
url = "https://hooks.example/dibmg"
[[destination]]
name = "{pacs}"
address = "127.0.0.1"
port = 11113
ae_title = "PACS"
proof = "query"
[[destination]]
name = "{reporting}"
address = "127.0.0.1"
port = 11114
ae_title = "RIS"
"""


@dataclass(frozen=True)
class Bench:
    """What is measured.

    Attributes:
        folder: Keeps the seeded ledgers.
        runs: Of everything, after the first one.
    """

    folder: Path
    studies: int
    runs: int

    def timings(self, database: str) -> Iterator[Timing]:
        """Seed a ledger, unless a fresh one is there, and measure."""
        with running_redis() as broker, self._server(database) as cluster:
            folder = self.folder / f"{database}-{self.studies}"
            url = cluster.url("ledger") if cluster else f"sqlite:///{folder}/node/ledger.sqlite"
            seeded_at = self._seeded(folder, url)
            config = folder / "config.toml"
            told = f"postgresql+psycopg://dibmg@127.0.0.1:{cluster.port}/ledger" if cluster else "embedded"
            config.write_text(
                _CONFIG.format(folder=folder, ledger=told, broker=broker, pacs=PACS, reporting=REPORTING)
            )
            settings = load_settings(config)
            ledger = foundation.open_node_ledger(settings)
            node = Node(config, settings, ledger, seeded_at)
            server = None if cluster is None else cluster.pid
            # what is there by now is not looked through again before everything that is measured
            gc.collect()
            gc.freeze()
            try:
                yield from measured(node, Stopwatch(database, server, self.runs))
            finally:
                gc.unfreeze()
                ledger.engine.dispose()

    @contextmanager
    def _server(self, database: str) -> Iterator[Cluster | None]:
        if database == "sqlite":
            yield None
            return
        os.environ["DIBMG_LEDGER_PASSWORD"] = PASSWORD
        with kept_cluster(self.folder / f"cluster-{self.studies}", _SERVER) as cluster:
            yield cluster

    def _seeded(self, folder: Path, url: str) -> datetime:
        """When the ledger was seeded; it is, where it is missing, old, or of another schema."""
        mark = folder / "seeded.json"
        if mark.exists():
            found = json.loads(mark.read_text())
            at = datetime.fromisoformat(found["at"])
            if foundation.now() - at < _KEPT:
                engine = open_engine(url)
                migrate(engine)
                _settle(engine)
                engine.dispose()
                return at
        mark.unlink(missing_ok=True)
        self._empty(folder, url)
        at, began = foundation.now(), time.monotonic()
        print(f"seeding {self.studies} studies", file=sys.stderr, flush=True)
        seed(url, self.studies, load_weights("default").sha256, at, _tell)
        _fix_baseline(url, at)
        engine = open_engine(url)
        _settle(engine)
        engine.dispose()
        print(f"seeded in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        mark.write_text(json.dumps({"at": at.isoformat(), "schema": newest_known()}))
        return at

    def _empty(self, folder: Path, url: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "node").mkdir(parents=True)
        if url.startswith("postgresql"):
            server = open_engine(url.rpartition("/")[0] + "/postgres")
            with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("DROP DATABASE IF EXISTS ledger"))
                connection.execute(text("CREATE DATABASE ledger"))
            server.dispose()
        engine = open_engine(url)
        migrate(engine)
        assert is_current(engine)
        engine.dispose()


def _settle(engine: Engine) -> None:
    """As a server is that has had these rows for long: dead ones are gone, and nothing is left to be written.

    After a million rows that came within minutes it would be writing still while it is measured.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM (ANALYZE) studies, deliveries"))
            connection.execute(text("CHECKPOINT"))


def _fix_baseline(url: str, at: datetime) -> None:
    """A site has fixed its reference, from its first exams."""
    settings = load_settings(None)
    ledger = open_ledger(url, settings.exam_policy)
    open_drift_watch(settings, ledger, load_weights("default")).fix(500, None, at - timedelta(days=300))
    ledger.engine.dispose()


def _tell(table: str) -> None:
    print(f"  {table}", file=sys.stderr, flush=True)


def table(timings: Sequence[Timing]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| database | | what | first, ms | median, ms | worst, ms | CPU, ms | |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in timings:
        figures = f"{one.first_ms:.0f} | {one.median_ms:.0f} | {one.worst_ms:.0f} | {one.cpu_ms:.0f}"
        told = "too slow" if one.is_too_slow else ""
        yield f"| {one.database} | {one.kind} | `{one.name}` | {figures} | {told} |"


def main() -> None:
    """Seed, measure, print, and fail where something takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--folder", type=Path, default=Path("build/bench-ledger"))
    parser.add_argument("--out", type=Path, help="JSON of what was found")
    arguments = parser.parse_args()
    bench = Bench(arguments.folder.absolute(), arguments.studies, arguments.runs)
    found, before = [], machine()
    for database in arguments.database or DATABASES:
        for one in bench.timings(database):
            found.append(one)
            print(list(table([one]))[-1], flush=True)
    slow = [one for one in found if one.is_too_slow]
    print("\n" + "\n".join(table(found)))
    if arguments.out:
        rows = [{**asdict(one), "median_ms": one.median_ms, "worst_ms": one.worst_ms} for one in found]
        report = {"studies": arguments.studies, "machine": before, "timings": rows}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(found)} things measured with {arguments.studies} studies, {len(slow)} too slow")
    sys.exit(bool(slow))


if __name__ == "__main__":
    main()

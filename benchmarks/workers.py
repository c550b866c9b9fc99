"""Workers: how the throughput of analysis grows with their number, on PostgreSQL and Redis.

make bench-workers                                  # 1, 2, 4 … 64 workers, a model that takes 1 s
make bench-workers ARGS="--seconds 4 --workers 16"

Everything is real but the model: Celery workers as processes of their own, claims, commits, files of results.
The processes are forked from one that has imported everything, so that 64 of them fit into one machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from redis import Redis
from sqlalchemy import select

from benchmarks.machine import machine
from benchmarks.timing import living_cpu_seconds, tree_cpu_seconds
from dibmg_node import tasks
from dibmg_node.dicom import facts
from dibmg_node.domain.exam import select_exam
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.result import FindingCode, Result, ResultKind, Scores
from dibmg_node.domain.study import STANDARD_VIEWS, Laterality
from dibmg_node.services.analysis import Analyst, Subscriber
from dibmg_node.services.orders import Order, Report
from dibmg_node.services.sweep import Sweep
from dibmg_node.services.writing import Wish, Written
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.storage.ledger import Ledger, open_ledger
from dibmg_node.storage.receipts import Patience
from dibmg_node.storage.schema import history
from dibmg_node.wiring import foundation
from tests.factories import MODEL, POINT, instance, received
from tests.flow.machines import running_redis
from tests.postgresql import Cluster, running_cluster

WORKERS: Final = (1, 2, 4, 8, 16, 32, 64)
_DURABLE: Final = "fsync = on\nfull_page_writes = on\nshared_buffers = 256MB\n"
_PATIENCE: Final = Patience(timedelta(0), timedelta(0))
_SUBSCRIBER: Final = Subscriber(
    "pacs", (Wish(ResultKind.CAD_SR, FindingCode.DENSITY), Wish(ResultKind.OVERLAY)), answer_unread=True
)
_SWEEP_SECONDS: Final = 0.5
_UP_SECONDS: Final = 180
_LONGEST: Final = 300
_TICK_SECONDS: Final = 1.0
_RESULT_BYTES: Final = 20_000


@dataclass(frozen=True)
class Throughput:
    """What a number of workers did.

    Attributes:
        per_second: Studies, while all of them were at work.
        linear: Share of what so many times the first of them would do; None for the first.
        worker_ms, ledger_ms, broker_ms: CPU time of a study.
        cores_used: Of the machine, by workers, ledger and broker.
    """

    workers: int
    studies: int
    per_second: float
    linear: float | None
    worker_ms: float
    ledger_ms: float
    broker_ms: float
    cores_used: float


@dataclass(frozen=True)
class _SleepingModel:
    """Stands where the sandbox with the model does: takes its time, and finds the same in every exam."""

    seconds: float

    def run(self, order: Order, tick: Callable[[], None]) -> Report:
        """As `Sandbox.run`, which calls `tick` every second."""
        until = time.monotonic() + self.seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_SECONDS))
            tick()
        study = order.files.study
        selection = select_exam(study.study_uid, study.instances, order.policy)
        scores = Scores(0.7, {Laterality.RIGHT: 0.7, Laterality.LEFT: 0.1}, {})
        reading = {
            "model": {"sha256": MODEL.sha256},
            "operating_point": {"threshold": POINT.threshold},
            "seconds": {"network": self.seconds},
            "findings": [],
        }
        digests = {one.sop_uid: "f" * 64 for one in study.instances}
        return Report(selection, scores, reading, list(_results(study.study_uid)), digests)


def _results(study_uid: str) -> Iterator[Written]:
    """A report and four overlays; small ones, for files are not what is measured."""
    content = study_uid.encode().ljust(_RESULT_BYTES)
    digest = sha256(content).hexdigest()
    report = (ResultKind.CAD_SR, facts.MAMMOGRAPHY_CAD_SR, FindingCode.DENSITY.value, None)
    overlays = [(ResultKind.OVERLAY, facts.SECONDARY_CAPTURE, "", view) for view in STANDARD_VIEWS]
    for number, (kind, sop_class, variant, view) in enumerate([report, *overlays]):
        uid = f"{study_uid}.9.{number}"
        result = Result(
            uid, sop_class, facts.EXPLICIT_LE, kind, digest, len(content), variant=variant, view=view
        )
        yield Written(result, f"{study_uid}.9", content)


@dataclass(frozen=True)
class Plant:
    """Servers, and a folder that all workers share."""

    folder: Path
    cluster: Cluster
    broker: int

    def throughput(self, workers: int, seconds: float, rounds: int, one: float | None) -> Throughput:
        """Have some workers do some rounds of studies.

        Args:
            workers: How many.
            seconds: That the model takes.
            rounds: Studies of each worker.
            one: Studies per second of a single worker, where that is known.
        """
        database = f"w{workers}_{time.monotonic_ns()}"
        self.cluster.run(f"CREATE DATABASE {database}")
        url = self.cluster.url(database)
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        studies = workers * rounds
        ledger = open_ledger(url, ExamPolicy())
        _receive(ledger, studies)
        ledger.engine.dispose()  # before the fork: a connection is of one process
        redis = Redis(port=self.broker)
        redis.flushall()
        with self._working(url, workers, seconds) as pids:
            _await(lambda: redis.info("clients")["blocked_clients"] >= workers, _UP_SECONDS)
            before = self._cpu(pids, redis)
            began = time.monotonic()
            self._sweep(ledger, studies)
            elapsed = time.monotonic() - began
            worker, server, broker = (b - a for a, b in zip(before, self._cpu(pids, redis), strict=True))
        per_second = _rate(ledger)
        ledger.engine.dispose()
        return Throughput(
            workers,
            studies,
            per_second,
            None if one is None else per_second / (one * workers),
            1000 * worker / studies,
            1000 * server / studies,
            1000 * broker / studies,
            (worker + server + broker) / elapsed,
        )

    @contextmanager
    def _working(self, url: str, workers: int, seconds: float) -> Iterator[Sequence[int]]:
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=self._work, args=(url, f"analysis@host{number}", seconds), daemon=True)
            for number in range(workers)
        ]
        for one in processes:
            one.start()
        try:
            yield [int(one.pid or 0) for one in processes]
        finally:
            for one in processes:
                os.kill(int(one.pid or 0), signal.SIGTERM)
            for one in processes:
                one.join(30)
                if one.is_alive():
                    one.kill()

    def _work(self, url: str, name: str, seconds: float) -> None:
        """One worker, as the role `analysis` is played."""
        logging.disable(logging.INFO)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends; Celery's farewell
        ledger = open_ledger(url, ExamPolicy())
        archive = Archive(self.folder / "archive")
        archive.prepare()
        model: Any = _SleepingModel(seconds)
        analyst = Analyst(
            name, archive, ledger.claims, model, ExamPolicy(), (_SUBSCRIBER,), 2048, foundation.now
        )
        app = self._queue()
        publisher = tasks.CeleryPublisher(app)

        def analyze(study_uid: str, revision: int) -> None:
            for destination in analyst.analyze(study_uid, revision):
                publisher.deliver(study_uid, revision, destination)

        tasks.run_worker(app, name, tasks.ANALYSES, analyze=analyze)

    def _sweep(self, ledger: Ledger, studies: int) -> None:
        """Sweep as a node does, until all is analyzed."""
        sweep = Sweep(ledger, tasks.CeleryPublisher(self._queue()), foundation.now)
        until = time.monotonic() + _LONGEST
        while ledger.views.count_by_state()["ANALYZED"] < studies:
            if time.monotonic() > until:
                raise SystemExit(f"not analyzed within {_LONGEST} s: {ledger.views.count_by_state()}")
            sweep.run()
            time.sleep(_SWEEP_SECONDS)

    def _queue(self) -> tasks.Queue:
        return tasks.open_queue(f"redis://127.0.0.1:{self.broker}/0", 120)

    def _cpu(self, pids: Sequence[int], redis: Any) -> tuple[float, float, float]:
        broker = redis.info("cpu")
        return (
            sum(map(living_cpu_seconds, pids)),
            tree_cpu_seconds(self.cluster.pid),
            broker["used_cpu_sys"] + broker["used_cpu_user"],
        )


def _receive(ledger: Ledger, studies: int) -> None:
    now = foundation.now() - timedelta(minutes=1)
    for number in range(studies):
        study_uid = f"1.2.3.{number}"
        for place, view in enumerate(STANDARD_VIEWS):
            one = instance(view, study_uid=study_uid, sop_uid=f"{study_uid}.{place}")
            ledger.receipts.store(received(one), _PATIENCE, now)


def _rate(ledger: Ledger) -> float:
    """Studies per second: of each worker from when it began its first to when it ended its last, added up.

    To count what ends while all are at work would be too few: they begin at nearly the same moment, and who
    is a moment later than the first has its last study outside of that time.
    """
    claimed: dict[str, tuple[str, datetime]] = {}
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    studies: dict[str, int] = defaultdict(int)
    query = select(history.c.study_uid, history.c.at, history.c.event, history.c.detail)
    with ledger.engine.connect() as connection:
        for study_uid, at, event, detail in connection.execute(query.order_by(history.c.id)):
            if event == "claimed":
                claimed[study_uid] = detail.rpartition(" ")[2], at
                begun.setdefault(claimed[study_uid][0], at)
            elif event == "reported":
                ended[claimed[study_uid][0]] = at
                studies[claimed[study_uid][0]] += 1
    if min(ended.values()) <= max(begun.values()):
        raise SystemExit("some worker was done before another one began: more rounds are needed")
    return sum(number / (ended[one] - begun[one]).total_seconds() for one, number in studies.items())


def _await(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"the workers were not up within {seconds} s")
        time.sleep(0.2)


def scale(workers: Sequence[int], seconds: float, rounds: int) -> Iterator[Throughput]:
    """Throughput of each number of workers, the first of them first."""
    one = None
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cluster(_DURABLE) as cluster,
        running_redis() as broker,
    ):
        plant = Plant(Path(folder), cluster, broker)
        for number in workers:
            found = plant.throughput(number, seconds, rounds, one)
            yield found
            one = one or found.per_second / number


def table(found: Sequence[Throughput]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| workers | studies/s | of linear | CPU of a study: worker, ms | ledger, ms | broker, ms | cores |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        linear = "" if one.linear is None else f"{100 * one.linear:.0f} %"
        cpu = f"{one.worker_ms:.0f} | {one.ledger_ms:.0f} | {one.broker_ms:.1f}"
        yield f"| {one.workers} | {one.per_second:.2f} | {linear} | {cpu} | {one.cores_used:.2f} |"


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--seconds", type=float, default=1.0, help="that the model takes")
    parser.add_argument("--rounds", type=int, default=8, help="studies of each worker")
    parser.add_argument("--out", type=Path, help="JSON of what was found")
    arguments = parser.parse_args()
    before, found = machine(), []
    for one in scale(arguments.workers, arguments.seconds, arguments.rounds):
        found.append(one)
        print(list(table([one]))[-1], flush=True)
    print("\n" + "\n".join(table(found)))
    if arguments.out:
        report = {
            "model_seconds": arguments.seconds,
            "machine": before,
            "found": [asdict(one) for one in found],
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(0)


if __name__ == "__main__":
    main()

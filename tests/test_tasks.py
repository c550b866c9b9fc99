from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from socket import create_connection
from typing import IO

import pytest

from dibmg_node.domain.priority import Priority
from dibmg_node.machine.broker import start_server
from dibmg_node.services.sweep import Sweep
from dibmg_node.storage.ledger import Ledger
from dibmg_node.tasks import BrokerUnavailableError, CeleryPublisher, open_queue
from tests.factories import PATIENCE, R_CC, Clock, instance, received
from tests.flow.machines import running_redis

WAIT_SECONDS = 120

WORKER = """
import os, signal, sys
from dibmg_node.tasks import ANALYSES, open_queue, run_worker

def analyze(study_uid, broker_pid):
    os.kill(broker_pid, signal.SIGKILL)
    print("broker killed", flush=True)
    sys.stdin.readline()

run_worker(open_queue(sys.argv[1], 60), "analysis@test", ANALYSES, analyze=analyze)
"""


def publish(
    publisher: CeleryPublisher, study_uid: str, revision: int, priority: Priority = Priority.ROUTINE
) -> None:
    """Publish as soon as the broker listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return publisher.analyze(study_uid, revision, priority)
        except BrokerUnavailableError:
            assert time.monotonic() < deadline, "the broker did not come up"
            time.sleep(0.05)


def test_a_worker_that_lost_its_broker_twice_in_mid_task_does_not_stay_deaf(tmp_path: Path) -> None:
    socket, log = tmp_path / "broker.sock", tmp_path / "broker.log"
    url = f"redis+socket://{socket}"
    publisher = CeleryPublisher(open_queue(url, 60))
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for study_uid in ("1.2.3", "1.2.4"):
            broker = start_server(tmp_path, socket, log)
            publish(publisher, study_uid, broker.pid)
            assert any("broker killed" in line for line in worker.stdout)
            broker.wait()
            worker.stdin.write("the task ends\n")
            worker.stdin.flush()
            assert any("Couldn't ack" in line for line in worker.stdout)

        broker = start_server(tmp_path, socket, log)
        publish(publisher, "1.2.5", broker.pid)

        try:
            assert worker.wait(WAIT_SECONDS) == 1
        finally:
            worker.kill()
            broker.kill()
            broker.wait()


ORDER = """
import sys
from datetime import UTC, datetime, timedelta
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.storage.ledger import open_ledger
from dibmg_node.tasks import ANALYSES, open_queue, run_worker

claims = open_ledger(sys.argv[2], ExamPolicy()).claims

def analyze(study_uid, revision):
    claims.claim(study_uid, revision, "worker", datetime.now(UTC), timedelta(hours=1))
    print(f"claimed {study_uid}", flush=True)
    sys.stdin.readline()

run_worker(open_queue(sys.argv[1], 60), "analysis@test", ANALYSES, analyze=analyze)
"""


def receive(ledger: Ledger, clock: Clock, study_uid: str, priority: Priority) -> None:
    """A study that came last, and is READY."""
    one = received(instance(R_CC, study_uid=study_uid, sop_uid=f"{study_uid}.1"))
    ledger.receipts.store(replace(one, priority=priority), PATIENCE, clock.advance(1))
    ledger.receipts.complete_due(clock.advance(PATIENCE.longest.total_seconds()))


def test_a_stat_study_that_comes_last_is_analyzed_before_those_that_wait(
    tmp_path: Path, ledger: Ledger, clock: Clock
) -> None:
    socket = tmp_path / "broker.sock"
    url = f"redis+socket://{socket}"
    broker = start_server(tmp_path, socket, tmp_path / "broker.log")
    sweep = Sweep(ledger, CeleryPublisher(open_queue(url, 60)), clock)
    receive(ledger, clock, "1.2.1", Priority.LOW)
    for number in (2, 3, 4):
        receive(ledger, clock, f"1.2.{number}", Priority.ROUTINE)
    run_once_it_listens(sweep)
    worker = subprocess.Popen(
        [sys.executable, "-c", ORDER, url, str(ledger.engine.url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        claimed = [next_claimed(worker.stdout)]
        receive(ledger, clock, "1.2.9", Priority.STAT)
        sweep.run()

        for _ in range(4):
            worker.stdin.write("the analysis ends\n")
            worker.stdin.flush()
            claimed.append(next_claimed(worker.stdout))

        worker.kill()
        broker.kill()
        broker.wait()
    assert claimed == ["1.2.2", "1.2.9", "1.2.3", "1.2.4", "1.2.1"]


def next_claimed(told: IO[str]) -> str:
    """The study that the worker claims next; it says so in a line of its log."""
    return next(line for line in told if "claimed " in line).split("claimed ")[1].strip()


def run_once_it_listens(sweep: Sweep) -> None:
    """Sweep as soon as the broker listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return sweep.run()
        except BrokerUnavailableError:
            assert time.monotonic() < deadline, "the broker did not come up"
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+socket:///nowhere/redis.sock", "No such file or directory"),
        ("redis://127.0.0.1:1/0", "Connection refused"),
    ],
)
def test_a_broker_that_is_not_there_is_told_in_words_of_the_system(url: str, why: str) -> None:
    with pytest.raises(BrokerUnavailableError, match=re.escape(f"the broker does not answer ({why})")):
        CeleryPublisher(open_queue(url, 60)).waiting()


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("CONFIG SET maxmemory 1", "it has no room, see its maxmemory"),
        ("REPLICAOF 127.0.0.1 1", "it is a replica, and takes no messages"),
    ],
)
def test_a_broker_that_takes_no_message_does_not_answer(state: str, why: str) -> None:
    with running_redis() as port:
        publisher = CeleryPublisher(open_queue(f"redis://127.0.0.1:{port}/0", 60))
        publisher.analyze("1.2.3", 1, Priority.ROUTINE)
        with create_connection(("127.0.0.1", port)) as there:
            there.sendall(f"{state}\r\n".encode())
            assert there.recv(100) == b"+OK\r\n"

        with pytest.raises(BrokerUnavailableError, match=re.escape(f"the broker does not answer ({why})")):
            publisher.analyze("1.2.4", 1, Priority.STAT)


def test_of_a_broker_that_is_full_nobody_hears_how_many_messages_wait() -> None:
    with running_redis() as port:
        publisher = CeleryPublisher(open_queue(f"redis://127.0.0.1:{port}/0", 60))
        publisher.analyze("1.2.3", 1, Priority.ROUTINE)
        with create_connection(("127.0.0.1", port)) as there:
            there.sendall(b"CONFIG SET maxmemory 1\r\n")
            assert there.recv(100) == b"+OK\r\n"

        with pytest.raises(BrokerUnavailableError, match="no room"):
            publisher.waiting()


def test_a_broker_that_hangs_is_not_waited_for_for_long(tmp_path: Path) -> None:
    socket = tmp_path / "broker.sock"
    broker = start_server(tmp_path, socket, tmp_path / "broker.log")
    publisher = CeleryPublisher(open_queue(f"redis+socket://{socket}", 60))
    publish(publisher, "1.2.3", 1)
    broker.send_signal(signal.SIGSTOP)
    began = time.monotonic()

    with pytest.raises(BrokerUnavailableError):
        publisher.waiting()

    took = time.monotonic() - began
    broker.kill()
    broker.wait()
    assert took < 20

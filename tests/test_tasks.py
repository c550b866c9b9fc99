from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from dibmg_node.broker import start_server
from dibmg_node.tasks import BrokerUnavailableError, CeleryPublisher, open_queue

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


def publish(publisher: CeleryPublisher, study_uid: str, revision: int) -> None:
    """Publish as soon as the broker listens."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return publisher.analyze(study_uid, revision)
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

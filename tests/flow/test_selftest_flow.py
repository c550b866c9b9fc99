"""Self-tests of a running node: by itself, by hand, and with a part of the node that hangs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pacs import Orthanc, free_port

from dibmg_node.storage.archive_identity import marker_file
from dibmg_node.storage.selftests import EndedSelfTest, SelfTests
from dibmg_node.wiring.foundation import now
from tests.certificates import Authority
from tests.flow.running_node import DIBMG, PATIENCE_SECONDS, RunningNode

EVERY_STEP = [
    "expectation",
    "association",
    "storage",
    "completion",
    "analysis",
    "lesion",
    "delivery",
    "report",
    "overlays",
    "checksums",
    "removal",
]
_MORE = """
[selftest]
every_hours = 24
certificate = "{folder}/tester.crt"
key = "{folder}/tester.key"
[intake.tls]
certificate = "{folder}/node.crt"
key = "{folder}/node.key"
ca = "{folder}/ca.crt"
[web]
port = {web_port}
[[sender]]
ae_title = "MG1"
address = "10.0.0.0/24"
certificate_subject = "O=Clinic,CN=mg1"
"""


@pytest.fixture(scope="module")
def web_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, web_port: int) -> Iterator[RunningNode]:
    """A node with TLS, a list of senders, a PACS, a destination that is down, and a self-test every day."""
    folder = tmp_path_factory.mktemp("node")
    authority = Authority(folder / "authority")
    authority.issue("node", names=["node.clinic.example"])
    authority.issue("tester")
    more = _MORE.format(folder=folder / "authority", web_port=web_port)
    running = RunningNode(folder, {"pacs": orthanc.port, "down": free_port()}, more=more).start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def hanging(node: RunningNode, role: str) -> Iterator[None]:
    """A process of the node stands still."""
    pid = node.pid_of(role)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def selftests_of(node: RunningNode) -> SelfTests:
    return SelfTests(node.views._engine)


def wait_for_last(node: RunningNode) -> EndedSelfTest:
    tests = selftests_of(node)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        last = tests.last(now())
        if last is not None:
            return last
        time.sleep(0.1)
    raise AssertionError(f"no self-test came to its end; {node.logs()}")


def files_of(node: RunningNode) -> list[Path]:
    """What the archive holds, but for its own name."""
    archive = node.folder / "var" / "archive"
    return [path for path in archive.rglob("*") if path.is_file() and path != marker_file(archive)]


def test_the_node_tests_itself_on_a_schedule_through_tls_and_past_its_list_of_senders(
    node: RunningNode, web_port: int
) -> None:
    last = wait_for_last(node)

    told = node.cli_json("status")["selftest"]
    metrics = httpx.get(f"http://127.0.0.1:{web_port}/metrics").text
    overview = httpx.get(f"http://127.0.0.1:{web_port}/").text
    assert [(one["step"], one["passed"]) for one in last.steps] == [(step, True) for step in EVERY_STEP]
    assert (told["passed"], told["every_hours"], told["broken_step"]) == (True, 24, "")
    assert "dibmg_selftest_success 1.0" in metrics
    assert "self-test passed" in node.cli("status").stdout
    assert "<dt>Self-test</dt>" in overview


def test_a_self_test_by_hand_tells_every_step_and_leaves_nothing(node: RunningNode, orthanc: Orthanc) -> None:
    wait_for_last(node)

    answer = node.cli("selftest")

    told = node.cli_json("status")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert [line.split()[:2] for line in answer.stdout.splitlines() if " s  " in line] == [
        ["ok", step] for step in EVERY_STEP
    ]
    assert "the hottest finding lies in the lesion in 2 views" in answer.stdout
    assert files_of(node) == []
    assert node.cli_json("studies") == []
    assert set(told["studies"].values()) == {0}
    assert told["senders"] == {}
    assert [one["owed"] + one["stored"] for one in told["destinations"]] == [0, 0]
    assert orthanc.ask("/studies").strip() == b"[]"


@pytest.mark.parametrize(
    ("role", "step", "found"),
    [
        ("sweep", "completion", "the study stays RECEIVING"),
        ("analysis", "analysis", "the study stays READY"),
        ("delivery", "delivery", "the study stays ANALYZED"),
    ],
)
def test_a_process_that_hangs_breaks_its_step_which_names_it_and_degrades_the_node(
    node: RunningNode, role: str, step: str, found: str
) -> None:
    wait_for_last(node)

    with hanging(node, role):
        told = node.cli_json("selftest", "--timeout", "6")
        status = node.cli_json("status")

    assert (told["passed"], told["broken_step"], told["reason"]) == (False, step, found)
    assert role in told["remedy"]
    assert [one["step"] for one in told["steps"]][-2:] == [step, "removal"]
    assert files_of(node) == []
    assert any(f"the last self-test broke at {step}" in reason for reason in status["reasons"])


def test_one_that_is_stopped_takes_back_what_it_sent_and_says_nothing_of_the_node(node: RunningNode) -> None:
    before = wait_for_last(node)
    tests, views = selftests_of(node), node.views
    with hanging(node, "analysis"):
        command = [*DIBMG, "selftest", "--config", str(node.config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (
            (test := tests.running(now())) and (study := views.study(test.study_uid)) and is_ready(study)
        ):
            assert time.monotonic() < deadline, node.logs()
            time.sleep(0.1)

        process.terminate()

        assert process.wait(PATIENCE_SECONDS) == 1
    last = tests.last(now())
    assert views.study(test.study_uid) is None
    assert files_of(node) == []
    assert tests.running(now()) is None
    assert last is not None
    assert last.started_at >= before.started_at
    assert last.study_uid != test.study_uid


def test_none_begins_while_a_part_that_it_needs_is_paused_and_that_is_no_finding(node: RunningNode) -> None:
    before = wait_for_last(node)
    node.cli("pause", "analysis")
    try:
        answer = node.cli("selftest", "--timeout", "20")
    finally:
        node.cli("resume", "analysis")

    assert answer.returncode == 2
    assert "analysis is paused since" in answer.stderr
    assert selftests_of(node).last(now()) == before


def test_one_that_a_pause_overtakes_is_taken_back_and_leaves_the_node_as_it_was(node: RunningNode) -> None:
    before = wait_for_last(node)
    tests, views = selftests_of(node), node.views
    with hanging(node, "sweep"):
        command = [*DIBMG, "selftest", "--config", str(node.config), "--timeout", "6"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ((test := tests.running(now())) and views.study(test.study_uid)):
            assert time.monotonic() < deadline, node.logs()
            time.sleep(0.1)
        node.cli("pause", "analysis")
    try:
        told = process.communicate(timeout=PATIENCE_SECONDS)[1]
    finally:
        node.cli("resume", "analysis")

    assert process.returncode == 2
    assert "analysis is paused since" in told
    assert tests.last(now()) == before
    assert views.study(test.study_uid) is None
    assert files_of(node) == []


def is_ready(study: dict) -> bool:
    return study["state"] == "READY"


def test_the_doctor_finds_the_ports_held_by_the_node_its_intake_answering_and_the_destination_that_is_down(
    node: RunningNode,
) -> None:
    wait_for_last(node)

    found = {one["check"]: one for one in json.loads(node.cli_process("doctor", "--json").stdout)["checks"]}

    levels = {name: found[name]["level"] for name in ("port of intake", "port of web", "own intake")}
    assert set(levels.values()) == {"ok"}, levels
    assert "held by this node" in found["port of intake"]["found"]
    assert found["destination pacs"]["level"] == "ok"
    queued = r"answers: \d+ anal[yi]s[ei]s and \d+ deliver(y|ies) queued"
    assert re.fullmatch(queued, found["broker"]["found"])
    assert found["destination down"]["level"] == "warning"
    assert found["ledger"]["level"] == found["broker"]["level"] == found["clock"]["level"] == "ok"
    assert not any(row["calling_aet"] == "DIBMG-SELFTEST" for row in node.cli_json("status")["rejected"])
    assert selftests_of(node).running(now()) is None


def test_without_a_certificate_that_the_intake_trusts_the_first_step_on_the_wire_says_which_key_to_set(
    node: RunningNode, tmp_path: Path
) -> None:
    wait_for_last(node)
    stranger = Authority(tmp_path)
    certificate, key = stranger.issue("stranger")
    text = node.config.read_text()
    other = node.config.with_name("other.toml")
    text = text.replace(f"{node.folder}/authority/tester.crt", str(certificate))
    other.write_text(text.replace(f"{node.folder}/authority/tester.key", str(key)))

    answer = RunningNode.cli(_configured(node, other), "selftest", "--timeout", "20")

    assert answer.returncode == 1
    assert "selftest.certificate" in answer.stdout.replace("\n", " ")


def test_a_node_that_was_never_up_cannot_be_tested(make_node: Callable[..., RunningNode]) -> None:
    answer = make_node({}).cli("selftest")

    assert answer.returncode == 2
    assert "this node was never up" in answer.stderr


def _configured(node: RunningNode, config: Path) -> RunningNode:
    """The same node, asked with another configuration."""
    same = object.__new__(RunningNode)
    same.config, same.program = config, node.program
    return same

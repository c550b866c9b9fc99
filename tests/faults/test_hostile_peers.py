"""Every hostile peer of the table, against the real receiving processes: its answer, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import NamedTemporaryFile

import pytest

from tests.factories import mammogram as image
from tests.factories import part10
from tests.faults.hostile_peers import FAULTS, Fault, posts
from tests.faults.receiving_processes import ReceivingProcesses
from tests.services.wire_peers import mammogram, run_dcmtk
from tests.web.multipart import body_of

MOST_GROWTH_MIB = 64
IMPATIENT = """\
association_seconds = 1
pdu_seconds = 1
idle_seconds = 1
max_instance_gb = 0.01
"""


def check_alive(node: ReceivingProcesses) -> None:
    """C-ECHO and one good C-STORE work."""
    echoed = run_dcmtk("echoscu", "-aec", "DIBMG", "127.0.0.1", str(node.port))
    assert echoed.returncode == 0, echoed.stderr
    with NamedTemporaryFile(suffix=".dcm") as file:
        mammogram().save_as(file.name, enforce_file_format=True)
        # by DCMTK, which needs no second between two PDUs, however busy the machine
        stored = run_dcmtk("storescu", "-v", "-aec", "DIBMG", "127.0.0.1", str(node.port), file.name)
    assert stored.returncode == 0, stored.stderr
    assert "Received Store Response (Success)" in stored.stdout + stored.stderr


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceivingProcesses]:
    folder = tmp_path_factory.mktemp("receiving")
    with ReceivingProcesses(folder, intake=IMPATIENT, stow="max_request_gb = 0.1") as processes:
        check_alive(processes)
        assert posts(body_of([part10(image(study_uid="1.2.79"))]))(processes) == 200
        yield processes


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_hostile_peer_gets_its_answer_and_costs_nothing(node: ReceivingProcesses, fault: Fault) -> None:
    node.forget_peak()
    before = {role: node.memory("VmRSS", role) for role in node.processes}

    answer = fault.act(node)

    assert answer == fault.answer
    check_alive(node)
    growth = {role: node.memory("VmHWM", role) - before[role] for role in node.processes}
    assert max(growth.values()) < MOST_GROWTH_MIB, f"grew by {growth} MiB"
    assert node.strange_files() == []
    logs = node.log("intake") + node.log("web")
    assert "failed unexpectedly" not in logs
    assert not [line for line in logs.splitlines() if line.startswith('{"event": "forged"')]

"""A shadow model beside the first one, in a node that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pacs import Orthanc

from dibmg.weights import load_weights
from tests.factories import write_exam
from tests.flow.running_node import PATIENCE_SECONDS, RunningNode

STUDIES = ("1.2.6.1", "1.2.6.2", "1.2.6.3")
SHADOW = '[model.shadow]\nweights = "synthetic"\n'


def until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    running = RunningNode(folder, {"pacs": orthanc.port}, weights="default", more=SHADOW).start()
    try:
        yield running
    finally:
        code = running.stop()
    assert code == 0


def test_a_shadow_reads_what_the_first_model_read_and_nobody_gets_what_it_finds(
    node: RunningNode, orthanc: Orthanc, tmp_path: Path
) -> None:
    for study in STUDIES:
        node.send(write_exam(tmp_path / study, study_uid=study))
    studies = [node.wait_for_state(study, "DELIVERED") for study in STUDIES]

    status = until(lambda: node.cli_json("status"), lambda found: found["shadow"]["read_last_day"] == 3)
    found = node.cli_json("compare", "--html", str(tmp_path / "compare.html"))

    first, second = load_weights("default"), load_weights("synthetic")
    assert (status["health"], status["shadow"]["waiting"], status["shadow"]["failed_last_day"]) == (
        "healthy",
        0,
        0,
    )
    assert "shadow" in {one["process"].partition("@")[0] for one in status["processes"] if one["alive"]}
    assert (found["exams"], found["first"]["sha256"], found["shadow"]["sha256"]) == (
        3,
        first.sha256,
        second.sha256,
    )
    assert {study["reading"]["model"]["sha256"] for study in studies} == {first.sha256}
    for study in studies:
        assert len(orthanc.instances(study["study_uid"])) == len(study["results"])
    # the same three scores of the first model as its results have
    scores = sorted(study["scores"]["exam"] for study in studies)
    assert [found["scores"]["first"]["0"], found["scores"]["first"]["100"]] == pytest.approx(
        [scores[0], scores[-1]]
    )
    assert "research use only" in (tmp_path / "compare.html").read_text().lower()


def test_a_shadow_that_is_killed_costs_no_study_an_attempt(node: RunningNode, tmp_path: Path) -> None:
    before = node.cli_json("status")["shadow"]["read_last_day"]

    node.kill_role("shadow")
    node.send(write_exam(tmp_path, study_uid="1.2.6.9"))

    study = node.wait_for_state("1.2.6.9", "DELIVERED")
    status = until(
        lambda: node.cli_json("status"), lambda found: found["shadow"]["read_last_day"] == before + 1
    )

    assert study["attempts"] == 1
    assert status["shadow"]["waiting"] == 0

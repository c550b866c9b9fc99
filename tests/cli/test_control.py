"""`dibmg cancel`, `priority`, `pause`, `resume`, on a ledger without a node."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from tests.cli.program import dibmg
from tests.factories import STUDY_UID, Clock
from tests.storage.life import analysis, analyze, make_ready, reason_of, state_of


@pytest.fixture
def site(empty_site: tuple[Path, Ledger], clock: Clock) -> tuple[Path, Ledger]:
    """The same with a study that waits."""
    make_ready(empty_site[1], clock)
    return empty_site


def test_a_study_is_given_up_by_command_and_brought_back(site: tuple[Path, Ledger]) -> None:
    folder, ledger = site

    canceled = dibmg(folder, "cancel", STUDY_UID, "--reason", "sent by mistake", "--json")
    found = state_of(ledger), reason_of(ledger)
    again = dibmg(folder, "cancel", STUDY_UID)
    retried = dibmg(folder, "retry", STUDY_UID, "--json")

    assert json.loads(canceled.stdout) == {"study_uid": STUDY_UID, "canceled": True, "deliveries": 0}
    assert found == ("CANCELED", f"canceled by {getpass.getuser()}: sent by mistake")
    assert (again.returncode, "nothing of it waits" in again.stderr) == (1, True)
    assert json.loads(retried.stdout)["retried"] == "analysis"
    trail = dibmg(folder, "audit", "show", "--study", STUDY_UID, "--json").stdout
    assert ['"type": "cancel"' in trail, '"type": "retry"' in trail] == [True, True]


def test_of_a_study_that_has_its_answer_deliveries_are_given_up_and_its_state_is_told_as_it_stays(
    site: tuple[Path, Ledger], clock: Clock
) -> None:
    folder, ledger = site
    analyze(ledger, clock, analysis(outcome=Outcome.EXCLUDED, reason="missing views: L-MLO"))

    told = dibmg(folder, "cancel", STUDY_UID).stdout
    ledger.retries.ask(STUDY_UID, clock())
    again = json.loads(dibmg(folder, "cancel", STUDY_UID, "--json").stdout)

    assert told.startswith(f"{STUDY_UID} is still EXCLUDED; 1 delivery of it is given up")
    assert again == {"study_uid": STUDY_UID, "canceled": False, "deliveries": 1}


def test_a_study_is_made_urgent_by_command(site: tuple[Path, Ledger]) -> None:
    folder, ledger = site

    told = dibmg(folder, "priority", STUDY_UID, "stat", "--json")

    assert json.loads(told.stdout) == {"study_uid": STUDY_UID, "priority": "stat", "before": "routine"}
    assert ledger.views.study(STUDY_UID)["priority"] == "stat"  # type: ignore[index]
    assert dibmg(folder, "study", STUDY_UID).stdout.splitlines()[1].endswith(", stat")


@pytest.mark.parametrize("name", ["cancel", "priority", "retry", "study", "explain", "replay"])
@pytest.mark.parametrize("study_uid", ["1.2.3", "A1024"])
def test_a_study_that_nobody_knows_ends_with_exit_code_3_and_says_where_there_are_some(
    site: tuple[Path, Ledger], name: str, study_uid: str
) -> None:
    ended = dibmg(site[0], name, study_uid, *(["low"] if name == "priority" else []))

    assert ended.returncode == 3
    assert f"no study {study_uid} in the ledger; dibmg studies lists those that it has" in ended.stderr


def test_status_tells_what_is_paused_until_it_is_resumed(site: tuple[Path, Ledger]) -> None:
    folder, _ = site
    paused = [
        dibmg(folder, "pause", "analysis"),
        dibmg(folder, "pause", "destination", "pacs", "--reason", "[bold]upgrade"),
    ]

    status = json.loads(dibmg(folder, "status", "--json").stdout)
    shown = dibmg(folder, "status").stdout
    resumed = dibmg(folder, "resume", "analysis", "--json")

    assert [one.returncode for one in paused] == [0, 0]
    told = [(one["part"], one["name"], one["by"], one["reason"]) for one in status["pauses"]]
    me = getpass.getuser()
    assert told == [("analysis", "", me, ""), ("destination", "pacs", me, "[bold]upgrade")]
    assert f"by {me}: [bold]upgrade" in status["destinations"][0]["paused"]
    assert sum("is paused since" in reason for reason in status["reasons"]) == 2
    assert "[bold]upgrade" in shown
    assert json.loads(resumed.stdout)["part"] == "analysis"
    left = json.loads(dibmg(folder, "status", "--json").stdout)["pauses"]
    assert [one["part"] for one in left] == ["destination"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("pause", "destination"), 2),
        (("pause", "intake", "pacs"), 2),
        (("pause", "sweep"), 2),
        (("pause", "destination", "nowhere"), 2),
        (("resume", "intake"), 1),
        (("pause", "intake", "--reason", "x" * 201), 1),
    ],
)
def test_what_cannot_be_paused_or_resumed_is_refused(
    site: tuple[Path, Ledger], command: tuple[str, ...], code: int
) -> None:
    folder, ledger = site

    assert dibmg(folder, *command).returncode == code
    assert ledger.pauses.all() == []

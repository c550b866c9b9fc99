"""`dibmg retry` of all that one fault has held up, on a ledger without a node."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import FindingCode, ResultKind, variant_of
from dibmg_node.storage.analysis_rows import Outcome
from dibmg_node.storage.ledger import Ledger
from tests.cli.program import dibmg
from tests.factories import STUDY_UID, Clock, a_result
from tests.storage.life import analysis, analyze, deliveries_of, make_ready, settle, state_of


def test_all_that_a_destination_refused_is_sent_again(empty_site: tuple[Path, Ledger], clock: Clock) -> None:
    folder, ledger = empty_site
    make_ready(ledger, clock)
    report = replace(a_result(), variant=variant_of(ResultKind.CAD_SR, FindingCode.DENSITY))
    analyze(ledger, clock, analysis([report]))
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122")

    told = dibmg(folder, "retry", "--refused-by", "pacs", "--json")
    again = dibmg(folder, "retry", "--refused-by", "pacs")

    assert json.loads(told.stdout) == {"retried": "delivery", "studies": [STUDY_UID], "left": {}}
    assert (state_of(ledger), deliveries_of(ledger)) == ("ANALYZED", [("2.25.1", "OWED")])
    assert (again.returncode, again.stdout) == (0, "delivery of 0 studies to pacs will be tried again\n")
    trail = dibmg(folder, "audit", "show", "--study", STUDY_UID, "--json").stdout
    assert trail.count('"type": "retry"') == 1


def test_the_backlog_of_a_name_that_the_configuration_does_not_have_any_more_is_given_up(
    empty_site: tuple[Path, Ledger], clock: Clock
) -> None:
    folder, ledger = empty_site
    make_ready(ledger, clock)
    analyze(ledger, clock, analysis(destinations=["old"]))
    settle(ledger, clock, DeliveryState.REFUSED, "0x0122", "old")

    told = dibmg(folder, "retry", "--refused-by", "old")
    unknown = dibmg(folder, "retry", "--refused-by", "old")

    assert (told.returncode, state_of(ledger)) == (0, "DELIVERED")
    assert f"not {STUDY_UID}: nobody is to get it any more" in told.stdout
    assert (unknown.returncode, "known are: pacs" in unknown.stderr) == (2, True)


def test_all_whose_analysis_failed_are_read_again_but_for_those_before(
    empty_site: tuple[Path, Ledger], clock: Clock
) -> None:
    folder, ledger = empty_site
    make_ready(ledger, clock)  # in a year that is over
    analyze(ledger, clock, analysis(outcome=Outcome.FAILED, reason="broke"))

    lately = dibmg(folder, "retry", "--failed", "--since", "1h")
    before = state_of(ledger)
    ever = dibmg(folder, "retry", "--failed")

    assert (lately.stdout, before) == ("analysis of 0 studies will be tried again\n", "FAILED")
    assert (ever.stdout, state_of(ledger)) == ("analysis of 1 study will be tried again\n", "READY")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (STUDY_UID, "--failed"),
        ("--failed", "--refused-by", "pacs"),
        ("--failed", "--analysis"),
        (STUDY_UID, "--since", "2h"),
        ("--failed", "--since", "soon"),
    ],
)
def test_what_does_not_say_which_studies_is_refused(
    empty_site: tuple[Path, Ledger], arguments: tuple[str, ...]
) -> None:
    assert dibmg(empty_site[0], "retry", *arguments).returncode == 2

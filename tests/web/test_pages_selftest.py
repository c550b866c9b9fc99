from __future__ import annotations

from datetime import timedelta

from dibmg_node.domain.selftest import SelfTestStep, StepOutcome, selftest_uid
from dibmg_node.storage.selftests import OpenSelfTest
from tests.web.conftest import WebSide
from tests.web.test_pages import client


def tested(web: WebSide, *steps: StepOutcome) -> None:
    """A self-test that took 12 s, an hour ago."""
    now = web.clock()
    test = OpenSelfTest(selftest_uid(1), now, now + timedelta(minutes=5), 4242, {})
    web.ledger.selftests.register(test)
    web.ledger.selftests.end(test.study_uid, steps, web.clock.advance(12))
    web.clock.advance(3600)


def test_before_any_self_test_the_overview_says_so_and_no_metric_makes_one_up(web: WebSide) -> None:
    asking = client(web)

    overview, metrics = (asking.get(path).text for path in ("/", "/metrics"))

    assert "none yet" in overview
    assert "dibmg_selftest" not in metrics


def test_overview_and_metrics_tell_that_the_last_self_test_passed(web: WebSide) -> None:
    tested(web, StepOutcome(SelfTestStep.REMOVAL, True, 0.1, "gone"))

    overview, metrics = (client(web).get(path).text for path in ("/", "/metrics"))

    assert 'badge good">passed' in overview
    assert {
        "dibmg_selftest_success 1.0",
        "dibmg_selftest_age_seconds 3600.0",
        "dibmg_selftest_seconds 12.0",
    } < {*metrics.splitlines()}


def test_overview_and_metrics_tell_that_it_broke_and_where(web: WebSide) -> None:
    tested(web, StepOutcome(SelfTestStep.LESION, False, 0.1, "another score", "restart the node"))

    overview, metrics = (client(web).get(path).text for path in ("/", "/metrics"))

    assert 'badge bad">broke at lesion' in overview
    assert "dibmg_selftest_success 0.0" in metrics.splitlines()


def test_the_overview_tells_which_node_keeps_self_tests_from_starting(web: WebSide) -> None:
    free = client(web).get("/").text
    web.beside = ["host-b"]

    held_up = client(web).get("/").text

    told = "none is started by itself while host-b analyzes or delivers beside"
    assert told in held_up
    assert told not in free

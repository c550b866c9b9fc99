"""What Prometheus is told: by its conventions, of nobody, and without looking at everything."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event
from starlette.testclient import TestClient

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.storage.ledger import Ledger
from dibmg_node.web.pages.durations import LONGEST_LOOK, SETTLED_AFTER
from tests.factories import PATIENCE, Clock
from tests.programs import find_program
from tests.storage.life import analysis, analyze, make_ready, settle
from tests.web.conftest import WebSide


def scraper(web: WebSide) -> TestClient:
    """A web server that counts from now on."""
    return TestClient(web.app(), base_url="http://localhost")


def families(text: str) -> Mapping[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def counts(asking: TestClient, name: str, label: str) -> dict[str, float]:
    """`_count` of a histogram, by a label."""
    samples = families(asking.get("/metrics").text)[name].samples
    return {one.labels[label]: one.value for one in samples if one.name == f"{name}_count"}


def read_and_deliver(ledger: Ledger, clock: Clock) -> None:
    """A study that waits five minutes, is read in one second and delivered in two."""
    make_ready(ledger, clock)
    claim = ledger.claims.claim("1.2.826.0.1.3680043.10.9.1", 4, "worker", clock(), PATIENCE.quiet)
    found = analysis()
    reading = {"findings": [], "seconds": {"decode": 0.2, "network": 0.7}}
    clock.advance(1)
    ledger.claims.commit(claim, type(found)(**{**vars(found), "reading": reading}), clock())
    clock.advance(2)
    settle(ledger, clock, DeliveryState.STORED)


def test_metrics_tell_the_queue_its_age_and_what_is_owed(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)
    web.clock.advance(30)

    lines = scraper(web).get("/metrics").text.splitlines()

    assert 'dibmg_studies{state="READY"} 1.0' in lines
    # from the last image, the wait for further ones included
    assert f"dibmg_queue_age_seconds {PATIENCE.longest.total_seconds() + 30}" in lines
    assert 'dibmg_deliveries_owed{destination="pacs"} 0.0' in lines
    assert 'dibmg_process_up{node="host",process="sweep"} 0.0' in lines
    assert 'dibmg_process_up{node="other",process="sweep"} 1.0' in lines
    assert "dibmg_disk_reserve_bytes 5e+09" in lines


def test_metrics_tell_alarms_channels_certificates_and_the_audit_trail(web: WebSide) -> None:
    web.clock.advance(30)

    lines = scraper(web).get("/metrics").text.splitlines()

    assert 'dibmg_alarms{alarm="disk"} 1.0' in lines
    assert 'dibmg_alarms{alarm="delivery"} 0.0' in lines
    assert 'dibmg_alarm_messages{channel="ops"} 1.0' in lines
    assert 'dibmg_certificate_expiry_timestamp_seconds{certificate="web.tls.ca"} 1.772600767e+09' in lines
    assert "dibmg_audit_age_seconds 30.0" in lines


def test_the_duration_of_every_step_is_a_histogram(web: WebSide) -> None:
    asking = scraper(web)
    read_and_deliver(web.ledger, web.clock)
    web.clock.advance(SETTLED_AFTER.total_seconds())

    found = families(asking.get("/metrics").text)

    steps = found["dibmg_step_duration_seconds"]
    assert steps.type == "histogram"
    assert {one.labels["step"]: one.value for one in steps.samples if one.name.endswith("_sum")} == {
        "receive": 0.0,
        "wait": 300.0,
        "analysis": 1.0,
        "decode": 0.2,
        "network": 0.7,
    }
    buckets = {
        one.labels["le"]: one.value
        for one in steps.samples
        if one.name.endswith("_bucket") and one.labels["step"] == "wait"
    }
    assert (buckets["120.0"], buckets["300.0"], buckets["+Inf"]) == (0, 1, 1)
    (delivered,) = [
        one.value for one in found["dibmg_delivery_duration_seconds"].samples if one.name.endswith("_sum")
    ]
    assert delivered == 2.0
    outcomes = {one.labels["outcome"]: one.value for one in found["dibmg_analyses"].samples}
    assert outcomes == {"analyzed": 1, "excluded": 0, "failed": 0}


def test_what_was_done_is_counted_once_however_often_it_is_asked(web: WebSide) -> None:
    asking = scraper(web)
    read_and_deliver(web.ledger, web.clock)
    early = counts(asking, "dibmg_step_duration_seconds", "step")

    seen = []
    for _ in range(3):
        web.clock.advance(SETTLED_AFTER.total_seconds())
        seen.append(counts(asking, "dibmg_step_duration_seconds", "step")["analysis"])
    deliveries = counts(asking, "dibmg_delivery_duration_seconds", "destination")

    assert early == {}
    assert seen == [1, 1, 1]
    assert deliveries == {"pacs": 1}


def test_what_was_done_before_the_server_started_or_long_before_it_was_asked_is_not_counted(
    web: WebSide,
) -> None:
    before = scraper(web)
    read_and_deliver(web.ledger, web.clock)
    web.clock.advance(SETTLED_AFTER.total_seconds() + 1)
    after = scraper(web)
    web.clock.advance(LONGEST_LOOK.total_seconds())

    assert counts(after, "dibmg_step_duration_seconds", "step") == {}
    assert counts(before, "dibmg_step_duration_seconds", "step") == {}


def test_a_scrape_looks_at_no_table_of_studies_as_a_whole(web: WebSide) -> None:
    asking = scraper(web)
    analyze_one(web)
    asked: list[tuple[str, object]] = []

    @event.listens_for(web.ledger.engine, "before_cursor_execute")
    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        asked.append((statement, parameters))

    asking.get("/metrics")
    event.remove(web.ledger.engine, "before_cursor_execute", note)

    selects = [(text, values) for text, values in asked if text.lstrip().startswith("SELECT")]
    of_durations = [one for one in selects if "analyses" in one[0] or "settled_at >" in one[0]]
    plans = []
    with web.ledger.engine.connect() as connection:
        for text, values in of_durations:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)  # type: ignore[arg-type]
            plans += [str(row[3]) for row in rows]
    assert len(of_durations) >= 2
    # studies that failed lately, found by two indexes
    harmless = "SCAN lately", "SCAN CONSTANT ROW"
    assert [one for one in plans if one.startswith("SCAN") and one not in harmless] == []


def analyze_one(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)
    analyze(web.ledger, web.clock)


def test_promtool_finds_nothing_to_complain_of_in_names_and_units(web: WebSide) -> None:
    asking = scraper(web)
    read_and_deliver(web.ledger, web.clock)
    web.clock.advance(SETTLED_AFTER.total_seconds())
    text = asking.get("/metrics").text

    checked = subprocess.run(
        [find_program("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (checked.returncode, checked.stderr + checked.stdout) == (0, "")

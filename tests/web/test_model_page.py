"""The page about model and drift, and the metrics of drift."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select
from starlette.testclient import TestClient

from dibmg_node.domain.device import Device
from dibmg_node.domain.drift import DriftLimits
from dibmg_node.domain.follow_up import FollowUp, Truth
from dibmg_node.domain.score_reference import references
from dibmg_node.health.follow_up_report import Period, figures
from dibmg_node.services.drift import DriftPolicy, DriftWatch
from dibmg_node.storage.schema import exam_scores
from dibmg_node.web.pages.plots import HEIGHT, WIDTH, draw_distributions, draw_rates
from tests.factories import START
from tests.storage.scored_exams import UNIT, WEIGHTS, enter_exams
from tests.web.conftest import WebSide

POLICY = DriftPolicy(exams=200, age=None, limits=DriftLimits(psi=0.2, ks=0.001, recall=0.05, minimum=100))
OTHER = Device("Other <b>", "Unit 2", "7")

Filled = Callable[..., TestClient]


def scores(n: int, seed: int, shift: float = 0.0) -> list[float]:
    logits = np.random.default_rng(seed).normal(shift - 1.0, 1.0, n)
    return [float(score) for score in 1.0 / (1.0 + np.exp(-logits))]


def enter_drift(web: WebSide, **shifts: float) -> None:
    """Exams of some devices, moved from their reference."""
    at = START
    for place, (name, shift) in enumerate(shifts.items()):
        device = replace(OTHER if name.startswith("other") else UNIT, software=name)
        at = enter_exams(web.ledger, scores(250, place, shift), at + timedelta(minutes=1), device)
    watch = DriftWatch(web.ledger.exam_scores, web.ledger.drift_baselines, POLICY, WEIGHTS)
    shipped = references([(UNIT, score) for score in scores(1000, 99)], 50)
    web.drift = watch.look(shipped, "the file", at).as_json()


def shadow_behind(now: datetime) -> dict[str, Any]:
    """Facts of a shadow model that exams wait for."""
    return {
        "name": "next",
        "version": "2.0",
        "sha256": "c" * 64,
        "waiting": 12,
        "oldest": now - timedelta(minutes=5),
        "read_last_day": 90,
        "excluded_last_day": 1,
        "failed_last_day": 2,
        "last_failure": "DeadlineError: no answer within 120 s",
    }


@pytest.fixture
def filled(web: WebSide) -> Filled:
    """A node with exams, and somebody who looks at its pages."""

    def fill(**shifts: float) -> TestClient:
        enter_drift(web, **shifts)
        return TestClient(web.app(), base_url="http://localhost")

    return fill


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox=\"-30.*?</svg>", page, re.S)]


def test_a_node_without_exams_has_a_page_without_drawings(web: WebSide) -> None:
    page = TestClient(web.app(), base_url="http://localhost").get("/model").text

    assert "These weights have read no exam yet." in page
    assert drawings(page) == []


def test_the_page_counts_the_networks_of_the_weights_by_kind(web: WebSide) -> None:
    page = TestClient(web.app(), base_url="http://localhost").get("/model").text

    assert "<dt>Networks</dt><dd>1 of places, 2 of whole breasts</dd>" in page


def test_a_device_that_drifts_comes_first_with_its_figures_and_two_drawings(filled: Filled) -> None:
    page = filled(v1=0.8, v2=0.0).get("/model").text

    rows = re.findall(r'data-label="Device"><a [^>]*>([^<]+)</a>.*?<span class="badge (\w+)">', page, re.S)
    assert rows == [("Maker Unit 1, software v1", "bad"), ("Maker Unit 1, software v2", "good")]
    assert "Reference: the file." in page
    assert "PSI 0." in page
    assert len(drawings(page)) == 4


def test_drawings_need_no_style_and_no_script_of_their_own(filled: Filled) -> None:
    page = filled(v1=0.8).get("/model").text

    for drawing in drawings(page):
        assert all("style" not in element.attrib for element in drawing.iter())
        assert {element.tag for element in drawing.iter()} <= {
            "svg",
            "rect",
            "line",
            "polyline",
            "circle",
            "text",
        }
        assert drawing.attrib["role"] == "img"
        assert drawing.attrib["aria-label"]


def test_recall_rates_are_told_in_words_too(filled: Filled) -> None:
    page = filled(v1=0.0).get("/model").text

    told = re.search(r'aria-label="Recall rates of 100 exams each, the newest on the right: ([^"]+)"', page)
    assert told is not None
    assert len(told[1].split(", ")) == 2


def test_what_a_header_calls_a_device_is_text_on_the_page(filled: Filled) -> None:
    page = filled(other=0.0).get("/model").text

    assert "Other &lt;b&gt; Unit 2" in page
    assert "Other <b>" not in page


def test_six_devices_are_drawn_and_the_others_when_they_are_asked_for(filled: Filled) -> None:
    asking = filled(**{f"v{number}": 0.0 for number in range(8)})
    page = asking.get("/model").text
    links = re.findall(r'href="(/model\?device=[0-9a-f]{16})#plots"', page)

    one = asking.get(links[-1]).text

    assert (len(links), len(drawings(page)), len(drawings(one))) == (8, 12, 2)


def test_metrics_have_the_figures_of_every_device(filled: Filled) -> None:
    text = filled(v1=0.8, v2=0.0).get("/metrics").text

    samples = {
        (sample.name, sample.labels["software"], sample.labels.get("end")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "software" in sample.labels
    }
    assert (samples["dibmg_drift", "v1", None], samples["dibmg_drift", "v2", None]) == (1.0, 0.0)
    assert samples["dibmg_drift_exams", "v1", None] == 200.0
    assert samples["dibmg_drift_psi", "v1", "low"] < samples["dibmg_drift_psi", "v1", "value"]
    assert samples["dibmg_drift_ks_p", "v1", None] < 0.01 < samples["dibmg_drift_ks_p", "v2", None]
    assert samples["dibmg_recall_rate", "v1", "low"] > samples["dibmg_recall_rate_reference", "v1", "high"]


def test_bars_and_line_stay_within_the_drawing_and_reach_its_top() -> None:
    plot = draw_distributions([0.1, 0.4, 0.5, 0.0], [0.25] * 4, 0.5)

    assert [bar[0] for bar in plot.recent] == [0.0, 80.0, 160.0, 240.0]
    assert all(y >= 0 and y + height == pytest.approx(HEIGHT, abs=0.2) for _, y, _, height in plot.recent)
    assert plot.recent[2][1] == 0.0
    assert plot.threshold == WIDTH / 2
    assert plot.reference.split()[0] == "0,60"


def test_a_rate_without_a_reference_has_no_band() -> None:
    rate: dict[str, Any] = {"value": 0.1, "low": 0.05, "high": 0.2}

    plot = draw_rates([rate, rate], None)

    assert plot.band is None
    assert [mark[0] for mark in plot.marks] == [80.0, 240.0]
    assert all(0 <= top < y < bottom <= HEIGHT for _, y, top, bottom in plot.marks)


def test_the_page_shows_the_figures_that_were_computed_last(web: WebSide) -> None:
    enter_exams(web.ledger, [0.9, 0.3, 0.7, 0.1], START)
    with web.ledger.engine.connect() as connection:
        uids = connection.scalars(select(exam_scores.c.study_uid)).all()
    truths = [Truth.CANCER, Truth.CANCER, Truth.BENIGN, Truth.NORMAL]
    told = {uid: [FollowUp(truth)] for uid, truth in zip(uids, truths, strict=True)}
    web.ledger.follow_ups.enter(told, START)
    web.ledger.follow_ups.keep_figures(figures(web.ledger.follow_ups.exams(), Period.QUARTER), START)

    page = TestClient(web.app(), base_url="http://localhost").get("/model").text

    assert "4 exams with a known outcome, 2 with cancer" in page
    assert page.count('data-label="Sensitivity %">50.0 (9.5–90.5)') == 3


def test_a_node_without_outcomes_says_how_to_enter_some(web: WebSide) -> None:
    page = TestClient(web.app(), base_url="http://localhost").get("/model").text

    assert "dibmg outcomes import FILE" in page
    assert "Shadow model" not in page


def test_a_shadow_model_is_on_the_pages_and_in_the_metrics(web: WebSide) -> None:
    web.shadow = shadow_behind(web.clock())
    client = TestClient(web.app(), base_url="http://localhost")

    page, overview, metrics = (client.get(path).text for path in ("/model", "/", "/metrics"))

    assert "12 exams, the oldest waits 5 min 0 s" in page
    assert "no answer within 120 s" in page
    assert "next version 2.0" in overview
    samples = {
        (one.name, one.labels.get("outcome", "")): one.value
        for family in text_string_to_metric_families(metrics)
        for one in family.samples
        if one.name.startswith("dibmg_shadow")
    }
    assert samples == {
        ("dibmg_shadow_waiting", ""): 12,
        ("dibmg_shadow_age_seconds", ""): 300,
        ("dibmg_shadow_readings_last_day", "read"): 90,
        ("dibmg_shadow_readings_last_day", "excluded"): 1,
        ("dibmg_shadow_readings_last_day", "failed"): 2,
    }

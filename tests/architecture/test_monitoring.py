"""Prometheus' rules and Grafana's dashboard: every metric in them is one that the node exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from dibmg_node.domain.selftest import SelfTestStep, StepOutcome
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.web.pages.durations import SETTLED_AFTER
from tests.factories import Clock
from tests.programs import find_program
from tests.storage.life import analyze, make_ready
from tests.web.conftest import WebSide
from tests.web.test_model_page import enter_drift, shadow_behind
from tests.web.test_pages_selftest import tested as enter_selftest

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "dibmg.json").read_text())
OWN = re.compile(r"\bdibmg_[a-z_]+")


@pytest.fixture
def exported(archive: Archive, ledger: Ledger, clock: Clock) -> set[str]:
    """Names of every sample that the node gives, once a study was read."""
    web = WebSide(archive, ledger, clock)
    enter_drift(web, v1=0.8)
    web.shadow = shadow_behind(clock())
    enter_selftest(web, StepOutcome(SelfTestStep.REMOVAL, True, 0.1, "gone"))
    asking = TestClient(web.app(), base_url="http://localhost")
    make_ready(ledger, clock)
    analyze(ledger, clock)
    clock.advance(SETTLED_AFTER.total_seconds())
    text = asking.get("/metrics").text
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from group["rules"]


def queries() -> list[str]:
    """Every PromQL expression of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [find_program("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_metric_of_an_alert_is_one_that_the_node_exports(exported: set[str]) -> None:
    named = {name for rule in alerts() for name in OWN.findall(rule["expr"])}

    assert len(named) > 10
    assert named - exported == set()


def test_every_metric_of_the_dashboard_is_one_that_the_node_exports(exported: set[str]) -> None:
    variables = [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    named = {name for text in [*queries(), *variables] for name in OWN.findall(text)}

    assert len(named) > 20
    assert named - exported == set()


def test_prometheus_takes_its_configuration_and_its_rules(tmp_path: Path) -> None:
    folder = shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus")

    checked = promtool("check", "config", "--syntax-only", str(folder / "prometheus.yml"))
    rules = promtool("check", "rules", str(folder / "alerts.yml"))

    assert (checked.returncode, rules.returncode) == (0, 0), checked.stderr + rules.stderr


def test_alerts_come_when_they_should_and_not_before(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    cases = shutil.copy(Path(__file__).parent / "alerts.test.yml", tmp_path)

    tested = promtool("test", "rules", str(cases))

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"query:{number}",
            "expr": expr.replace("$__rate_interval", "5m").replace("$instance", ".*"),
        }
        for number, expr in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    checked = promtool("check", "rules", str(file))

    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_the_dashboards_panels_are_whole_and_lie_beside_each_other() -> None:
    panels = DASHBOARD["panels"]
    cells: list[tuple[int, int]] = []
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells += [
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]

    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} <= {"stat", "timeseries", "bargauge"}
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert all(panel["title"] and panel["targets"] for panel in panels)
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]
    assert "research use only" in DASHBOARD["description"]


def test_grafana_finds_prometheus_and_the_dashboard_where_compose_puts_them() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "dibmg.yaml").read_text())["providers"]
    mounted = [one.split(":")[1] for one in compose["services"]["grafana"]["volumes"]]

    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in compose["services"]
    assert provider["options"]["path"] in mounted
    assert "/etc/grafana/provisioning" in mounted


def test_prometheus_shows_the_node_the_token_that_compose_gives_both() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    services = compose["services"]

    assert job["authorization"]["credentials_file"] == "/run/secrets/stow_token"
    assert services["node"]["environment"]["DIBMG_STOW_TOKEN_FILE"] == "/run/secrets/stow_token"
    assert "stow_token" in services["prometheus"]["secrets"]
    assert "stow_token" in services["node"]["secrets"]
    assert job["static_configs"][0]["targets"] == ["node:8080"]

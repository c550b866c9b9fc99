"""Who asked the web server for what, as it stands in the audit trail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from tests.services.audit_trail import PSEUDONYMS, AuditTrail, new_audit
from tests.web.conftest import WebSide
from tests.web.held_results import hold

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
P3 = PSEUDONYMS.of("P3")


@pytest.fixture
def trail(tmp_path: Path, web: WebSide) -> AuditTrail:
    hold(web, "1.2.3", captures=2, PatientName="Müller^Anna", PatientID="P3")
    return new_audit(tmp_path, web.clock)


@pytest.fixture
def client(web: WebSide, trail: AuditTrail) -> TestClient:
    return web.client(audit=trail.auditor)


def test_a_search_by_name_is_told_without_the_name(client: TestClient, trail: AuditTrail) -> None:
    answer = client.get("/dicom-web/studies?PatientName=M%C3%BCller*&00100020=P3")

    query = trail.of("Query")
    assert answer.status_code == 200
    assert query["query"] == "/dicom-web/studies?PatientID=?&PatientName=?"
    assert (query["patient"], query["participants"][0]["user"]) == (P3, "testclient")
    assert "ller" not in json.dumps(trail.lines)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("studies/1.2.3/series", "/dicom-web/studies/1.2.3/series"),
        ("studies/M%C3%BCller/series", "/dicom-web/studies/?/series"),
        ("studies/1.2.3/series/1.2.3.9101/instances", "/dicom-web/studies/1.2.3/series/1.2.3.9101/instances"),
    ],
)
def test_the_path_of_a_search_is_told_as_far_as_it_is_uids(
    client: TestClient, trail: AuditTrail, path: str, told: str
) -> None:
    client.get(f"/dicom-web/{path}")

    assert trail.of("Query")["query"] == told


@pytest.mark.parametrize("path", ["studies/1.2.3", "studies/1.2.3/metadata"])
def test_results_that_are_given_out_are_an_access_to_their_study(
    client: TestClient, trail: AuditTrail, path: str
) -> None:
    headers = {} if path.endswith("metadata") else {"Accept": "multipart/related; transfer-syntax=*"}
    answer = client.get(f"/dicom-web/{path}", headers=headers)

    access = trail.of("DICOM Instances Accessed")
    assert answer.status_code == 200
    assert (access["action"], access["patient"]) == ("R", P3)
    assert access["studies"] == [
        {"study_uid": "1.2.3", "instances": {facts.MAMMOGRAPHY_CAD_SR: 1, facts.SECONDARY_CAPTURE: 2}}
    ]


def test_what_is_not_given_out_is_no_access(client: TestClient, trail: AuditTrail) -> None:
    assert client.get("/dicom-web/studies/1.2.9").status_code == 404
    assert client.get("/dicom-web/studies/1.2.3", headers={"Accept": "image/png"}).status_code == 406

    assert trail.lines == []


def test_a_token_and_a_wrong_one_are_told_and_a_probe_is_not(web: WebSide, trail: AuditTrail) -> None:
    client = web.client(token=TOKEN, audit=trail.auditor)

    client.get("/health/live")
    for _ in range(3):
        client.get("/dicom-web/nothing", headers=BEARER)
        client.get("/dicom-web/studies", headers={"Authorization": "Bearer wrong"})

    assert [(line["event"], line["outcome"]) for line in trail.lines] == [("110114", 0), ("110114", 4)]
    assert "wrong" not in trail.lines[1]["description"].replace("a wrong one", "")


def test_a_page_that_calls_this_machine_by_another_name_is_told(web: WebSide, trail: AuditTrail) -> None:
    client = web.client(loopback_names_only=True, audit=trail.auditor)

    client.get("/dicom-web/studies", headers={"Host": "evil.example"})

    assert trail.of("User Authentication")["description"] == "not called by a name of this machine"

from __future__ import annotations

import sys
from typing import Any

import pytest
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from dibmg_node.storage.archive import Archive
from tests.web.conftest import WebSide
from tests.web.held_results import hold


@pytest.fixture
def client(web: WebSide) -> TestClient:
    """Three women's results, the newest last."""
    hold(web, "1.2.1", PatientName="Adler^Eva", PatientID="P1", StudyDate="20260301", AccessionNumber="A-1")
    hold(web, "1.2.2", captures=2, PatientName="Berg^Ina", PatientID="P2", StudyDate="20260302")
    hold(web, "1.2.3", PatientName="Müller^Anna", PatientID="P3", StudyDate="20260303", StudyTime="081500")
    return web.client()


_opened: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and "/archive/results/" in str(arguments[0]):
        _opened.append(str(arguments[0]))


@pytest.fixture(scope="module")
def watch() -> None:
    """Note which results this process opens from now on; an audit hook cannot be taken away."""
    sys.addaudithook(_watch)


@pytest.mark.parametrize(
    ("path", "query", "opened"),
    [
        ("studies", "limit=1", 1),
        ("studies", "limit=1&offset=2", 1),
        ("instances", "limit=1&offset=4", 1),
        ("studies", "PatientID=nobody", 3),
        ("instances", "PatientID=nobody", 3),
        ("instances", "PatientID=P2", 3 + 3),
    ],
)
def test_a_search_opens_one_result_of_a_study_and_those_that_it_tells_of(
    client: TestClient, watch: None, path: str, query: str, opened: int
) -> None:
    _opened.clear()

    search(client, path, query)

    assert 1 <= len(_opened) <= opened


def search(client: TestClient, path: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/dicom-web/{path}?{query}")
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    found: list[dict[str, Any]] = answer.json()
    return found


def studies(client: TestClient, query: str) -> list[str]:
    return [one["0020000D"]["Value"][0] for one in search(client, "studies", query)]


def values(found: list[dict[str, Any]], tag: str) -> list[Any]:
    return [one[tag]["Value"][0] for one in found]


def test_a_result_that_the_archive_has_lost_hides_nothing_but_itself(
    web: WebSide, client: TestClient, archive: Archive
) -> None:
    (report, *_) = hold(web, "1.2.4", PatientName="Carl^Ute", PatientID="P4", StudyDate="20260304")
    archive.result_path(report.SOPInstanceUID).unlink()

    assert studies(client, "PatientID=P?") == ["1.2.4", "1.2.3", "1.2.2", "1.2.1"]
    assert search(client, "studies/1.2.4/instances") != []
    assert report.SOPInstanceUID not in values(search(client, "studies/1.2.4/instances"), "00080018")


def test_all_studies_are_found_newest_first(client: TestClient) -> None:
    assert studies(client, "") == ["1.2.3", "1.2.2", "1.2.1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("StudyInstanceUID=1.2.2", ["1.2.2"]),
        ("0020000D=1.2.2,1.2.1", ["1.2.2", "1.2.1"]),
        ("StudyInstanceUID=1.2.1%5C1.2.9", ["1.2.1"]),
        ("PatientID=P3", ["1.2.3"]),
        ("00100020=P3", ["1.2.3"]),
        ("PatientID=p3", []),
        ("PatientID=P?", ["1.2.3", "1.2.2", "1.2.1"]),
        ("PatientID=P", []),
        ("PatientName=müller*", ["1.2.3"]),
        ("PatientName=*a", ["1.2.3", "1.2.2", "1.2.1"]),
        ("PatientName=*I*", ["1.2.2"]),
        ("PatientID=P3&PatientName=Berg*", []),
        ("PatientID=", ["1.2.3", "1.2.2", "1.2.1"]),
        ("AccessionNumber=A-1", ["1.2.1"]),
        ("AccessionNumber=A.1", []),
        ("StudyDate=20260302", ["1.2.2"]),
        ("StudyDate=20260302-20260303", ["1.2.3", "1.2.2"]),
        ("StudyDate=20260302-", ["1.2.3", "1.2.2"]),
        ("StudyDate=-20260301", ["1.2.1"]),
        ("StudyTime=08-09", ["1.2.3"]),
        ("StudyTime=10-1011", ["1.2.2", "1.2.1"]),
        ("ModalitiesInStudy=SR", ["1.2.3", "1.2.2", "1.2.1"]),
        ("ModalitiesInStudy=MG", []),
        ("limit=1", ["1.2.3"]),
        ("limit=1&offset=1", ["1.2.2"]),
        ("offset=3", []),
        ("limit=0", []),
        ("fuzzymatching=true&PatientID=P1", ["1.2.1"]),
    ],
)
def test_keys_match_as_the_standard_says(client: TestClient, query: str, found: list[str]) -> None:
    assert studies(client, query) == found


def test_a_study_is_told_with_its_patient_its_counts_and_its_url(client: TestClient) -> None:
    (found,) = search(client, "studies", "PatientID=P2")

    assert found["00100010"]["Value"] == [{"Alphabetic": "Berg^Ina"}]
    assert found["00080061"]["Value"] == ["OT", "SR"]
    assert (found["00201206"]["Value"], found["00201208"]["Value"]) == ([2], [3])
    assert found["00081190"]["Value"] == ["http://node/dicom-web/studies/1.2.2"]
    assert "00080018" not in found


def test_behind_a_proxy_urls_are_those_that_it_is_known_by(client: TestClient) -> None:
    client.app.state.public_url = "https://dibmg.clinic.example"  # type: ignore[attr-defined]

    (found,) = search(client, "studies", "PatientID=P2")

    assert found["00081190"]["Value"] == ["https://dibmg.clinic.example/dicom-web/studies/1.2.2"]


def test_series_of_a_study_are_told_without_the_study(client: TestClient) -> None:
    found = search(client, "studies/1.2.2/series")

    assert values(found, "00080060") == ["SR", "OT"]
    assert values(found, "00201209") == [1, 2]
    assert values(found, "00081190") == [
        f"http://node/dicom-web/studies/1.2.2/series/1.2.2.{number}" for number in (9001, 9101)
    ]
    assert all("00100010" not in one for one in found)


def test_series_of_all_studies_are_told_with_their_study(client: TestClient) -> None:
    found = search(client, "series", "Modality=SR&PatientName=Berg*")

    assert values(found, "0020000E") == ["1.2.2.9001"]
    assert values(found, "00100020") == ["P2"]


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        ("studies/1.2.2/instances", "", ["1.2.2.9001.1", "1.2.2.9101.1", "1.2.2.9101.2"]),
        ("studies/1.2.2/series/1.2.2.9101/instances", "", ["1.2.2.9101.1", "1.2.2.9101.2"]),
        ("studies/1.2.2/series/1.2.2.9101/instances", "InstanceNumber=2", ["1.2.2.9101.2"]),
        ("studies/1.2.2/series/1.2.1.9101/instances", "", []),
        ("studies/1.2.2/instances", "SOPInstanceUID=1.2.2.9101.1", ["1.2.2.9101.1"]),
        ("studies/1.2.2/instances", "StudyInstanceUID=1.2.1", []),
        ("instances", f"SOPClassUID={facts.SECONDARY_CAPTURE}&PatientID=P1", ["1.2.1.9101.1"]),
        ("instances", "Rows=8&limit=2", ["1.2.3.9101.1", "1.2.2.9101.1"]),
    ],
)
def test_instances_are_found_below_their_path(
    client: TestClient, path: str, query: str, found: list[str]
) -> None:
    assert [one["00080018"]["Value"][0] for one in search(client, path, query)] == found


@pytest.mark.parametrize(
    ("query", "tag"), [("includefield=PatientSex,Rows", "00280010"), ("includefield=all", "00280002")]
)
def test_what_is_asked_to_be_included_is_told(client: TestClient, query: str, tag: str) -> None:
    (found,) = search(client, "studies/1.2.1/series/1.2.1.9101/instances", query)

    assert tag in found
    assert "7FE00010" not in found


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("studies", "Nonsense=1"),
        ("studies", "FFFFFFFF=1"),
        ("studies", "Modality=SR"),
        ("studies", "SOPInstanceUID=1.2"),
        ("instances", "ReferencedSOPSequence=1"),
        ("studies", "limit=-1"),
        ("studies", "offset=a"),
        ("studies", "includefield=Nonsense"),
    ],
)
def test_a_query_that_is_not_understood_is_a_400_that_does_not_repeat_it(
    client: TestClient, path: str, query: str
) -> None:
    answer = client.get(f"/dicom-web/{path}?{query}")

    assert answer.status_code == 400
    assert "Nonsense" not in answer.text


def test_who_accepts_no_json_is_told_406(client: TestClient) -> None:
    assert client.get("/dicom-web/studies", headers={"Accept": "text/html"}).status_code == 406


def test_a_study_without_results_is_not_found(web: WebSide) -> None:
    assert search(web.client(), "studies") == []


@pytest.mark.parametrize(("query", "warned"), [("PatientID=P1", True), ("limit=1", False)])
def test_a_search_that_did_not_look_at_every_study_says_so(
    web: WebSide, client: TestClient, query: str, warned: bool
) -> None:
    answer = web.client(most_studies=2).get(f"/dicom-web/studies?{query}")

    assert ("only the 2 newest studies" in answer.headers.get("Warning", "")) is warned

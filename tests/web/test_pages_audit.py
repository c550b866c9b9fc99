"""The page of the audit trail: what it shows, what is entered by it, and its verification."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from dibmg_node.errors import PermanentError, RetryableError
from dibmg_node.services.audit import SILENT, Auditor
from dibmg_node.services.operating import Person
from dibmg_node.services.pseudonyms import Pseudonyms
from dibmg_node.services.trail_desk import TrailDesk
from dibmg_node.services.wire import TurnedAway
from dibmg_node.storage.trail import Trail, trail_file
from dibmg_node.storage.trail_check import check_trail
from tests.web.conftest import WebSide

STUDY = "1.2.9.1"
KEY = b"a key of sixteen or more"


@pytest.fixture
def audit(web: WebSide) -> Iterator[Auditor]:
    trail = Trail(web.trail_folder, "web")
    yield Auditor(trail, "DIBMG", Pseudonyms(KEY), web.clock, {"pacs": "10.0.0.2"})
    trail.close()


@pytest.fixture
def client(web: WebSide, audit: Auditor) -> TestClient:
    """A person at the node itself, who need not log in."""
    return TestClient(web.app(audit=audit), base_url="http://localhost", follow_redirects=False)


@pytest.fixture
def desk(web: WebSide, audit: Auditor) -> TrailDesk:
    return web.desk(audit)


def rows(client: TestClient, query: str = "") -> list[str]:
    """The lines that a page shows, as plain words."""
    page = client.get(f"/audit{query}")
    assert page.status_code == 200
    body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
    found = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


def verify(client: TestClient) -> int:
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/audit").text)
    assert token is not None
    return client.post("/audit/verify", data={"csrf": token[1]}).status_code


def test_the_newest_line_stands_first_and_says_that_the_page_was_read(
    client: TestClient, audit: Auditor
) -> None:
    audit.turned_away(TurnedAway("10.9.9.9", "EVIL", "DIBMG", "calling AE title not recognized"))

    first, second = rows(client)

    assert "Audit Log Used" in first
    assert "testclient" in first
    assert "EVIL (10.9.9.9)" in second
    assert "calling AE title not recognized; called DIBMG" in second
    assert "minor failure" in second


def test_what_was_looked_for_is_entered_as_well(client: TestClient) -> None:
    rows(client, f"?event=110113&study={STUDY}")

    (_, entered) = rows(client, "?event=110101")

    assert f"/audit?event=110113&amp;study={STUDY}" in entered


def test_filters_of_the_url_hold(client: TestClient, audit: Auditor) -> None:
    audit.sent("pacs", STUDY, [], "")
    audit.deleted(STUDY, "purged: high water")
    audit.deleted("1.2.9.2", "purged: high water")

    assert len(rows(client, f"?study={STUDY}")) == 1
    assert len(rows(client, "?event=110105")) == 2
    assert rows(client, "?outcome=8") == []
    assert rows(client, "?until=2020-01-01T00:00") == []


@pytest.mark.parametrize(
    "query", ["event=1", "outcome=3", "study=abc", "since=yesterday", "before=x", "before=1", "until=9"]
)
def test_a_filter_that_is_none_is_told(client: TestClient, query: str) -> None:
    assert client.get(f"/audit?{query}").status_code == 400


def test_older_lines_are_a_link_away(client: TestClient, audit: Auditor) -> None:
    for number in range(60):
        audit.deleted(f"1.2.9.{number}", "purged")

    first = client.get("/audit?event=110105")
    link = re.search(r'href="(/audit\?[^"]+)" rel="next"', first.text)
    assert link is not None
    second = rows(client, link[1].removeprefix("/audit").replace("&amp;", "&"))

    assert len(second) == 10
    assert "1.2.9.9 " in second[0]


def test_no_patient_is_on_the_page_but_by_a_pseudonym(client: TestClient, audit: Auditor) -> None:
    pseudonym = Pseudonyms(KEY).of("P4711")
    audit.accessed("10.0.0.9", STUDY, ["1.2.840.10008.5.1.4.1.1.88.50"], pseudonym)

    page = client.get("/audit").text

    assert (pseudonym in page, "P4711" in page) == (True, False)


def test_what_a_peer_calls_itself_is_escaped(client: TestClient, audit: Auditor) -> None:
    audit.turned_away(TurnedAway("10.9.9.9", "<script>", "DIBMG", "not recognized"))

    assert "<script>&" not in client.get("/audit").text
    assert "&lt;script&gt;" in client.get("/audit").text


def test_a_whole_trail_is_verified_by_the_button_and_the_page_says_when_and_by_whom(
    client: TestClient, audit: Auditor
) -> None:
    audit.deleted(STUDY, "purged")
    assert "never verified" in client.get("/audit").text

    status = verify(client)

    page = client.get("/audit").text
    assert status == 303
    assert "each as it was written" in page
    assert "by testclient" in page
    assert rows(client, "?event=110101")[2].count("/audit/verify") == 1


def test_a_changed_line_is_named_until_the_trail_is_whole_again(
    client: TestClient, audit: Auditor, web: WebSide
) -> None:
    audit.deleted(STUDY, "purged")
    audit.deleted(STUDY, "again")
    path = trail_file(web.trail_folder, 1)
    path.write_bytes(path.read_bytes().replace(b"purged", b"kissed"))

    verify(client)

    assert "audit-000001.jsonl:1: changed: line 1 is not what line 2 follows" in client.get("/audit").text


def test_an_end_that_was_cut_off_is_told_until_somebody_begins_anew_by_command(
    desk: TrailDesk, audit: Auditor, web: WebSide
) -> None:
    for _ in range(3):
        audit.deleted(STUDY, "purged")
    whole = desk.verify(Person("otto"))
    path = trail_file(web.trail_folder, 1)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))

    found = [replace(desk, audit=SILENT).verify(Person("otto")) for _ in range(2)]

    assert whole.reason == ""
    reason = f"audit-000001.jsonl:2: no line has the digest {whole.head}: the end was cut off"
    assert [one.reason.startswith(reason) for one in found] == [True, True]


def test_a_trail_that_was_removed_is_told(desk: TrailDesk, audit: Auditor, web: WebSide) -> None:
    audit.deleted(STUDY, "purged")
    desk.verify(Person("otto"))
    trail_file(web.trail_folder, 1).unlink()

    assert "the end was cut off" in replace(desk, audit=SILENT).verify(Person("otto")).reason


def test_a_long_trail_is_left_to_the_command(desk: TrailDesk, audit: Auditor, client: TestClient) -> None:
    audit.deleted(STUDY, "purged")

    with pytest.raises(PermanentError, match="dibmg audit verify"):
        replace(desk, longest=10).verify(Person("otto"))


def test_it_is_verified_by_one_at_a_time(desk: TrailDesk, audit: Auditor) -> None:
    audit.deleted(STUDY, "purged")

    with desk._one_at_a_time, pytest.raises(RetryableError, match="just now"):
        desk.verify(Person("otto"))

    assert desk.verify(Person("otto")).by == "otto"


def test_reading_and_verifying_leave_the_chain_whole(client: TestClient, web: WebSide) -> None:
    rows(client)
    verify(client)

    assert check_trail(web.trail_folder).broken is None

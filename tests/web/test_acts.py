"""What operators do by the buttons of the pages, and how what is paused is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.pause import Part, Pause
from dibmg_node.storage.users import UserRole
from tests.factories import STUDY_UID, mammogram, part10
from tests.services.audit_trail import new_audit
from tests.storage.life import analyze, make_ready, reason_of, settle, state_of
from tests.web.conftest import WebSide
from tests.web.multipart import body_of, content_type
from tests.web.test_pages_access import PASSWORD, Browser, browser, logged_in

PAGE = f"/studies/{STUDY_UID}"


@pytest.fixture
def wide(web: WebSide) -> WebSide:
    """A node that others reach, with a study that waits, a viewer and an operator."""
    make_ready(web.ledger, web.clock)
    web.users.put("vera", UserRole.VIEWER, PASSWORD)
    web.users.put("otto", UserRole.OPERATOR, PASSWORD)
    return web


def post(visitor: Browser, path: str, **fields: str) -> tuple[int, str]:
    """Status, and where to."""
    answer = visitor.client.post(path, data={"csrf": visitor.token("/"), **fields})
    return answer.status_code, answer.headers.get("location", "")


def test_an_operator_gives_a_study_up_and_the_page_says_so(wide: WebSide) -> None:
    otto = logged_in(wide, "otto")
    before = otto.client.get(PAGE).text

    answer = post(otto, f"{PAGE}/cancel", reason="sent by mistake")

    assert answer == (303, f"{PAGE}?done=canceled")
    assert (state_of(wide.ledger), reason_of(wide.ledger)) == (
        "CANCELED",
        "canceled by otto: sent by mistake",
    )
    after = otto.client.get(answer[1]).text
    assert ("Cancel study" in before, "Cancel study" in after) == (True, False)
    assert "The study is given up. Retry brings it back." in after


def test_an_operator_makes_a_study_urgent(wide: WebSide) -> None:
    otto = logged_in(wide, "otto")

    answer = post(otto, f"{PAGE}/priority", priority="stat")

    assert answer == (303, f"{PAGE}?done=stat")
    page = otto.client.get(PAGE).text
    assert '<option value="stat" selected>' in page
    assert "<dt>Priority</dt><dd>stat</dd>" in page


@pytest.mark.parametrize(
    ("part", "name", "page"),
    [("intake", "", "/"), ("analysis", "", "/"), ("destination", "pacs", "/destinations")],
)
def test_an_operator_pauses_and_resumes_and_both_are_shown(
    wide: WebSide, part: str, name: str, page: str
) -> None:
    otto = logged_in(wide, "otto")

    paused = post(otto, "/pause", part=part, name=name, reason="upgrade & more")
    shown = [otto.client.get(path).text for path in ("/", page)]
    resumed = post(otto, "/resume", part=part, name=name)

    called = f"{part} {name}".strip()
    assert paused == resumed == (303, page)
    assert all(f"{called} is paused since" in text for text in shown)
    assert all("by otto: upgrade &amp; more" in text for text in shown)
    assert all(f"Resume {called}</button>" in text for text in shown)
    assert f"Pause {called}</button>" in otto.client.get(page).text


def test_an_operator_has_all_sent_again_that_a_destination_refused(wide: WebSide) -> None:
    otto = logged_in(wide, "otto")
    analyze(wide.ledger, wide.clock)
    settle(wide.ledger, wide.clock, DeliveryState.REFUSED, "0x0122")
    button = "Send again what pacs refused</button>"
    before = [logged_in(wide, name).client.get("/destinations").text for name in ("otto", "vera")]

    answer = post(otto, "/destinations/retry", name="pacs")

    assert [button in text for text in before] == [True, False]
    assert answer == (303, "/destinations")
    assert state_of(wide.ledger) == "ANALYZED"
    assert button not in otto.client.get("/destinations").text


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/destinations/retry", {"name": "nowhere"}, 404),
        ("/pause", {"part": "sweep"}, 400),
        ("/pause", {"part": "intake", "name": "pacs"}, 400),
        ("/pause", {"part": "destination"}, 400),
        ("/pause", {"part": "destination", "name": "nowhere"}, 404),
        ("/pause", {"part": "intake", "reason": "x" * 201}, 409),
        ("/resume", {"part": "intake"}, 409),
        ("/studies/1.2.3/cancel", {}, 404),
        (f"{PAGE}/priority", {"priority": "urgent"}, 400),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    wide: WebSide, path: str, fields: dict[str, str], status: int
) -> None:
    found = post(logged_in(wide, "otto"), path, **fields)

    assert found[0] == status
    assert (wide.ledger.pauses.all(), state_of(wide.ledger)) == ([], "READY")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/pause", {"part": "intake"}),
        ("/destinations/retry", {"name": "pacs"}),
        (f"{PAGE}/cancel", {}),
        (f"{PAGE}/priority", {"priority": "stat"}),
    ],
)
def test_a_viewer_has_no_such_button_and_is_refused(wide: WebSide, path: str, fields: dict[str, str]) -> None:
    vera = logged_in(wide, "vera")
    pages = [vera.client.get(path).text for path in ("/", PAGE, "/destinations")]

    found = post(vera, path, **fields)

    assert found[0] == 403
    assert not any(word in page for page in pages for word in ("Pause ", "Cancel study", "Set priority"))
    study = wide.ledger.views.study(STUDY_UID)
    assert study is not None
    assert (wide.ledger.pauses.all(), study["state"], study["priority"]) == ([], "READY", "routine")


def test_the_audit_trail_says_who_did_it_and_from_where(wide: WebSide, tmp_path: Path) -> None:
    trail = new_audit(tmp_path, wide.clock)
    otto = browser(wide.app(login_always=True, audit=trail.auditor))
    otto.login("otto")

    post(otto, f"{PAGE}/cancel", reason="sent by mistake")

    (line,) = [one for one in trail.lines if one.get("type") == "cancel"]
    assert line["participants"][0] == {
        "user": "otto",
        "role": "",
        "address": "testclient",
        "requestor": True,
    }


def test_a_study_that_owes_results_can_be_given_up_on_its_page(wide: WebSide) -> None:
    analyze(wide.ledger, wide.clock)

    assert "Cancel study" in logged_in(wide, "otto").client.get(PAGE).text


def test_metrics_tell_what_is_paused(web: WebSide) -> None:
    web.ledger.pauses.begin(Pause(Part.DESTINATION, "pacs", web.clock(), "anna", ""))

    told = web.client().get("/metrics", headers={"Host": "localhost"}).text

    (family,) = [one for one in text_string_to_metric_families(told) if one.name == "dibmg_paused"]
    values = {(one.labels["part"], one.labels["name"]): one.value for one in family.samples}
    assert values == {("intake", ""): 0.0, ("analysis", ""): 0.0, ("destination", "pacs"): 1.0}


def test_while_intake_is_paused_stow_is_told_to_come_again_and_the_node_is_not_ready(web: WebSide) -> None:
    client = web.client(is_paused=lambda: True)

    stored = client.post(
        "/dicom-web/studies",
        content=body_of([part10(mammogram())]),
        headers={"Content-Type": content_type()},
    )
    ready = client.get("/health/ready")

    assert (stored.status_code, int(stored.headers["retry-after"]) > 0) == (503, True)
    assert "intake is paused" in stored.text
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "reasons": ["intake is paused"]})
    assert client.get("/health/live").status_code == 200
    assert web.files("") == []


def test_a_pause_in_mid_request_keeps_what_was_stored_and_refuses_the_rest_for_now(web: WebSide) -> None:
    asked: list[None] = []

    def from_the_second_part_on() -> bool:
        asked.append(None)
        return len(asked) > 2

    images = [mammogram(), mammogram(number=1)]
    answer = web.client(is_paused=from_the_second_part_on).post(
        "/dicom-web/studies",
        content=body_of([part10(one) for one in images]),
        headers={"Content-Type": content_type()},
    )

    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xA700]
    assert web.stored(STUDY_UID) == 1

"""What the pages show."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset
from starlette.testclient import TestClient

from dibmg_node.dicom import facts
from dibmg_node.dicom.encode import encode
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import Result, ResultKind
from dibmg_node.storage.analysis_rows import Analysis, Outcome
from dibmg_node.storage.users import UserRole
from tests.factories import (
    L_CC,
    LEASE,
    PATIENCE,
    R_CC,
    STUDY_UID,
    instance,
    mammogram,
    part10,
    used,
)
from tests.services.audit_trail import PSEUDONYMS, new_audit
from tests.storage.life import analysis, analyze, make_ready, settle
from tests.web.conftest import WebSide
from tests.web.held_results import capture
from tests.web.multipart import body_of, content_type


def client(web: WebSide) -> TestClient:
    return TestClient(web.app(), base_url="http://localhost", follow_redirects=False)


def receive(web: WebSide, *images: FileDataset) -> None:
    """Take images as a sender's."""
    answer = client(web).post(
        "/dicom-web/studies",
        content=body_of([part10(one) for one in images]),
        headers={"Content-Type": content_type()},
    )
    assert answer.status_code == 200


def token(asking: TestClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', asking.get("/").text)
    assert found is not None
    return found[1]


def find(asking: TestClient, number: str) -> tuple[int, str, str]:
    """Status, where to, and text."""
    answer = asking.post("/find", data={"csrf": token(asking), "number": number})
    return answer.status_code, answer.headers.get("location", ""), answer.text


@pytest.mark.parametrize("number", ["A123", " a123 ", "P123", STUDY_UID])
def test_a_study_is_found_by_its_numbers_and_the_address_names_the_study_alone(
    web: WebSide, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receive(web, mammogram(R_CC))

    status, location, _ = find(client(web), number)

    assert (status, location) == (303, f"/studies/{STUDY_UID}")
    assert not any("A123" in str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("number", ["A12", "Kanarienvogel", "9.9.9", "%", "é"])
def test_a_number_that_no_study_has_finds_none(web: WebSide, number: str) -> None:
    receive(web, mammogram(R_CC))

    status, _, text = find(client(web), number)

    assert status == 200
    assert "No study has this number" in text


def test_a_patient_with_two_studies_has_both_listed(web: WebSide) -> None:
    receive(web, mammogram(R_CC))
    receive(web, mammogram(R_CC, study_uid="1.2.9"))

    status, _, text = find(client(web), "P123")

    assert status == 200
    assert set(re.findall(r'href="/studies/([0-9.]+)"', text)) == {STUDY_UID, "1.2.9"}


def test_pages_tell_who_a_study_is_of_and_metrics_and_logs_do_not(
    web: WebSide, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    receive(web, mammogram(R_CC))
    asking = client(web)

    study, studies, metrics = (asking.get(p).text for p in (f"/studies/{STUDY_UID}", "/studies", "/metrics"))

    assert "Kanarienvogel Erika" in study
    assert all(number in page for number in ("A123", "P123") for page in (study, studies))
    told = metrics + "".join(str(vars(record)) for record in caplog.records)
    assert not any(secret in told for secret in ("Kanarienvogel", "A123", "P123", "19600102"))
    assert STUDY_UID not in metrics


def test_what_a_header_holds_is_text_on_a_page(web: WebSide) -> None:
    receive(web, mammogram(R_CC, PatientID="<script>alert(1)</script>", Manufacturer='"><b>'))

    pages = [client(web).get(path).text for path in ("/studies", f"/studies/{STUDY_UID}")]

    assert not any("<script>alert" in page or '"><b>' in page for page in pages)
    assert all("&lt;script&gt;alert(1)" in page for page in pages)


def test_an_image_that_the_archive_has_lost_hides_the_patient_and_nothing_else(web: WebSide) -> None:
    receive(web, mammogram(R_CC))
    for path in web.files("instances"):
        path.unlink()

    answers = [client(web).get(path) for path in ("/studies", f"/studies/{STUDY_UID}")]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_the_list_is_filtered_and_goes_on_where_its_page_ended(web: WebSide) -> None:
    for number in range(53):
        receive(web, mammogram(R_CC, study_uid=f"1.2.{number + 10}", PatientID=f"P{number}"))
        web.clock.advance(1)
    asking = client(web)

    first = asking.get("/studies?state=RECEIVING&sender=STOW-RS&manufacturer=Maker").text
    (following,) = re.findall(r'href="(/studies\?[^"]*)" rel="next"', first)
    second = asking.get(following.replace("&amp;", "&")).text

    shown = [re.findall(r'<a href="/studies/([0-9.]+)"', page) for page in (first, second)]
    assert shown == [
        [f"1.2.{number + 10}" for number in range(52, 2, -1)],
        ["1.2.12", "1.2.11", "1.2.10"],
    ]
    assert 'rel="next"' not in second


@pytest.mark.parametrize(
    "query",
    [
        "state=GONE",
        "score=high",
        "score=2",
        "score=nan",
        "score_to=-1",
        "since=yesterday",
        "until=2026-13-40",
        "behind=x",
        "behind=99999999999999999999.1-1",
        "behind=67768036191676800.0-1",
        "until=9999-12-31",
    ],
)
def test_a_filter_that_is_none_is_refused(web: WebSide, query: str) -> None:
    assert client(web).get(f"/studies?{query}").status_code == 400


def test_scores_are_filtered_from_both_sides(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)
    analyze(web.ledger, web.clock)  # the exam's score is 0.7
    asking = client(web)

    found = [
        STUDY_UID in asking.get(f"/studies?score={low}&score_to={high}").text
        for low, high in ((0, 0.6), (0.6, 0.8), (0.8, 1))
    ]

    assert found == [False, True, False]


def test_a_study_says_how_its_images_differ_from_those_of_training(web: WebSide) -> None:
    note = "unlike the images of training: local contrast 0.040, there 0.093 to 0.373"
    make_ready(web.ledger, web.clock)
    reading = {"findings": [], "notes": {"R-CC": [note]}, "unlike_training": ["R-CC"]}
    analyze(web.ledger, web.clock, replace(analysis(), reading=reading))

    page = client(web).get(f"/studies/{STUDY_UID}").text

    assert f"R-CC: {note}." in page
    assert "Unlike the images that the model was trained on: R-CC." in page


def test_a_destination_that_does_not_answer_is_named_with_its_last_error(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)
    analyze(web.ledger, web.clock)
    settle(web.ledger, web.clock, DeliveryState.OWED)

    overview, page = (client(web).get(path).text for path in ("/", "/destinations"))

    assert all("not reached" in text and "a comment" in text for text in (overview, page))
    assert 'dibmg_destination_reachable{destination="pacs"} 0.0' in client(web).get("/metrics").text


def test_the_overview_foresees_when_the_disk_is_full(web: WebSide) -> None:
    page = client(web).get("/").text

    assert "1.0 GB an hour come in: the reserve is reached in about 995 h (41 days)" in page
    assert "dibmg_disk_until_reserve_seconds 3.582e+06" in client(web).get("/metrics").text


def test_the_days_of_a_filter_are_whole(web: WebSide) -> None:
    receive(web, mammogram(R_CC))
    day = web.clock().astimezone().date()
    asking = client(web)

    found = [
        STUDY_UID in asking.get(f"/studies?since={since}&until={until}").text
        for since, until in (
            (day, day),
            (day + timedelta(days=1), day + timedelta(days=2)),
            (day - timedelta(days=2), day - timedelta(days=1)),
        )
    ]

    assert found == [True, False, False]


def test_a_study_that_nobody_sent_is_not_there(web: WebSide) -> None:
    answers = [client(web).get(f"/studies/{uid}") for uid in ("1.2.3", "etc", "%2e%2e")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def read_study(web: WebSide, overlay_columns: int = 128) -> None:
    """A study of one image, read, with an overlay: red where it is marked."""
    image = mammogram(R_CC)
    receive(web, image)
    web.ledger.receipts.complete_due(web.clock.advance(PATIENCE.longest.total_seconds()))
    claim = web.ledger.claims.claim(STUDY_UID, 1, "worker", web.clock(), LEASE)
    drawn = capture(STUDY_UID, 1, ImageLaterality="R")
    pixels = np.zeros((192, overlay_columns, 3), np.uint8)
    pixels[:, overlay_columns - 128 :, 0] = 255
    drawn.Rows, drawn.Columns, drawn.PixelData = 192, overlay_columns, pixels.tobytes()
    content = encode(drawn, facts.RLE_LOSSLESS)
    web.archive.put_result(drawn.SOPInstanceUID, content)
    result = Result(
        drawn.SOPInstanceUID,
        drawn.SOPClassUID,
        facts.RLE_LOSSLESS,
        ResultKind.OVERLAY,
        "0" * 64,
        len(content),
        view=R_CC,
    )
    outline = [[10.0, 10.0], [20.0, 10.0], [20.0, 30.0], [10.0, 10.0]]
    finding = {
        "number": 1,
        "view": "R-CC",
        "score": 0.8,
        "center": [12, 12],
        "outline": outline,
        "sop_uid": str(image.SOPInstanceUID),
    }
    found = Analysis(
        Outcome.ANALYZED,
        "",
        [used(instance(R_CC))],
        {"findings": [finding], "scores": {"views": {"R-CC": 0.8}}, "seconds": {"decode": 0.1}},
        results=[(result, str(drawn.SeriesInstanceUID))],
    )
    web.ledger.claims.commit(claim, found, web.clock.advance(1))


def picture(web: WebSide, path: str) -> np.ndarray:
    answer = client(web).get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    return np.asarray(Image.open(BytesIO(answer.content)), dtype=np.float32)


def test_a_read_study_shows_its_views_with_overlays_and_outlines(web: WebSide) -> None:
    read_study(web)

    page = client(web).get(f"/studies/{STUDY_UID}").text

    assert re.findall(r'src="(/studies/[^"]+)"', page) == [
        f"/studies/{STUDY_UID}/images/{STUDY_UID}.0.1",
        f"/studies/{STUDY_UID}/overlays/{STUDY_UID}.9101.1",
    ]
    assert 'points="10.0,10.0 20.0,10.0 20.0,30.0 10.0,10.0 "' in page
    assert 'viewBox="0 0 64 96"' in page


def test_a_mammogram_is_drawn_at_its_own_window_and_at_another(web: WebSide) -> None:
    receive(web, mammogram(R_CC))
    path = f"/studies/{STUDY_UID}/images/{STUDY_UID}.0.1"

    own, brighter, narrow = (picture(web, path + q) for q in ("", "?center=-0.2", "?width=0.1"))

    assert own.shape == (96, 64)
    assert own.mean() < brighter.mean()
    assert own.std() < narrow.std()


@pytest.mark.parametrize("columns", [128, 256])
def test_of_an_overlay_the_panel_with_the_marks_is_drawn(web: WebSide, columns: int) -> None:
    read_study(web, columns)

    shown = picture(web, f"/studies/{STUDY_UID}/overlays/{STUDY_UID}.9101.1")

    assert shown.shape == (192, 128, 3)
    assert (shown[..., 0].min() > 240, shown[..., 2].max() < 20) == (True, True)


@pytest.mark.parametrize("query", ["?width=0", "?width=nan", "?center=9", "?center=x"])
def test_a_window_that_is_none_is_refused(web: WebSide, query: str) -> None:
    receive(web, mammogram(R_CC))

    path = f"/studies/{STUDY_UID}/images/{STUDY_UID}.0.1{query}"

    assert client(web).get(path).status_code == 400


def test_only_images_of_the_study_that_is_named_are_drawn(web: WebSide) -> None:
    receive(web, mammogram(R_CC), mammogram(L_CC, study_uid="1.2.9"))

    answers = [
        client(web).get(f"/studies/{STUDY_UID}/{path}")
        for path in ("images/1.2.9.0.2", "overlays/1.2.9.0.2", "images/..%2f..")
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_an_image_that_cannot_be_decoded_is_said_so_and_the_next_is_drawn(web: WebSide) -> None:
    broken = mammogram(L_CC)
    broken.PixelData = broken.PixelData[:100]
    receive(web, mammogram(R_CC), broken)

    statuses = [
        client(web).get(f"/studies/{STUDY_UID}/images/{STUDY_UID}.0.{number}").status_code
        for number in (2, 1)
    ]

    assert statuses == [502, 200]


def test_what_happened_again_and_again_is_one_line_with_its_whole_time(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)

    page = client(web).get(f"/studies/{STUDY_UID}").text

    steps = re.findall(r'<span class="took">(.*?)</span>\s*<span><b>(.*?)</b>', page)
    assert steps == [("", "instance stored, 4 times"), ("+5 min 0 s", "complete")]


def test_the_overview_names_what_is_wrong_and_counts_every_state(web: WebSide) -> None:
    make_ready(web.ledger, web.clock)

    page = client(web).get("/").text

    assert "The node is degraded" in page
    assert "sweep does not run" in page
    assert '<a href="/studies?state=READY"><b>1</b> ready</a>' in page


def test_a_file_of_the_package_is_given_once_and_nothing_else_is(web: WebSide) -> None:
    asking = client(web)
    first = asking.get("/static/pages.js")

    again = asking.get("/static/pages.js", headers={"If-None-Match": first.headers["etag"]})
    others = [asking.get(f"/static/{name}").status_code for name in ("..%2fapp.py", "nothing.css")]

    assert (first.status_code, again.status_code, others) == (200, 304, [404, 404])


def test_a_ledger_that_does_not_answer_is_said_in_words(web: WebSide) -> None:
    receive(web, mammogram(R_CC))
    asking = client(web)
    path = web.ledger.engine.url.database
    assert path is not None
    web.ledger.engine.dispose()
    with open(path, "r+b") as file:  # noqa: PTH123 - the name is the engine's
        file.write(b"x" * 4096)

    answer = asking.get("/studies")

    assert answer.status_code == 503
    assert "The ledger does not answer" in answer.text


def test_who_opens_the_page_of_a_study_is_told_in_the_audit_trail_and_its_patient_by_pseudonym(
    web: WebSide, tmp_path: Path
) -> None:
    receive(web, mammogram(R_CC))
    trail = new_audit(tmp_path, web.clock)
    asking = TestClient(web.app(audit=trail.auditor), base_url="http://localhost")

    asking.get(f"/studies/{STUDY_UID}")

    accessed = trail.of("DICOM Instances Accessed")
    assert accessed["patient"] == PSEUDONYMS.of("P123")
    assert accessed["studies"][0]["study_uid"] == STUDY_UID
    assert "Kanarienvogel" not in str(trail.lines)


def test_a_login_that_failed_and_one_that_did_not_are_told_in_the_audit_trail(
    web: WebSide, tmp_path: Path
) -> None:
    web.users.put("vera", UserRole.VIEWER, "correct horse battery")
    trail = new_audit(tmp_path, web.clock)
    asking = TestClient(web.app(audit=trail.auditor), base_url="http://localhost")
    found = re.search(r'name="csrf" value="([^"]+)"', asking.get("/login").text)
    assert found is not None

    for name, password in (
        ("vera", "wrong"),
        ("correct horse battery", ""),
        ("vera", "correct horse battery"),
    ):
        asking.post("/login", data={"csrf": found[1], "name": name, "password": password})

    told = [(line["name"], line["outcome"], line["participants"][0]["user"]) for line in trail.lines]
    assert told == [
        ("User Authentication", 4, "vera"),
        ("User Authentication", 4, "testclient"),
        ("User Authentication", 0, "vera"),
    ]
    assert "horse" not in str(trail.lines)


def test_who_logged_in_is_named_by_the_studies_that_they_open(web: WebSide, tmp_path: Path) -> None:
    receive(web, mammogram(R_CC))
    trail = new_audit(tmp_path, web.clock)
    app = web.app(audit=trail.auditor, login_always=True)
    for name in ("anna", "berta"):
        web.users.put(name, UserRole.VIEWER, "correct horse battery")
        asking = TestClient(app, base_url="http://localhost")
        found = re.search(r'name="csrf" value="([^"]+)"', asking.get("/login").text)
        assert found is not None
        asking.post("/login", data={"csrf": found[1], "name": name, "password": "correct horse battery"})
        asking.get(f"/studies/{STUDY_UID}")

    told = [(line["event"], line["participants"][0]["user"]) for line in trail.lines]
    assert told == [("110114", "anna"), ("110103", "anna"), ("110114", "berta"), ("110103", "berta")]

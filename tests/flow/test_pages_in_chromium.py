"""The dashboard of a whole node in Chromium: every page in use, on a desk and on a phone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pacs import Orthanc, free_port
from playwright.sync_api import Browser, Page, expect
from pydicom import dcmread

from dibmg_node.config import load_settings
from dibmg_node.wiring import foundation
from tests.factories import CANARY, L_CC, R_CC, R_MLO, sop_uid, write_exam
from tests.flow.running_node import DIBMG, RunningNode
from tests.programs import find_program
from tests.viewer.ohif import running_chromium

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("PAGE_PICTURES", ROOT / "build" / "artifacts" / "pages"))
PASSWORD = "correct horse battery"
DESK, PHONE = (1280, 900), (390, 844)
READ, EXCLUDED = "1.2.826.0.1.3680043.10.9.7.1", "1.2.826.0.1.3680043.10.9.7.2"
FAILED, QUEUED = "1.2.826.0.1.3680043.10.9.7.3", "1.2.826.0.1.3680043.10.9.8"
PAGES = {
    "overview": "/",
    "queue": "/queue",
    "studies": "/studies",
    "study-read": f"/studies/{READ}",
    "study-excluded": f"/studies/{EXCLUDED}",
    "study-failed": f"/studies/{FAILED}",
    "destinations": "/destinations",
    "senders": "/senders",
    "model": "/model",
    "audit": "/audit",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A read, an excluded and a failed study, a queue that nobody works on, a destination that is down."""
    folder = tmp_path_factory.mktemp("pages")
    with Orthanc(folder / "orthanc", find_program("Orthanc")) as pacs:
        destinations = {"pacs": pacs.port, "archive": free_port()}
        web = f"[web]\nport = {free_port()}\n"
        running = RunningNode(folder / "node", destinations, quiet_seconds=5, more=web).start()
        try:
            fill(running, folder)
            analysis = running.pid_of("analysis")
            os.kill(analysis, signal.SIGSTOP)
            for number in range(25):
                queue(running, folder, number)
            yield running
            os.kill(analysis, signal.SIGCONT)
        finally:
            running.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium(find_program("chromium")) as browser:
        yield browser


@pytest.fixture
def complaints() -> list[str]:
    """What pages complain of in the browser's console."""
    return []


@pytest.fixture
def desk(node: RunningNode, chromium: Browser, complaints: list[str]) -> Iterator[Page]:
    with opened(node, chromium, DESK, complaints) as page:
        yield page


@contextmanager
def opened(
    node: RunningNode, chromium: Browser, size: tuple[int, int], complaints: list[str], scheme: str = "light"
) -> Iterator[Page]:
    """A fresh page of the node's site."""
    web = load_settings(node.config).web
    assert web is not None
    context = chromium.new_context(
        base_url=f"http://127.0.0.1:{web.port}",
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()


def fill(node: RunningNode, folder: Path) -> None:
    """Studies that have been worked on."""
    synthesize = [*DIBMG, "dataset", "synthesize", "--exams", "1", "--first", "2", "--seed", "11"]
    exam = ["--cancer-share", "1", "--rows", "1024", "--dicom", "--out", str(folder / "exam")]
    subprocess.run([*synthesize, *exam], check=True, capture_output=True)
    paths = sorted((folder / "exam").rglob("*.dcm"))
    for path in paths:
        dataset = dcmread(path)
        dataset.StudyInstanceUID, dataset.PatientID, dataset.AccessionNumber = READ, "P1", "A1"
        dataset.PatientName = CANARY
        dataset.save_as(path)
    node.send(paths)
    node.send(write_exam(folder / "excluded", EXCLUDED, (R_CC, L_CC), PatientID="P2", AccessionNumber="A2"))
    breast = write_exam(folder / "failed", FAILED, (R_CC, R_MLO), PatientID="P3", AccessionNumber="A3")
    node.send(breast)
    # a disk that lies: every attempt finds other bytes than were received
    archived = foundation.open_archive(load_settings(node.config)).instance_path(sop_uid(R_CC, FAILED))
    archived.write_bytes(archived.read_bytes() + b"\0\0")
    node.wait(READ, lambda study: any(one["state"] == "STORED" for one in study["deliveries"]))
    node.wait_for_state(EXCLUDED, "EXCLUDED")
    node.wait_for_state(FAILED, "FAILED")


def queue(node: RunningNode, folder: Path, number: int) -> None:
    """One more study that waits."""
    uid = f"{QUEUED}.{number}"
    node.send(write_exam(folder / uid, uid, PatientID=f"P{number + 10}", AccessionNumber=f"A{number + 10}"))
    node.wait_for_state(uid, "READY")


@pytest.mark.parametrize(
    ("size", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light")], ids=["desk", "dark", "phone"]
)
def test_every_page_fits_its_screen_and_breaks_no_rule_of_the_browser(
    node: RunningNode, chromium: Browser, complaints: list[str], size: tuple[int, int], scheme: str
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    wider = []
    with opened(node, chromium, size, complaints, scheme) as page:
        for name, path in PAGES.items():
            page.goto(path, wait_until="networkidle")
            expect(page.get_by_text("RESEARCH USE ONLY")).to_be_visible()
            page.screenshot(path=PICTURES / f"{name}-{size[0]}-{scheme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                wider.append(name)

    assert (wider, complaints) == ([], [])


def test_views_are_looked_at_with_and_without_their_overlays(desk: Page, complaints: list[str]) -> None:
    desk.goto(f"/studies/{READ}", wait_until="networkidle")
    drawn = desk.evaluate("[...document.querySelectorAll('.frame img')].map(i => i.naturalWidth > 0)")
    over, under = desk.locator("img.over").first, desk.locator("img.under").first

    expect(over).to_have_css("opacity", "1")
    desk.keyboard.press("o")
    expect(over).to_have_css("opacity", "0")
    desk.get_by_label("Overlay", exact=False).first.check()
    desk.get_by_label("Opacity").fill("35")
    expect(over).to_have_css("opacity", "0.35")
    desk.get_by_label("Window width").fill("0.3")
    expect(under).to_have_attribute("src", re.compile("center=0&width=0.3"))
    outline = desk.locator("polygon").first
    expect(outline).to_be_hidden()
    desk.get_by_label("Outlines").check()
    expect(outline).to_be_visible()
    desk.get_by_role("button", name="Reset").click()
    expect(over).to_have_css("opacity", "1")
    assert (drawn, complaints) == ([True] * 8, [])


def test_the_bar_of_a_score_is_as_long_as_the_score(desk: Page) -> None:
    desk.goto(f"/studies/{READ}")

    scores = [float(text) for text in desk.locator(".scores .number").all_inner_texts()]
    bars = desk.evaluate(
        """() => {
            const length = (one) => one.getBoundingClientRect().width;
            const bars = [...document.querySelectorAll(".scores .bar")];
            return bars.map((bar) => length(bar.querySelector(".fill, .over")) / length(bar));
        }"""
    )

    assert bars == pytest.approx(scores, abs=0.01)


def test_a_finding_leads_to_its_place(desk: Page) -> None:
    desk.goto(f"/studies/{READ}")
    finding = desk.locator("[data-shows]").first

    finding.focus()

    expect(desk.locator(f"polygon[data-finding='{finding.get_attribute('data-shows')}']")).to_be_visible()
    finding.press("Enter")
    expect(desk).to_have_url(re.compile("#view-[RL]-"))


def test_a_view_is_enlarged_by_keyboard(desk: Page) -> None:
    desk.goto(f"/studies/{READ}", wait_until="networkidle")
    button = desk.get_by_role("button", name="Enlarge R-CC")
    before = desk.locator("#view-R-CC").bounding_box()

    button.press("Enter")

    expect(button).to_have_attribute("aria-pressed", "true")
    after = desk.locator("#view-R-CC").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > 1.8 * before["width"]


def test_the_first_stop_of_the_keyboard_skips_to_the_content(desk: Page) -> None:
    desk.goto("/studies")

    desk.keyboard.press("Tab")

    expect(desk.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    desk.keyboard.press("Enter")
    expect(desk.locator("main")).to_be_focused()


def test_every_field_has_a_label_and_every_picture_words(desk: Page) -> None:
    fields = "input:not([type=hidden]), select, button, img, a"
    nameless = f"""[...document.querySelectorAll("{fields}")].filter(e =>
        !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label") || e.hasAttribute("alt"))
    ).map(e => e.outerHTML)"""
    found = []
    for path in PAGES.values():
        desk.goto(path)
        found += desk.evaluate(nameless)

    assert found == []


def test_a_study_is_found_by_its_accession_number(desk: Page) -> None:
    desk.goto("/")

    desk.get_by_label("Accession number, patient ID or study UID").fill("a1")
    desk.keyboard.press("Enter")

    expect(desk).to_have_url(re.compile(f"/studies/{READ}$"))
    expect(desk.get_by_text("Kanarienvogel Erika")).to_be_visible()


def test_the_audit_trail_is_filtered_and_verified_by_keyboard(desk: Page, complaints: list[str]) -> None:
    desk.goto("/audit")

    desk.get_by_role("button", name="Verify now").press("Enter")
    expect(desk.get_by_text("each as it was written")).to_be_visible()
    desk.get_by_label("Event").select_option(label="Begin Transferring DICOM Instances")
    desk.get_by_role("textbox", name="Study UID").fill(READ)
    desk.keyboard.press("Enter")

    expect(desk).to_have_url(re.compile(f"event=110102.*study={READ}"))
    rows = desk.locator("tbody tr")
    expect(rows.filter(has_text="MG1")).to_have_count(1)
    expect(rows.filter(has_not_text=READ)).to_have_count(0)
    assert complaints == []


def test_a_failed_study_is_tried_again_by_its_button(node: RunningNode, desk: Page) -> None:
    desk.goto(f"/studies/{FAILED}")

    desk.get_by_role("button", name="Retry").click()

    expect(desk.get_by_role("status")).to_have_text("The study will be read again.")
    assert node.views.study(FAILED)["state"] == "READY"  # type: ignore[index]


def test_the_overview_renews_itself(node: RunningNode, desk: Page, tmp_path: Path) -> None:
    desk.goto("/")
    ready = desk.locator("a[href='/studies?state=READY'] b")
    before = int(ready.inner_text())

    queue(node, tmp_path, 99)

    expect(ready).to_have_text(str(before + 1), timeout=60_000)


def test_where_there_are_users_one_logs_in_and_out(
    node: RunningNode, chromium: Browser, complaints: list[str]
) -> None:
    add = [*DIBMG, "user", "add", "vera", "--password-stdin", "--config", str(node.config)]
    subprocess.run(add, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
    try:
        with opened(node, chromium, PHONE, complaints) as page:
            page.goto(f"/studies/{READ}", wait_until="networkidle")
            page.screenshot(path=PICTURES / "login-390-light.png", full_page=True)
            page.get_by_label("Name").fill("vera")
            page.get_by_label("Password").fill(PASSWORD)
            page.keyboard.press("Enter")
            expect(page).to_have_url(re.compile(f"/studies/{READ}$"))
            expect(page.get_by_role("button", name="Retry")).to_have_count(0)
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    finally:
        node.cli("user", "remove", "vera")

    assert complaints == []

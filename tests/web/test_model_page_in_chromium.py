"""The page about model and drift in Chromium: on a desk, in the dark, on a phone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dibmg_node.domain.device import Device
from dibmg_node.domain.drift import DriftLimits
from dibmg_node.services.drift import DriftPolicy, DriftWatch
from dibmg_node.web.server import WebServer
from tests.factories import START
from tests.programs import find_program
from tests.storage.scored_exams import WEIGHTS, enter_exams
from tests.viewer.ohif import running_chromium
from tests.web.conftest import WebSide

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("PAGE_PICTURES", ROOT / "build" / "artifacts" / "pages"))
POLICY = DriftPolicy(exams=500, age=None, limits=DriftLimits(psi=0.2, ks=0.001, recall=0.05, minimum=200))
LONG = Device("HOLOGIC, Inc.", "Selenia Dimensions", "AWS:1.8.3.63 PXCM:1.4.0.7 ARR:1.7.3.10")
SHORT = Device("Siemens", "MAMMOMAT Inspiration", "VB30L")


def scores(n: int, seed: int, shift: float) -> list[float]:
    logits = np.random.default_rng(seed).normal(shift - 1.3, 1.0, n)
    return [float(score) for score in 1.0 / (1.0 + np.exp(-logits))]


@pytest.fixture
def address(web: WebSide, serve: Callable[..., WebServer]) -> str:
    """A node with a device that drifts and one that does not."""
    watch = DriftWatch(web.ledger.exam_scores, web.ledger.drift_baselines, POLICY, WEIGHTS)
    at = enter_exams(web.ledger, scores(500, 1, 0.0), START, LONG)
    at = enter_exams(web.ledger, scores(500, 2, 0.2), at + timedelta(minutes=1), SHORT)
    watch.fix(500, None, at)
    at = enter_exams(web.ledger, scores(900, 3, 0.2), at + timedelta(minutes=1), SHORT)
    for part in range(6):
        at = enter_exams(web.ledger, scores(200, 4 + part, 0.2 * part), at + timedelta(minutes=1), LONG)
    web.drift = watch.look([], "", at).as_json()
    return f"http://localhost:{serve(web.app()).port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium(find_program("chromium")) as browser:
        yield browser


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")], ids=["desk", "dark", "phone"]
)
def test_the_page_fits_its_screen_shows_its_drawings_and_breaks_no_rule(
    address: str, chromium: Browser, width: int, scheme: str
) -> None:
    complaints: list[str] = []
    page = chromium.new_page(
        base_url=address,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto("/model", wait_until="networkidle")

    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"drift-{width}-{scheme}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    boxes = [drawing.bounding_box() for drawing in page.locator(".plot svg").all()]
    assert (wide, complaints) == (False, [])
    assert len(boxes) == 4
    assert all(box and box["width"] > 250 and box["height"] > 100 for box in boxes)
    # what the style sheet does not reach would be drawn in black
    expect(page.locator(".plot .recent").first).not_to_have_css("fill", "rgb(0, 0, 0)")
    page.close()


def test_the_drawings_of_a_device_are_reached_by_keyboard(address: str, chromium: Browser) -> None:
    page: Page = chromium.new_page(base_url=address)
    page.goto("/model")
    device = page.get_by_role("link", name="Siemens MAMMOMAT Inspiration, software VB30L")

    device.press("Enter")

    expect(page.locator(".plots article")).to_have_count(1)
    expect(page.locator(".plots h2")).to_contain_text("MAMMOMAT")
    expect(page.get_by_role("img", name="Recall rates of 200 exams each")).to_be_visible()
    page.close()

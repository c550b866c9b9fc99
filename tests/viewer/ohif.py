"""OHIF in a browser, as a reader uses it: a study, its list of series, one viewport."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

from dibmg_node.domain.study import ViewKey
from tests.viewer.geometry import Picture, Points

Seen = TypeVar("Seen")

# WebGL in software, as root, and no word to the makers of the browser
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
_PATIENCE_MS = 60_000
_MOMENT_MS = 3_000
_NO_TOUR = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
_PANE = '[data-cy="viewport-pane"]'  # thumbnails are drawn on canvases, too
_VIEWPORT = "cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports())[0]"
_SHOWS = f"""sop => {{
  const viewport = {_VIEWPORT};
  const image = viewport?.getCornerstoneImage?.();
  if (viewport?.viewportStatus !== 'rendered') return false;
  if (!image?.imageId.includes(`/instances/${{sop}}`)) return false;
  const place = corner => viewport.worldToCanvas(
    cornerstone.utilities.imageToWorldCoords(image.imageId, corner));
  const [[left, top], [right, bottom]] = [place([0, 0]), place([image.columns, image.rows])];
  const share = Math.max((right - left) / viewport.canvas.clientWidth,
                         (bottom - top) / viewport.canvas.clientHeight);
  return Math.abs(share - 1) < 0.01
}}"""
_DISPLAY_SET = """sop => services.displaySetService.getActiveDisplaySets()
  .find(one => !one.madeInClient && one.instances?.some(instance => instance.SOPInstanceUID === sop))
  ?.displaySetInstanceUID"""
_OUTLINES = f"""() => [...document.querySelectorAll('{_PANE} svg.svg-layer polyline')]
  .map(one => [...one.points].map(point => [point.x, point.y]))"""


@contextmanager
def running_chromium(program: str) -> Iterator[Browser]:
    """Chromium without a window, and with no profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Ohif:
    """One page of the viewer.

    Attributes:
        url: Of the viewer.
        pictures: Folder that screenshots are kept in.
        complaints: Errors of the page, of its console, and of what it asked for.
    """

    page: Page
    url: str
    pictures: Path
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_PATIENCE_MS)
        self.page.add_init_script(_NO_TOUR)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page: {error}"))
        self.page.on(
            "console",
            lambda said: self.complaints.append(f"console: {said.text}") if said.type == "error" else None,
        )
        self.page.on(
            "response",
            lambda got: self.complaints.append(f"{got.status}: {got.url}") if got.status >= 400 else None,
        )

    def open_study(self, study_uid: str) -> None:
        """Open a study, and wait until its first image is shown.

        A series that is opened earlier shares a viewport with an image that is still being loaded, of
        which OHIF complains.
        """
        self.page.goto(f"{self.url}/viewer?StudyInstanceUIDs={study_uid}")
        self.page.wait_for_function("window.cornerstone")
        self.wait_for_image("")

    def open_series_of(self, sop_uid: str) -> None:
        """Open, by a double click in the list, the series of an instance."""
        identifier = self.page.wait_for_function(_DISPLAY_SET, arg=sop_uid).json_value()
        self.page.locator(f'[id="thumbnail-{identifier}"]').dblclick()

    def series_of(
        self, sop_uids: Mapping[ViewKey, str], views: Sequence[ViewKey], name: str = "overlay"
    ) -> dict[ViewKey, Picture]:
        """Open a series of one image a view and go through it: what the viewport shows of each."""
        self.open_series_of(sop_uids[views[0]])
        pictures = {}
        for view in views:
            if pictures:
                self.page.keyboard.press("ArrowDown")
            self.wait_for_image(sop_uids[view])
            pictures[view] = self.shown()
            self.keep(f"{name}-{view}")
        return pictures

    def wait_for_image(self, sop_uid: str) -> None:
        """Wait until an image (empty: any) is shown, and fitted into the viewport.

        OHIF draws it smaller at first.
        """
        self.page.wait_for_function(_SHOWS, arg=sop_uid)

    def shown(self) -> Picture:
        """What the viewport shows: uint8 (rows, columns, 3), once it is the same twice."""
        return _settled(self._picture)

    def wait_for_outlines(self) -> list[Points]:
        """The (column, row) points of each outline over the image, pixels of the viewport.

        OHIF 3.13 may learn which outlines are a report's only after it has drawn the image, and draws them
        when it draws next. So the image is fitted into the window again, as a reader would, until there are.
        """
        drawn = self.page.locator(f"{_PANE} svg.svg-layer polyline").first
        for _ in range(_PATIENCE_MS // _MOMENT_MS):
            self.page.keyboard.press("=")
            with suppress(Late):
                drawn.wait_for(state="attached", timeout=_MOMENT_MS)
                break
        found = _settled(lambda: json.dumps(self.page.evaluate(_OUTLINES)))
        return [np.array(points) for points in json.loads(found)]

    def apologizes(self) -> bool:
        """Whether OHIF says that something went wrong."""
        return self._apology.count() > 0

    def wait_for_apology(self) -> None:
        """Wait until it says so."""
        self._apology.first.wait_for()

    def wait_for_its_end(self) -> None:
        """Wait until it says so no more: the message covers a corner of the image."""
        self._apology.first.wait_for(state="hidden")

    @property
    def _apology(self) -> Locator:
        return self.page.get_by_text("Something went wrong")

    def keep(self, name: str) -> None:
        """Keep a screenshot of the whole page."""
        self.page.screenshot(path=self.pictures / f"{name}.png")

    def _picture(self) -> Picture:
        content = self.page.locator(f"{_PANE} canvas.cornerstone-canvas").screenshot()
        return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def _settled(look: Callable[[], Seen]) -> Seen:
    """What one sees once two looks agree."""
    before = look()
    for _ in range(100):
        now = look()
        if np.array_equal(before, now):
            return now
        before = now
    raise AssertionError("the viewer does not come to rest")

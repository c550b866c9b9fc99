"""A PACS with exams and their results, a viewer over it, and a browser."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pacs import Orthanc
from playwright.sync_api import Browser

from dibmg_node.domain.image import Point
from dibmg_node.domain.study import STANDARD_VIEWS, ViewKey
from tests.programs import find_program
from tests.viewer.exams import ShownExam, analyzed_exam, planted_exam
from tests.viewer.ohif import Ohif, running_chromium
from tests.viewer.origin import serving, viewer_app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Folder of the screenshots, which outlives the tests."""
    folder = Path(os.environ.get("VIEWER_PICTURES", ROOT / "build" / "artifacts" / "viewer"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[ViewKey | None, ShownExam]:
    """Exams with hot places where they were put: by the view of the hottest, and one without any."""
    views = [*STANDARD_VIEWS, None]
    folder = tmp_path_factory.mktemp("planted")
    return {
        first: planted_exam(folder / f"{number}", f"1.2.826.0.1.3680043.10.9.4.{number}", first)
        for number, first in enumerate(views, start=1)
    }


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShownExam, Mapping[ViewKey, Point]]:
    """A synthetic exam as the released weights read it, and where its lesion is."""
    return analyzed_exam(tmp_path_factory.mktemp("analyzed"), seed=11, index=2)


@pytest.fixture(scope="session")
def viewer(
    tmp_path_factory: pytest.TempPathFactory,
    planted: Mapping[ViewKey | None, ShownExam],
    analyzed: tuple[ShownExam, Mapping[ViewKey, Point]],
) -> Iterator[str]:
    """URL of the viewer over an Orthanc that has got every exam by C-STORE."""
    pages = sorted((ROOT / "build").glob("ohif-*/index.html"))
    assert pages, "OHIF is missing; `make viewer` installs it"
    more: dict[str, Any] = {
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True, "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }
    with Orthanc(tmp_path_factory.mktemp("orthanc"), find_program("Orthanc"), more) as pacs:
        for exam in [*planted.values(), analyzed[0]]:
            # uncompressed, or RLE Lossless as it is
            send = [find_program("storescu"), "-xr", "-aec", "ANY", "127.0.0.1", str(pacs.port)]
            subprocess.run([*send, *exam.files], check=True, timeout=60)
        with serving(viewer_app(pages[-1].parent, pacs.http)) as url:
            yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A browser."""
    with running_chromium(find_program("chromium")) as browser:
        yield browser


@pytest.fixture
def ohif(chromium: Browser, viewer: str, pictures: Path) -> Iterator[Ohif]:
    """A fresh page of the viewer: what one series does to OHIF does not reach the next test."""
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    try:
        yield Ohif(context.new_page(), viewer, pictures)
    finally:
        context.close()

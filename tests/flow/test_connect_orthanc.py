"""What the documents give to copy: Orthanc and the node, connected as it stands there, but for the ports."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs import Orthanc, free_port

from dibmg_node.dicom import facts
from tests.factories import write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program

ROOT = Path(__file__).parents[2]
CHAPTERS = {
    "README.md": "## Connect a PACS in ten minutes",
    "docs/connect-a-pacs.md": "## Orthanc",
}


def blocks(page: str) -> dict[str, str]:
    """What the chapter has to copy, by its language; one of each."""
    chapter = (ROOT / page).read_text().partition(f"\n{CHAPTERS[page]}\n")[2].partition("\n## ")[0]
    found = re.findall(r"```(json|lua|toml)\n(.*?)```", chapter, re.DOTALL)
    assert sorted(language for language, _ in found) == ["json", "lua", "toml"]
    return dict(found)


class DocumentedOrthanc(Orthanc):
    """Orthanc with the files of a document and nothing else."""

    def __init__(self, folder: Path, configuration: str, script: str) -> None:
        super().__init__(folder, find_program("Orthanc"))
        ports = {"4242": str(self.port), "8042": str(self.http)}
        for documented, free in ports.items():
            configuration = configuration.replace(documented, free)
        folder.mkdir()
        (folder / "orthanc.json").write_text(configuration)
        (folder / "dibmg.lua").write_text(script)

    def __enter__(self) -> DocumentedOrthanc:
        with (self._folder / "orthanc.log").open("wb") as log:
            command = [self._program, self._folder / "orthanc.json"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.ask("/system")
                return self
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"Orthanc does not answer: {(self._folder / 'orthanc.log').read_text()}")


@pytest.fixture(scope="module", params=sorted(CHAPTERS))
def connected(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DocumentedOrthanc, RunningNode, str]]:
    """Both sides as one page has them."""
    told, folder = blocks(request.param), tmp_path_factory.mktemp("connected")
    node = RunningNode(folder / "node", {})
    pacs = DocumentedOrthanc(folder / "orthanc", told["json"].replace("11112", str(node.port)), told["lua"])
    text = told["toml"].replace("4242", str(pacs.port)).replace("11112", str(node.port))
    if "[web]" in text:
        text = text.replace("[web]", f"[web]\nport = {free_port()}")
    # of the node's own file only what lets it run beside others and where the disk is small
    small = "reserve_gb = 0.05"
    text = (
        text.replace("[intake]", f"[intake]\n{small}")
        if "[intake]" in text
        else f"{text}\n[intake]\n{small}\nport = {node.port}\n"
    )
    node.config.write_text(text + '\n[model]\nweights = "synthetic"\n')
    with pacs:
        node.start()
        try:
            yield pacs, node, request.param
        finally:
            node.stop()


def test_what_a_modality_sends_to_orthanc_comes_back_to_it_with_its_results(
    connected: tuple[DocumentedOrthanc, RunningNode, str], tmp_path: Path
) -> None:
    pacs, node, page = connected
    study_uid = "1.2.8.1"
    images = [str(path) for path in write_exam(tmp_path / "exam", study_uid)]

    send = [find_program("storescu"), "-R", "-aet", "MG1", "-aec", "ORTHANC", "127.0.0.1", str(pacs.port)]
    subprocess.run([*send, *images], check=True, capture_output=True)
    study = node.wait_for_state(study_uid, "DELIVERED")

    held = sorted(str(one.SOPClassUID) for one in pacs.instances(study_uid))
    assert held == sorted(
        [*[facts.MG_FOR_PRESENTATION] * 4, *[facts.SECONDARY_CAPTURE] * 4, facts.MAMMOGRAPHY_CAD_SR]
    )
    assert len(study["instances"]) == 4
    series = [
        one["MainDicomTags"].get("SeriesDescription", "") for one in json.loads(pacs.ask("/series?expand"))
    ]
    assert sorted(one.partition(" - ")[0] for one in series if "DIB-MG" in one) == [
        "DIB-MG CAD report",
        "DIB-MG overlay",
    ]
    expected = "PROVEN" if page.startswith("docs") else "STORED"
    assert {one["state"] for one in study["deliveries"]} == {expected}


def test_orthanc_and_node_find_each_other_as_the_page_has_it(
    connected: tuple[DocumentedOrthanc, RunningNode, str],
) -> None:
    pacs, node, page = connected

    echoed = node.cli("echo", "pacs")
    pacs.ask("/modalities/dibmg/echo", b"{}")

    assert echoed.returncode == 0
    if page.startswith("docs"):
        fetched = node.cli("fetch", "1.2.8.9", "--from", "pacs")
        assert fetched.returncode == 3
        assert "has no study 1.2.8.9" in fetched.stderr

"""The destination profiles of the documents, each with a peer that takes no more than such a viewer."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest
from pacs import Orthanc, free_port
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from dibmg_node.dicom import facts
from tests.flow.running_node import RunningNode
from tests.programs import find_program
from tests.viewer.exams import synthesize_cancer

PAGE = Path(__file__).parents[2] / "docs" / "connect-a-pacs.md"
_SYNTAXES = ("RLELossless", "LocalEndianExplicit", "LittleEndianImplicit")


def documented_profiles() -> dict[str, dict[str, Any]]:
    """Each destination of the chapter on viewers, by its name."""
    chapter = PAGE.read_text().partition("## Which results for which viewer")[2].partition("\n## ")[0]
    blocks = re.findall(r"```toml\n(.*?)```", chapter, re.DOTALL)
    return {one["name"]: one for text in blocks for one in tomllib.loads(text)["destination"]}


class ChoosyPacs:
    """DCMTK's storescp that takes some SOP classes alone."""

    def __init__(self, folder: Path, classes: Sequence[str]) -> None:
        folder.mkdir()
        self.port = free_port()
        self._folder = folder
        lines = ["[[TransferSyntaxes]]", "[Known]"]
        lines += [f"TransferSyntax{number} = {name}" for number, name in enumerate(_SYNTAXES, 1)]
        lines += ["[[PresentationContexts]]", "[Taken]"]
        lines += [f"PresentationContext{number} = {uid}\\Known" for number, uid in enumerate(classes, 1)]
        lines += ["[[Profiles]]", "[Choosy]", "PresentationContexts = Taken", ""]
        (folder / "storescp.cfg").write_text("\n".join(lines))

    def __enter__(self) -> ChoosyPacs:
        received = self._folder / "received"
        received.mkdir()
        command = [find_program("storescp"), "-xf", str(self._folder / "storescp.cfg"), "Choosy"]
        self._process = subprocess.Popen([*command, "-od", str(received), str(self.port)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)

    @property
    def files(self) -> list[Path]:
        """What it was sent."""
        return sorted((self._folder / "received").iterdir())


@dataclass(frozen=True)
class Shown:
    """One exam with a cancer, delivered to a peer of each profile."""

    images: Sequence[Path]
    study: dict[str, Any]
    workstation: ChoosyPacs
    ohif: Orthanc
    weasis: ChoosyPacs
    pacs: ChoosyPacs


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A node with every profile of the page as it stands there, but for address and port."""
    folder = tmp_path_factory.mktemp("profiles")
    images = sorted((synthesize_cancer(folder / "exam", seed=11, index=2).parent / "images").rglob("*.dcm"))
    web = {"Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"], "DicomWeb": {"Enable": True}}
    every = [facts.MAMMOGRAPHY_CAD_SR, facts.SECONDARY_CAPTURE, facts.GRAYSCALE_PRESENTATION_STATE]
    with (
        ChoosyPacs(folder / "workstation", [facts.MAMMOGRAPHY_CAD_SR]) as workstation,
        Orthanc(folder / "ohif", find_program("Orthanc"), web) as ohif,
        ChoosyPacs(folder / "weasis", every) as weasis,
        ChoosyPacs(folder / "pacs", [facts.SECONDARY_CAPTURE]) as pacs,
    ):
        ports = {
            "workstation": workstation.port,
            "ohif": ohif.port,
            "weasis": weasis.port,
            "pacs": pacs.port,
        }
        profiles = documented_profiles()
        assert set(profiles) == set(ports)
        more = "".join(
            _destination({**one, "address": "127.0.0.1", "port": ports[name]})
            for name, one in profiles.items()
        )
        node = RunningNode(folder / "node", {}, more=more).start()
        try:
            node.send(images)
            uid = str(dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
            yield Shown(images, node.wait_for_state(uid, "DELIVERED"), workstation, ohif, weasis, pacs)
        finally:
            node.stop()


def _destination(keys: dict[str, Any]) -> str:
    # JSON's strings, numbers and lists are TOML's
    return "[[destination]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def classes(held: Sequence[Dataset]) -> dict[str, int]:
    """How many instances of each SOP class."""
    found = [str(one.SOPClassUID) for one in held]
    return {uid: found.count(uid) for uid in found}


def items_below(item: Dataset) -> Iterator[Dataset]:
    """A content item and all below it."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from items_below(child)


def named(report: Dataset, code: str) -> list[Dataset]:
    """Content items by the code of their concept name."""
    return [
        item
        for item in items_below(report)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code
    ]


def test_every_peer_got_what_its_profile_names_and_refused_nothing(shown: Shown) -> None:
    states = {(one["destination"], one["state"]) for one in shown.study["deliveries"]}

    assert states == {(name, "STORED") for name in ("workstation", "ohif", "weasis", "pacs")}


def test_a_workstation_that_takes_cad_reports_alone_finds_in_one_what_it_draws(shown: Shown) -> None:
    (path,) = shown.workstation.files
    report = dcmread(path)

    assert report.SOPClassUID == facts.MAMMOGRAPHY_CAD_SR
    assert report.Manufacturer
    assert report.ManufacturerModelName
    # Fuji Synapse MG draws findings of two codes and two intents alone, by its published overview
    findings = named(report, "111059")
    assert findings
    assert {one.ConceptCodeSequence[0].CodeValue for one in findings} <= {"129793001", "F-01796", "129769006"}
    intents = [one for finding in findings for one in named(finding, "111056")]
    assert len(intents) == len(findings)
    assert {one.ConceptCodeSequence[0].CodeValue for one in intents} <= {"111150", "111151"}
    assert len(named(report, "111017")) == 1
    for finding in findings:
        assert [one.GraphicType for one in named(finding, "111010")] == ["POINT"]
        assert [one.GraphicType for one in named(finding, "111041")] == ["POLYLINE"]
    sent = {str(dcmread(one, stop_before_pixels=True).SOPInstanceUID) for one in shown.images}
    library = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in items_below(report)
        if item.get("ValueType") == "IMAGE"
    }
    assert library == sent


def test_ohif_s_pacs_tells_by_dicomweb_of_the_measurements_and_of_an_overlay_for_each_view(
    shown: Shown,
) -> None:
    uid = shown.study["study_uid"]

    held = json.loads(shown.ohif.ask(f"/dicom-web/studies/{uid}/metadata"))

    told = [Dataset.from_json(one) for one in held]
    assert classes(told) == {facts.COMPREHENSIVE_SR: 1, facts.SECONDARY_CAPTURE: 4}
    assert len({str(one.SeriesInstanceUID) for one in told}) == 2


def test_a_viewer_as_weasis_gets_a_report_that_reads_as_text_and_a_state_that_draws(
    shown: Shown, tmp_path: Path
) -> None:
    received = {path: dcmread(path) for path in shown.weasis.files}
    by_class = {str(one.SOPClassUID): path for path, one in received.items()}
    assert classes(list(received.values())) == {
        facts.MAMMOGRAPHY_CAD_SR: 1,
        facts.SECONDARY_CAPTURE: 4,
        facts.GRAYSCALE_PRESENTATION_STATE: 1,
    }

    text = subprocess.run(
        [find_program("dsr2html"), by_class[facts.MAMMOGRAPHY_CAD_SR]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    state = by_class[facts.GRAYSCALE_PRESENTATION_STATE]
    drawn = [_draw(image, state, tmp_path / f"{number}.pgm") for number, image in enumerate(shown.images)]

    assert "Mammography CAD Report" in text
    assert "esearch use only" in text
    assert all(picture.std() > 1 for picture in drawn)


def _draw(image: Path, state: Path, out: Path) -> np.ndarray:
    subprocess.run([find_program("dcmp2pgm"), "-p", str(state), str(image), str(out)], check=True)
    return np.asarray(Image.open(out))


def test_a_pacs_that_shows_images_alone_shows_heat_and_words_in_color(shown: Shown, tmp_path: Path) -> None:
    pictures = []
    for path in shown.pacs.files:
        out = tmp_path / f"{path.name}.ppm"
        subprocess.run([find_program("dcm2pnm"), "+op", str(path), str(out)], check=True)
        pictures.append((dcmread(path), np.asarray(Image.open(out)).astype(int)))

    assert classes([one for one, _ in pictures]) == {facts.SECONDARY_CAPTURE: 4}
    assert {(one.ImageLaterality, one.ViewCodeSequence[0].CodeValue) for one, _ in pictures} == {
        (side, view) for side in "RL" for view in ("399162004", "399368009")
    }
    for one, picture in pictures:
        assert picture.shape == (one.Rows, one.Columns, 3)
        np.testing.assert_array_equal(picture, one.pixel_array)
    colored = [int((np.ptp(picture, axis=2) > 40).sum()) for _, picture in pictures]
    assert max(colored) > 1000

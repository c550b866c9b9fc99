"""`dibmg fetch`: a study of a real PACS into a node, which reads it as if it had been sent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pacs import Orthanc, free_port

from dibmg_node.config import load_settings
from dibmg_node.dicom import facts
from dibmg_node.wiring import foundation
from tests.factories import R_CC, STANDARD_VIEWS, mammogram, new_ledger, part10, sop_uid, write_exam
from tests.flow.running_node import RunningNode
from tests.programs import find_program

MakeNode = Callable[..., RunningNode]
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STOW = '[[destination]]\nname = "web"\nkind = "stow"\nurl = "http://127.0.0.1:{}/dicom-web"\n'


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A PACS that answers queries, by DIMSE and by DICOMweb."""
    assert Path(PLUGIN).exists(), "orthanc-dicomweb is missing; `make test` installs it"
    answers = {
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "Plugins": [PLUGIN],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    with Orthanc(tmp_path_factory.mktemp("pacs"), find_program("Orthanc"), answers) as pacs:
        yield pacs


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[RunningNode]:
    running = RunningNode(
        tmp_path_factory.mktemp("node"), {"pacs": pacs.port}, more=STOW.format(pacs.http)
    ).start()
    try:
        yield running
    finally:
        running.stop()


def store(pacs: Orthanc, *paths: Path) -> None:
    """Put files into the PACS, as another modality would, in the syntax that they have."""
    command = [find_program("storescu"), "-xf", str(paths[0].parent / "storescu.cfg"), "Default"]
    (paths[0].parent / "storescu.cfg").write_text(_PROFILE)
    command += ["-aec", "ANY", "127.0.0.1", str(pacs.port), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


_PROFILE = f"""\
[[TransferSyntaxes]]
[Plain]
TransferSyntax1 = LittleEndianExplicit
[Lossless]
TransferSyntax1 = {facts.JPEG_LOSSLESS_SV1}
[[PresentationContexts]]
[Contexts]
PresentationContext1 = {facts.MG_FOR_PRESENTATION}\\Plain
PresentationContext2 = {facts.MG_FOR_PRESENTATION}\\Lossless
PresentationContext3 = {facts.COMPUTED_RADIOGRAPHY}\\Plain
[[Profiles]]
[Default]
PresentationContexts = Contexts
"""


@pytest.mark.parametrize(
    ("source", "study_uid", "sender"), [("pacs", "1.2.6.1", "ANY"), ("web", "1.2.6.7", "web")]
)
def test_a_study_that_is_fetched_is_read_and_answered_as_if_it_had_been_sent(
    node: RunningNode, pacs: Orthanc, tmp_path: Path, source: str, study_uid: str, sender: str
) -> None:
    store(pacs, *write_exam(tmp_path, study_uid=study_uid))

    told = node.cli_json("fetch", study_uid, "--from", source)

    assert [one["state"] for one in told["instances"]] == ["stored"] * 4
    assert {one["sop_uid"] for one in told["instances"]} == {sop_uid(v, study_uid) for v in STANDARD_VIEWS}
    study = node.wait_for_state(study_uid, "DELIVERED")
    assert {one["code"] for one in study["instances"]} == {"USED"}
    assert study["sender"] == sender


@pytest.mark.parametrize(("source", "study_uid"), [("pacs", "1.2.6.2"), ("web", "1.2.6.8")])
def test_instances_come_in_the_syntax_that_the_pacs_has_them_in(
    node: RunningNode, pacs: Orthanc, tmp_path: Path, source: str, study_uid: str
) -> None:
    exam = write_exam(tmp_path, study_uid=study_uid, transfer_syntax_uid=facts.JPEG_LOSSLESS_SV1)
    store(pacs, *exam)

    node.cli("fetch", study_uid, "--from", source)

    study = node.wait_for_state(study_uid, "DELIVERED")
    assert {one["code"] for one in study["instances"]} == {"USED"}
    kept = foundation.open_archive(load_settings(node.config))
    for one in study["instances"]:
        content = kept.instance_path(one["sop_uid"]).read_bytes()
        assert facts.JPEG_LOSSLESS_SV1.encode() in content[:600]


def was_up(node: RunningNode) -> None:
    """Leave what a node leaves that has come up once: an empty ledger and an empty archive."""
    settings = load_settings(node.config)
    settings.data_dir.mkdir()
    new_ledger(settings.data_dir).engine.dispose()
    foundation.open_archive(settings).prepare()


def chest(folder: Path, study_uid: str) -> Path:
    """A radiograph in the same study."""
    path = folder / "chest.dcm"
    other = mammogram(R_CC, study_uid=study_uid, number=9, SOPClassUID=facts.COMPUTED_RADIOGRAPHY)
    other.Modality, other.SeriesInstanceUID = "CR", f"{study_uid}.200"
    other.file_meta.MediaStorageSOPClassUID = facts.COMPUTED_RADIOGRAPHY
    path.write_bytes(part10(other))
    return path


def test_mammograms_alone_are_pulled_unless_everything_is_asked_for(
    node: RunningNode, pacs: Orthanc, tmp_path: Path
) -> None:
    store(pacs, *write_exam(tmp_path, study_uid="1.2.6.3"), chest(tmp_path, "1.2.6.3"))

    mammograms = node.cli_json("fetch", "1.2.6.3", "--from", "pacs")
    everything = node.cli_json("fetch", "1.2.6.3", "--from", "pacs", "--all")

    assert (mammograms["stored"], mammograms["passed_over"]) == (4, 1)
    assert everything["stored"] >= 5


def test_a_study_without_a_mammogram_says_so(node: RunningNode, pacs: Orthanc, tmp_path: Path) -> None:
    store(pacs, chest(tmp_path, "1.2.6.4"))

    ended = node.cli("fetch", "1.2.6.4", "--from", "pacs")

    assert ended.returncode == 1
    assert "the study has 1 instances, none of them a mammogram" in ended.stdout
    assert node.views.study("1.2.6.4") is None


def test_fetching_twice_changes_nothing(node: RunningNode, pacs: Orthanc, tmp_path: Path) -> None:
    store(pacs, *write_exam(tmp_path, study_uid="1.2.6.5"))
    node.cli("fetch", "1.2.6.5", "--from", "pacs")
    before = node.wait_for_state("1.2.6.5", "DELIVERED")

    again = node.cli("fetch", "1.2.6.5", "--from", "pacs")

    assert again.returncode == 0
    assert node.views.study("1.2.6.5") == before


ERRORS = {
    "no such study": (("1.2.6.99", "--from", "pacs"), 3, "has no study 1.2.6.99"),
    "no such study by DICOMweb": (("1.2.6.99", "--from", "web"), 3, "has no study 1.2.6.99"),
    "no such destination": (("1.2.6.1", "--from", "nowhere"), 2, "no destination 'nowhere'"),
    "no UID": (("P123", "--from", "pacs"), 2, "is not a Study Instance UID"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), ERRORS.values(), ids=ERRORS)
def test_what_is_wrong_is_said_with_the_exit_code_of_its_kind(
    node: RunningNode, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = node.cli("fetch", *arguments)

    assert (ended.returncode, ended.stdout) == (code, "")
    assert words in ended.stderr


def test_a_pacs_that_does_not_answer_the_node_or_is_not_there_is_told_of(
    make_node: MakeNode, tmp_path: Path
) -> None:
    with Orthanc(tmp_path / "closed", find_program("Orthanc")) as closed:
        node = make_node({"closed": closed.port, "gone": free_port()})
        was_up(node)

        refused = node.cli_process("fetch", "1.2.6.1", "--from", "closed")
        gone = node.cli_process("fetch", "1.2.6.1", "--from", "gone")

    assert (refused.returncode, gone.returncode) == (1, 1)
    assert "no whole answer to C-FIND (time-out, or an abort: does it know DIBMG?)" in refused.stderr
    assert "no association (no connection, time-out or abort)" in gone.stderr


def test_what_a_node_that_is_down_fetches_it_reads_once_it_is_up(
    make_node: MakeNode, pacs: Orthanc, tmp_path: Path
) -> None:
    store(pacs, *write_exam(tmp_path, study_uid="1.2.6.6"))
    node = make_node({"pacs": pacs.port})
    was_up(node)

    fetched = json.loads(node.cli("fetch", "1.2.6.6", "--from", "pacs", "--json").stdout)

    assert fetched["stored"] == 4
    node.start()
    node.wait_for_state("1.2.6.6", "DELIVERED")

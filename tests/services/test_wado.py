from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom.dataset import FileDataset

from dibmg_node.dicom import facts
from dibmg_node.dicom.part10 import part10_prefix
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.credentials import Anonymous
from dibmg_node.services.fetching import Fate, Haul, Landing, NoSuchStudyError, is_mammography
from dibmg_node.services.intake import Intake
from dibmg_node.services.multipart import MalformedBodyError, Multipart, first_part
from dibmg_node.services.tls import TlsFiles
from dibmg_node.services.wado import WadoSource
from dibmg_node.services.web_service import WebService
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import L_MLO, R_CC, STANDARD_VIEWS, START, STUDY_UID, Clock, mammogram, part10, sop_uid
from tests.services.test_intake import POLICY
from tests.services.web_peers import Asked, Told, WebPeer

WHOLE = [sop_uid(view) for view in STANDARD_VIEWS]
Answers = dict[str, Callable[[Asked], Told]]


def match(one: FileDataset) -> dict[str, Any]:
    return {
        "00080016": {"vr": "UI", "Value": [str(one.SOPClassUID)]},
        "00080018": {"vr": "UI", "Value": [str(one.SOPInstanceUID)]},
        "0020000E": {"vr": "UI", "Value": [str(one.SeriesInstanceUID)]},
        "00080060": {"vr": "CS", "Value": [str(one.Modality)]},
    }


def envelope(content: bytes) -> Told:
    body = Multipart([content], "BOUNDARY")
    return Told(200, b"".join(body), {"Content-Type": body.content_type})


def pacs(
    held: list[FileDataset],
    page: int = 100,
    searched: Told | None = None,
    instead: dict[str, Told] | None = None,
) -> WebPeer:
    """A server that holds instances of one study, `page` of them an answer at most."""

    def script(asked: Asked) -> Told:
        parts = urlsplit(asked.path)
        names = parts.path.split("/")
        if names[-1] == "instances":
            if searched is not None:
                return searched
            offset = int(parse_qs(parts.query)["offset"][0])
            found = [match(one) for one in held if one.StudyInstanceUID == names[-2]]
            body = json.dumps(found[offset : offset + page]).encode()
            return Told(200, body, {"Content-Type": "application/dicom+json"})
        if instead and names[-1] in instead:
            return instead[names[-1]]
        (one,) = [one for one in held if one.SOPInstanceUID == names[-1]]
        return envelope(part10(one))

    return WebPeer(script)


def exam() -> list[FileDataset]:
    return [mammogram(view) for view in STANDARD_VIEWS]


@pytest.fixture
def fetch(archive: Archive, ledger: Ledger, clock: Clock) -> Callable[..., Haul]:
    """Fetches from a server into this test's archive and ledger."""

    def fetch(peer: WebPeer, study_uid: str = STUDY_UID, longest: int = 10**8) -> Haul:
        intake = Intake(archive, ledger.receipts, POLICY, clock)
        service = WebService(peer.url, Anonymous(), TlsFiles(), lambda: START)
        landing = Landing(study_uid, "pacs", intake.open_instance, longest)
        return WadoSource(service).fetch(study_uid, is_mammography, landing)

    return fetch


Fetch = Callable[..., Haul]


def test_every_mammogram_of_a_study_is_archived_and_in_the_ledger(
    fetch: Fetch, archive: Archive, ledger: Ledger
) -> None:
    with pacs(exam()).running() as peer:
        haul = fetch(peer)

    study = ledger.views.study(STUDY_UID)
    assert [one.sop_uid for one in haul.instances if one.fate is Fate.STORED] == WHOLE
    assert study is not None
    assert (study["sender"], len(study["instances"])) == ("pacs", 4)


@pytest.mark.parametrize("syntax", [facts.EXPLICIT_LE, facts.JPEG_LOSSLESS_SV1])
def test_an_instance_comes_as_the_pacs_has_it(fetch: Fetch, archive: Archive, syntax: str) -> None:
    held = mammogram(R_CC, transfer_syntax_uid=syntax)

    with pacs([held]).running() as peer:
        fetch(peer)

    content = archive.instance_path(sop_uid(R_CC)).read_bytes()
    assert held.PixelData in content
    assert syntax.encode() in content[:600]
    assert "transfer-syntax=*" in peer.asked[-1].headers["accept"]


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.110"]
)
def test_a_file_in_a_transfer_syntax_that_no_association_would_bring_is_refused_unread(
    fetch: Fetch, archive: Archive, syntax: str
) -> None:
    told = envelope(part10_prefix(facts.MG_FOR_PRESENTATION, sop_uid(R_CC), syntax) + b"not inflated")

    with pacs(exam(), instead={sop_uid(R_CC): told}).running() as peer:
        haul = fetch(peer)

    assert haul.instances[0].fate is Fate.REFUSED
    assert "0xC122 transfer syntax is not accepted" in haul.instances[0].reason
    assert not archive.instance_path(sop_uid(R_CC)).exists()


@pytest.mark.parametrize("page", [1, 3, 4])
def test_a_search_that_is_answered_in_pages_is_read_to_its_end(fetch: Fetch, page: int) -> None:
    with pacs(exam(), page).running() as peer:
        haul = fetch(peer)

    assert haul.count(Fate.STORED) == 4


def test_what_is_no_mammogram_is_not_retrieved(fetch: Fetch) -> None:
    other = mammogram(R_CC, number=9, SOPClassUID=facts.COMPUTED_RADIOGRAPHY, Modality="CR")

    with pacs([*exam(), other]).running() as peer:
        haul = fetch(peer)

    assert (haul.count(Fate.STORED), haul.passed_over) == (4, 1)
    assert all(not asked.path.endswith(str(other.SOPInstanceUID)) for asked in peer.asked)


@pytest.mark.parametrize("study_uid", ["1.2.9", STUDY_UID + "0"])
def test_a_study_that_the_pacs_does_not_have_is_told_as_such(fetch: Fetch, study_uid: str) -> None:
    with pacs(exam()).running() as peer, pytest.raises(NoSuchStudyError, match="has no study"):
        fetch(peer, study_uid)


def test_no_content_is_no_study(fetch: Fetch) -> None:
    with pacs([], searched=Told(204)).running() as peer, pytest.raises(NoSuchStudyError):
        fetch(peer)


@pytest.mark.parametrize(
    ("searched", "error", "words"),
    [
        (Told(401), PeerRefusedError, "401 unauthorized: not authorized"),
        (Told(404), PeerRefusedError, "404 not found"),
        (Told(503), PeerUnavailableError, "503 service unavailable"),
        (Told(200, b"<html>"), PeerRefusedError, "no DICOM JSON"),
        (Told(200, b'[{"00080018": {}}]'), PeerRefusedError, "no DICOM JSON"),
        (Told(200, b'{"a": 1}'), PeerRefusedError, "no DICOM JSON"),
    ],
)
def test_a_search_that_fails_is_told(
    fetch: Fetch, searched: Told, error: type[Exception], words: str
) -> None:
    with pacs(exam(), searched=searched).running() as peer, pytest.raises(error, match=words):
        fetch(peer)


NOT_HANDED_OVER = {
    "not found": (Told(404), "answered 404 not found"),
    "no file": (Told(200, b"login", {"Content-Type": "text/html"}), "found text/html"),
    "no part": (
        Told(200, b"", {"Content-Type": "multipart/related; boundary=x"}),
        "no whole part in a multipart/related body",
    ),
    "garbage": (envelope(b"garbage"), "no whole DICOM file"),
    "another instance": (envelope(part10(mammogram(R_CC, number=7))), "differ"),
}


@pytest.mark.parametrize(("told", "words"), NOT_HANDED_OVER.values(), ids=NOT_HANDED_OVER)
def test_an_instance_that_is_not_handed_over_costs_none_of_the_others(
    fetch: Fetch, told: Told, words: str
) -> None:
    with pacs(exam(), instead={sop_uid(R_CC): told}).running() as peer:
        haul = fetch(peer)

    assert haul.count(Fate.STORED) == 3
    assert haul.instances[0].fate is not Fate.STORED
    assert words in haul.instances[0].reason


def test_an_instance_that_is_too_long_is_not_taken(fetch: Fetch, archive: Archive) -> None:
    with pacs(exam()).running() as peer:
        haul = fetch(peer, longest=1000)

    assert haul.count(Fate.STORED) == 0
    assert not archive.instance_path(sop_uid(R_CC)).exists()


def test_a_pacs_that_breaks_off_is_not_asked_for_the_rest(fetch: Fetch) -> None:
    with pacs(exam(), instead={sop_uid(STANDARD_VIEWS[2]): Told(503)}).running() as peer:
        haul = fetch(peer)

    assert [one.fate.value for one in haul.instances] == ["stored", "stored", "missing", "missing"]
    assert {one.reason for one in haul.instances[2:]} == {f"{peer.url}: answered 503 service unavailable"}
    assert not peer.asked[-1].path.endswith(sop_uid(L_MLO))


def test_a_body_that_is_a_file_itself_is_that_file() -> None:
    assert first_part("application/dicom", b"DICM") == b"DICM"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"a\r\n--other\r\nb", bytes(range(256)) * 40])
def test_the_first_part_is_what_was_put_in(content: bytes) -> None:
    body = Multipart([content, b"second"], "XYZ")

    assert first_part(body.content_type, b"preamble\r\n" + b"".join(body)) == content


@pytest.mark.parametrize("cut", [10, 40, 60])
def test_a_part_that_is_cut_off_is_none(cut: int) -> None:
    body = Multipart([b"0123456789" * 4], "XYZ")

    with pytest.raises(MalformedBodyError):
        first_part(body.content_type, b"".join(body)[:cut])

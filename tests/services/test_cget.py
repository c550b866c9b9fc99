from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dibmg_node.dicom import facts
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.cfind import STUDY_ROOT_FIND
from dibmg_node.services.cget import CGetSource
from dibmg_node.services.errand import STUDY_ROOT_GET
from dibmg_node.services.fetching import (
    Fate,
    Fetched,
    Haul,
    Landing,
    NoSuchStudyError,
    Offer,
    Wants,
    is_acceptable,
    is_mammography,
)
from dibmg_node.services.intake import Intake
from dibmg_node.services.scu import DimsePeer
from dibmg_node.services.wire import StoreAnswer
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import L_MLO, R_CC, STANDARD_VIEWS, STUDY_UID, Clock, mammogram, part10, sop_uid
from tests.services.test_intake import POLICY

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves the socket of a failed connection to the garbage collector."""

WHOLE = [sop_uid(view) for view in STANDARD_VIEWS]
Matches = Iterator[tuple[int, Dataset | None]]


def exam() -> list[FileDataset]:
    return [mammogram(view) for view in STANDARD_VIEWS]


@dataclass
class Pacs:
    """A PACS on a free port, that holds instances of one study.

    Attributes:
        find_status: Other than 0: of every C-FIND.
        tells_class: Whether C-FIND tells SOP classes.
        withheld: SOP Instance UIDs that C-FIND names and C-GET does not send.
        dies_after: Instances after which the association is aborted.
        asked: SOP Instance UIDs of every C-GET.
    """

    held: Sequence[FileDataset]
    find_status: int = 0x0000
    get_status: int = 0x0000
    tells_class: bool = True
    withheld: Sequence[str] = ()
    unasked: Sequence[FileDataset] = ()
    dies_after: int = 1000
    asked: list[list[str]] = field(default_factory=list)
    port: int = 0

    def find(self, event: Event) -> Matches:
        if self.find_status:
            yield self.find_status, None
            return
        keys, seen = event.identifier, set()
        for one in self.held:
            match = Dataset()
            names = {"SERIES": ["SeriesInstanceUID", "Modality"], "IMAGE": ["SOPInstanceUID", "SOPClassUID"]}
            for name in names[keys.QueryRetrieveLevel]:
                setattr(match, name, one.get(name))
            if not self.tells_class and "SOPClassUID" in match:
                del match.SOPClassUID
            here = keys.QueryRetrieveLevel == "SERIES" or keys.SeriesInstanceUID == one.SeriesInstanceUID
            if keys.StudyInstanceUID == STUDY_UID and here and str(match) not in seen:
                seen.add(str(match))
                yield 0xFF00, match

    def get(self, event: Event) -> Iterator[object]:
        uids = event.identifier.SOPInstanceUID
        wanted = [str(uids)] if isinstance(uids, str) else [str(uid) for uid in uids]
        self.asked.append(wanted)
        if self.get_status:
            yield 1
            yield self.get_status, None
            return
        sent = [one for one in self.held if one.SOPInstanceUID in wanted]
        sent = [one for one in sent if one.SOPInstanceUID not in self.withheld] + list(self.unasked)
        yield len(sent)
        for number, one in enumerate(sent):
            if number == self.dies_after:
                event.assoc.abort()
                return
            yield 0xFF00, dcmread(BytesIO(part10(one)))  # as a PACS has it: from a file

    @contextmanager
    def running(self, *, offers_get: bool = True, takes_roles: bool = True) -> Iterator[CGetSource]:
        ae = AE("PACS")
        ae.add_supported_context(STUDY_ROOT_FIND)
        if offers_get:
            ae.add_supported_context(STUDY_ROOT_GET)
        for sop_class, syntaxes in facts.ACCEPTED_CONTEXTS.items():
            roles = {"scu_role": False, "scp_role": True} if takes_roles else {}
            ae.add_supported_context(sop_class, list(syntaxes), **roles)
        handlers = [(evt.EVT_C_FIND, self.find), (evt.EVT_C_GET, self.get)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        self.port = server.socket.getsockname()[1]
        try:
            yield CGetSource(DimsePeer("DIBMG", "PACS", "127.0.0.1", self.port))
        finally:
            server.shutdown()


Fetch = Callable[..., Haul]


@pytest.fixture
def fetch(archive: Archive, ledger: Ledger, clock: Clock) -> Fetch:
    """Fetches from a source into this test's archive and ledger."""

    def fetch(source: CGetSource, wants: Wants = is_mammography, study_uid: str = STUDY_UID) -> Haul:
        intake = Intake(archive, ledger.receipts, POLICY, clock)
        return source.fetch(study_uid, wants, Landing(study_uid, "PACS", intake.open_instance, 10**8))

    return fetch


def fates(haul: Haul) -> dict[str, str]:
    return {one.sop_uid: one.fate.value for one in haul.instances}


def test_every_mammogram_of_a_study_is_archived_and_in_the_ledger(
    fetch: Fetch, archive: Archive, ledger: Ledger
) -> None:
    with Pacs(exam()).running() as source:
        haul = fetch(source)

    study = ledger.views.study(STUDY_UID)
    assert fates(haul) == dict.fromkeys(WHOLE, "stored")
    assert study is not None
    assert (study["sender"], len(study["instances"])) == ("PACS", 4)
    assert all(archive.instance_path(uid).exists() for uid in WHOLE)
    assert list((archive.root / archive.spool).iterdir()) == []


def test_a_compressed_instance_comes_as_the_pacs_has_it(fetch: Fetch, archive: Archive) -> None:
    held = mammogram(R_CC, transfer_syntax_uid=facts.JPEG_LOSSLESS_SV1)

    with Pacs([held]).running() as source:
        fetch(source)

    content = archive.instance_path(sop_uid(R_CC)).read_bytes()
    assert held.PixelData in content
    assert facts.JPEG_LOSSLESS_SV1.encode() in content[:600]


def test_a_pacs_that_tells_no_sop_class_is_asked_for_its_mammography_series(fetch: Fetch) -> None:
    with Pacs(exam(), tells_class=False).running() as source:
        haul = fetch(source)

    assert fates(haul) == dict.fromkeys(WHOLE, "stored")


def radiograph(number: int, sop_class_uid: str) -> FileDataset:
    other = mammogram(R_CC, number=number, SOPClassUID=sop_class_uid, Modality="OT")
    other.SeriesInstanceUID = f"{STUDY_UID}.{200 + number}"
    return other


def test_what_is_no_mammogram_is_not_asked_for(fetch: Fetch) -> None:
    pacs = Pacs([*exam(), radiograph(9, facts.COMPUTED_RADIOGRAPHY)])

    with pacs.running() as source:
        haul = fetch(source)

    assert (len(haul.instances), haul.passed_over) == (4, 1)
    assert pacs.asked == [WHOLE]


def test_everything_comes_however_many_presentation_contexts_it_takes(fetch: Fetch) -> None:
    classes = [uid for uid, syntaxes in facts.ACCEPTED_CONTEXTS.items() if len(syntaxes) > 2]
    held = [radiograph(number, sop_class) for number, sop_class in enumerate(classes, start=1)]

    with Pacs(held).running() as source:
        haul = fetch(source, is_acceptable)

    assert len(classes) > 10
    assert haul.count(Fate.STORED) == len(classes)


def test_an_instance_that_the_pacs_does_not_send_is_missing(
    fetch: Fetch,
) -> None:
    with Pacs(exam(), withheld=[sop_uid(L_MLO)]).running() as source:
        haul = fetch(source)

    (missing,) = [one for one in haul.instances if one.fate is not Fate.STORED]
    assert (missing.sop_uid, missing.fate) == (sop_uid(L_MLO), Fate.MISSING)
    assert missing.reason == "the PACS did not send it"


def test_an_instance_that_the_node_does_not_take_is_refused_with_its_reason(fetch: Fetch) -> None:
    stranger = mammogram(L_MLO, StudyInstanceUID="1.2.3")

    with Pacs([*exam()[:3], stranger]).running() as source:
        haul = fetch(source)

    assert fates(haul) == {**dict.fromkeys(WHOLE[:3], "stored"), sop_uid(L_MLO): "refused"}
    assert haul.instances[3].reason == (
        "this node answered 0x0110 Study Instance UID is not that of the request"
    )


def test_an_instance_that_nobody_asked_for_is_not_taken(fetch: Fetch, archive: Archive) -> None:
    extra = mammogram(R_CC, number=5)

    with Pacs(exam(), unasked=[extra]).running() as source:
        haul = fetch(source)

    assert fates(haul) == dict.fromkeys(WHOLE, "stored")
    assert not archive.instance_path(str(extra.SOPInstanceUID)).exists()


def test_what_came_before_the_association_broke_stays_and_the_rest_is_missing(
    fetch: Fetch, archive: Archive
) -> None:
    with Pacs(exam(), dies_after=2).running() as source:
        haul = fetch(source)

    assert fates(haul) == {**dict.fromkeys(WHOLE[:2], "stored"), **dict.fromkeys(WHOLE[2:], "missing")}
    assert "no whole answer to C-GET" in haul.instances[3].reason
    assert all(archive.instance_path(uid).exists() for uid in WHOLE[:2])


def test_a_study_that_is_there_already_is_stored_again_without_harm(fetch: Fetch, ledger: Ledger) -> None:
    with Pacs(exam()).running() as source:
        fetch(source)
        before = ledger.views.study(STUDY_UID)

        haul = fetch(source)

    assert haul.count(Fate.STORED) == 4
    assert ledger.views.study(STUDY_UID) == before


def test_a_study_that_the_pacs_does_not_have_is_told_as_such(fetch: Fetch) -> None:
    with Pacs(exam()).running() as source, pytest.raises(NoSuchStudyError, match=r"has no study 1\.2\.9"):
        fetch(source, study_uid="1.2.9")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, PeerUnavailableError),
        (0xA900, PeerRefusedError),
        (0xC001, PeerRefusedError),
        (0x0124, PeerRefusedError),
    ],
)
def test_a_query_that_fails_is_told_with_its_status(
    fetch: Fetch, status: int, error: type[Exception]
) -> None:
    pacs = Pacs(exam(), find_status=status)

    with pacs.running() as source, pytest.raises(error, match=f"C-FIND answered with 0x{status:04X}"):
        fetch(source)


@pytest.mark.parametrize("status", [0xA701, 0xA702, 0xA900, 0xC001])
def test_a_retrieval_that_fails_leaves_every_instance_missing_with_its_status(
    fetch: Fetch, status: int
) -> None:
    with Pacs(exam(), get_status=status).running() as source:
        haul = fetch(source)

    assert {one.reason for one in haul.instances} == {f"C-GET answered with 0x{status:04X}"}


def test_a_pacs_without_c_get_is_told_as_such(fetch: Fetch) -> None:
    with (
        Pacs(exam()).running(offers_get=False) as source,
        pytest.raises(PeerRefusedError, match="does not accept C-GET"),
    ):
        fetch(source)


def test_a_pacs_that_does_not_let_the_node_receive_is_told_as_such(fetch: Fetch) -> None:
    with (
        Pacs(exam()).running(takes_roles=False) as source,
        pytest.raises(PeerRefusedError, match="not that this node receives by it"),
    ):
        fetch(source)


def test_a_pacs_that_is_not_there_is_unavailable(fetch: Fetch) -> None:
    with Pacs(exam()).running() as source:
        pass

    with pytest.raises(PeerUnavailableError, match="no association"):
        fetch(source)


@pytest.mark.parametrize(
    ("sop_class_uid", "modality", "wanted"),
    [
        (facts.MG_FOR_PRESENTATION, "MG", True),
        (facts.MG_FOR_PROCESSING, "MG", True),
        (facts.TOMOSYNTHESIS, "", True),
        (facts.SECONDARY_CAPTURE, "MG", True),
        ("", "MG", True),
        (facts.SECONDARY_CAPTURE, "OT", False),
        (facts.MAMMOGRAPHY_CAD_SR, "SR", False),
        (facts.COMPUTED_RADIOGRAPHY, "MG", True),
        (facts.DIGITAL_XRAY_FOR_PRESENTATION, "MG", True),
        (facts.COMPUTED_RADIOGRAPHY, "CR", False),
        ("1.2.840.113619.4.26", "MG", False),
        ("", "SR", False),
        ("", "", False),
    ],
)
def test_mammography_is_what_the_node_would_look_at(sop_class_uid: str, modality: str, wanted: bool) -> None:
    assert is_mammography(Offer("1.2", sop_class_uid, "1.3", modality)) is wanted


class MeasuredLanding(Landing):
    """Notes the length of what comes ashore."""

    longest_seen = 0

    def store(
        self, sop_uid: str, sop_class_uid: str, transfer_syntax_uid: str, data_set: memoryview
    ) -> StoreAnswer:
        self.longest_seen = max(self.longest_seen, len(data_set))
        return super().store(sop_uid, sop_class_uid, transfer_syntax_uid, data_set)


def test_an_instance_far_too_long_is_refused_and_the_others_come(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    long = mammogram(R_CC, PixelData=bytes(20_000_000))
    others = exam()[1:]
    intake = Intake(archive, ledger.receipts, POLICY, clock)
    landing = MeasuredLanding(STUDY_UID, "PACS", intake.open_instance, 1_000_000)

    with Pacs([long, *others]).running() as source:
        haul = source.fetch(STUDY_UID, is_mammography, landing)

    assert haul.instances[0] == Fetched(
        sop_uid(R_CC), Fate.REFUSED, "this node answered 0xC000 data set longer than 1000000 bytes"
    )
    assert [one.fate for one in haul.instances[1:]] == [Fate.STORED] * 3
    assert landing.longest_seen < 1_500_000, "no more of it is held in memory"
    assert archive.left_in_spool() == []


def test_an_instance_longer_than_the_node_takes_is_refused(
    archive: Archive, ledger: Ledger, clock: Clock
) -> None:
    intake = Intake(archive, ledger.receipts, POLICY, clock)

    with Pacs(exam()).running() as source:
        haul = source.fetch(STUDY_UID, is_mammography, Landing(STUDY_UID, "PACS", intake.open_instance, 1000))

    assert {one.reason for one in haul.instances} == {
        "this node answered 0xC000 data set longer than 1000 bytes"
    }
    assert ledger.views.study(STUDY_UID) is None


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3 ", ""])
def test_an_instance_without_a_proper_uid_never_comes_near_the_archive(tmp_path: Path, uid: str) -> None:
    def never(request: object) -> None:
        raise AssertionError("opened")

    landing = Landing(STUDY_UID, "PACS", never, 100)  # type: ignore[arg-type]

    answer = landing.store(uid, UID(facts.MG_FOR_PRESENTATION), facts.EXPLICIT_LE, memoryview(b""))

    assert answer.status == facts.StoreStatus.INVALID_SOP_INSTANCE

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.events import Event

from dibmg_node.dicom import facts
from dibmg_node.domain.lifecycle import DeliveryState
from dibmg_node.domain.result import REPORTS, ResultKind
from dibmg_node.errors import PeerRefusedError, PeerUnavailableError
from dibmg_node.services.cstore import CStoreSender
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.scu import plain_context
from dibmg_node.services.writing import Wish, Writing, write_results
from dibmg_node.storage.archive import Archive
from tests.factories import CANARY, START, FakePredictor
from tests.programs import find_program
from tests.services.parcels import PIXELS
from tests.services.test_reading import exam, files_of, read_with

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""pynetdicom leaves the socket of a failed connection to the garbage collector."""

SYNTAXES = [facts.RLE_LOSSLESS, facts.EXPLICIT_LE, facts.IMPLICIT_LE]


class Peer:
    """A PACS on a free port.

    Attributes:
        kept: What it was sent: data set and transfer syntax, by SOP Instance UID.
    """

    def __init__(self, answer: Callable[[Event], int | Dataset] = lambda event: 0x0000) -> None:
        self.kept: dict[str, tuple[Dataset, str]] = {}
        self.order: list[str] = []
        self._answer = answer
        self.port = 0

    def store(self, event: Event) -> int | Dataset:
        answer = self._answer(event)
        dataset = event.dataset
        self.kept[str(dataset.SOPInstanceUID)] = (dataset, str(event.context.transfer_syntax))
        self.order.append(str(dataset.SOPInstanceUID))
        return answer

    @contextmanager
    def running(
        self,
        syntaxes: Sequence[str] = SYNTAXES,
        classes: Sequence[str] = (facts.SECONDARY_CAPTURE, facts.MAMMOGRAPHY_CAD_SR, facts.VERIFICATION),
        called: bool = False,
        calling: Sequence[str] = (),
        maximum: int = 10,
    ) -> Iterator[Peer]:
        ae = AE("PACS")
        ae.maximum_associations = maximum
        ae.require_called_aet, ae.require_calling_aet = called, list(calling)
        for sop_class in classes:
            ae.add_supported_context(sop_class, list(syntaxes))
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)])
        assert server is not None
        self.port = server.socket.getsockname()[1]
        try:
            yield self
        finally:
            server.shutdown()


def sender(port: int, called: str = "PACS") -> CStoreSender:
    return CStoreSender("DIBMG", called, "127.0.0.1", port)


def states(port: int, parcels: Sequence[Parcel]) -> list[tuple[str, str]]:
    return [(one.state.value, one.status) for one in sender(port).send(parcels)]


def test_results_are_stored_in_the_order_given_and_as_they_are(parcels: list[Parcel]) -> None:
    with Peer().running() as peer:
        found = states(peer.port, parcels)

    assert found == [("STORED", "0x0000")] * 2
    assert peer.order == ["2.25.10", "2.25.11"]
    dataset, syntax = peer.kept["2.25.10"]
    assert syntax == facts.RLE_LOSSLESS
    sent = dcmread(BytesIO(parcels[0].content))
    del sent[0x00020000:0x00030000]
    assert dataset == sent


def test_neither_side_waits_for_an_acknowledgement_in_the_middle_of_a_message(parcels: list[Parcel]) -> None:
    with Peer().running() as peer:
        association = sender(peer.port).peer.associate([plain_context(facts.VERIFICATION)])
        connection = association.dul.socket
        assert connection is not None and connection.socket is not None
        whole = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        association.send_c_echo()
        quick = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)
        association.release()

    assert (whole, quick) == (1, 1)


def test_an_answer_is_left_to_the_thread_that_waits_for_it() -> None:
    """pynetdicom's own thread took it as an unexpected request where both ran at the wrong moment."""
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo, answer.Status = 1, 0x0000
    with Peer().running() as peer:
        association = sender(peer.port).peer.associate([plain_context(facts.VERIFICATION)])
        association.dimse.msg_queue.put((1, answer))
        time.sleep(0.1)  # the thread looks each millisecond

        assert association.dimse.msg_queue.get(timeout=5) == (1, answer)
        assert association.send_c_echo().Status == 0x0000
        association.release()


def test_an_answer_that_comes_twice_is_none_to_the_next_request() -> None:
    stray = C_ECHO()
    stray.MessageIDBeingRespondedTo, stray.Status = 1, 0x0122
    with Peer().running() as peer:
        association = sender(peer.port).peer.associate([plain_context(facts.VERIFICATION)])
        assert association.send_c_echo().Status == 0x0000
        association.dimse.msg_queue.put((1, stray))

        assert association.send_c_echo().Status == 0x0000
        assert association.send_c_echo().Status == 0x0000
        association.release()


@pytest.mark.parametrize("syntax", [facts.EXPLICIT_LE, facts.IMPLICIT_LE])
def test_a_peer_that_takes_only_one_uncompressed_syntax_gets_the_same_pixels(
    parcels: list[Parcel], syntax: str
) -> None:
    with Peer().running([syntax]) as peer:
        found = states(peer.port, parcels)

    assert found == [("STORED", "0x0000")] * 2
    dataset, used = peer.kept["2.25.10"]
    assert (used, dataset.PixelData) == (syntax, PIXELS.tobytes())
    report_kept, used = peer.kept["2.25.11"]
    assert (used, report_kept.PatientName) == (syntax, CANARY)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xA700, "OWED"),
        (0x0110, "OWED"),
        (0xC123, "REFUSED"),
        (0xA900, "REFUSED"),
        (0xB006, "STORED"),
        (0x0111, "STORED"),
    ],
)
def test_a_status_settles_its_own_result(parcels: list[Parcel], status: int, state: str) -> None:
    def answer(event: Event) -> int:
        return status if event.request.AffectedSOPInstanceUID == "2.25.10" else 0x0000

    with Peer(answer).running() as peer:
        found = states(peer.port, parcels)

    report = ("OWED", "") if state == "OWED" else ("STORED", "0x0000")
    assert found == [(state, f"0x{status:04X}"), report]


def test_the_peers_comment_is_not_repeated(parcels: list[Parcel]) -> None:
    def answer(event: Event) -> Dataset:
        status = Dataset()
        status.Status, status.ErrorComment = 0xC000, f"no such patient {CANARY}"
        return status

    with Peer(answer).running() as peer:
        settlements = sender(peer.port).send(parcels)

    assert {one.comment for one in settlements} == {"cannot understand"}


def test_a_peer_that_accepts_no_context_refuses_and_is_no_abort(parcels: list[Parcel]) -> None:
    with (
        Peer().running(classes=[facts.VERIFICATION]) as peer,
        pytest.raises(PeerRefusedError, match="none of the presentation contexts"),
    ):
        sender(peer.port).send(parcels)


def test_a_kind_of_result_that_the_peer_does_not_take_is_refused_and_the_others_stored(
    parcels: list[Parcel],
) -> None:
    with Peer().running(classes=[facts.SECONDARY_CAPTURE]) as peer:
        settlements = sender(peer.port).send(parcels)

    assert [one.state.value for one in settlements] == ["STORED", "REFUSED"]
    assert "no presentation context" in settlements[1].comment


def test_a_peer_that_takes_only_syntaxes_that_we_do_not_write_refuses(parcels: list[Parcel]) -> None:
    with (
        Peer().running([facts.JPEG_2000_LOSSLESS]) as peer,
        pytest.raises(PeerRefusedError, match="none of the presentation contexts"),
    ):
        sender(peer.port).send(parcels)


@pytest.mark.parametrize("option", [{"called": True}, {"calling": ["OTHER"]}])
def test_a_peer_that_does_not_know_us_refuses(parcels: list[Parcel], option: dict[str, object]) -> None:
    with (
        Peer().running(**option) as peer,  # type: ignore[arg-type]
        pytest.raises(PeerRefusedError, match=r"rejected 1/1/[37]"),
    ):
        sender(peer.port, "WRONG").send(parcels)


def test_a_peer_that_is_busy_is_tried_later(parcels: list[Parcel]) -> None:
    with Peer().running(maximum=1) as peer:
        ae = AE("HOLDER")
        ae.add_requested_context(facts.VERIFICATION)
        holder = ae.associate("127.0.0.1", peer.port)
        assert holder.is_established

        with pytest.raises(PeerUnavailableError, match=r"rejected 2/3/2"):
            sender(peer.port).send(parcels)

        holder.release()


def test_nobody_listening_is_tried_later(parcels: list[Parcel]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(PeerUnavailableError, match="no association"):
        sender(port).send(parcels)


def test_a_name_that_does_not_resolve_is_tried_later(parcels: list[Parcel]) -> None:
    nowhere = CStoreSender("DIBMG", "PACS", "no-such-host.invalid", 104)

    with pytest.raises(PeerUnavailableError):
        nowhere.send(parcels)


def test_something_that_speaks_no_dicom_is_tried_later(parcels: list[Parcel]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(PeerUnavailableError):
            sender(server.getsockname()[1]).send(parcels)
        thread.join()


def test_an_abort_in_mid_send_keeps_the_results_owed(parcels: list[Parcel]) -> None:
    def abort(event: Event) -> int:
        event.assoc.abort()
        return 0x0000

    with Peer(abort).running() as peer:
        settlements = sender(peer.port).send(parcels)

    assert [one.state for one in settlements] == [DeliveryState.OWED] * 2
    assert [one.status for one in settlements] == ["", ""]
    assert [one.in_doubt for one in settlements] == [True, False]


def test_a_report_waits_where_an_image_that_it_speaks_of_was_not_taken(parcels: list[Parcel]) -> None:
    with Peer(lambda event: 0xA700).running() as peer:
        settlements = sender(peer.port).send(parcels)

    assert [one.state.value for one in settlements] == ["OWED", "OWED"]
    assert settlements[1].comment == "waits for the images that it speaks of"


def test_no_thread_is_left_behind_however_a_send_ends(parcels: list[Parcel]) -> None:
    before = threading.active_count()
    with Peer().running() as peer:
        sender(peer.port).send(parcels)
    with Peer().running(classes=[facts.VERIFICATION]) as peer, pytest.raises(PeerRefusedError):
        sender(peer.port).send(parcels)
    with Peer().running(called=True) as peer, pytest.raises(PeerRefusedError):
        sender(peer.port, "WRONG").send(parcels)

    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert threading.active_count() <= before


def test_echo_is_answered_refused_or_nobody_there() -> None:
    with Peer().running() as peer:
        sender(peer.port).echo()
    with Peer().running(classes=[facts.SECONDARY_CAPTURE]) as peer, pytest.raises(PeerRefusedError):
        sender(peer.port).echo()
    with pytest.raises(PeerUnavailableError):
        sender(peer.port).echo()


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Callable[..., tuple[int, Path]]]:
    """Starts DCMTK's storescp; gives its port and the folder that it fills."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> tuple[int, Path]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = tmp_path / f"kept{len(started)}"
        folder.mkdir()
        command = [find_program("storescp"), "-od", str(folder), *options, str(port)]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port, folder
            threading.Event().wait(0.05)
        raise AssertionError("storescp did not start")

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("option", "syntax"),
    [("+xa", facts.RLE_LOSSLESS), ("+x=", facts.EXPLICIT_LE), ("+xi", facts.IMPLICIT_LE)],
)
def test_dcmtk_keeps_what_we_send_in_the_syntax_that_it_takes(
    parcels: list[Parcel], storescp: Callable[..., tuple[int, Path]], option: str, syntax: str
) -> None:
    port, folder = storescp(option)

    found = [one.state.value for one in sender(port).send(parcels)]

    kept = {str(one.SOPInstanceUID): one for one in map(dcmread, folder.iterdir())}
    assert found == ["STORED", "STORED"]
    assert kept["2.25.10"].file_meta.TransferSyntaxUID == syntax
    if syntax != facts.RLE_LOSSLESS:
        assert kept["2.25.10"].PixelData == PIXELS.tobytes()


def test_dcmtk_that_refuses_associations_refuses(
    parcels: list[Parcel], storescp: Callable[..., tuple[int, Path]]
) -> None:
    port, _ = storescp("--refuse")

    with pytest.raises((PeerRefusedError, PeerUnavailableError), match=r"rejected|no association"):
        sender(port).send(parcels)


def test_dcmtk_that_aborts_during_a_store_leaves_all_owed(
    parcels: list[Parcel], storescp: Callable[..., tuple[int, Path]]
) -> None:
    port, _ = storescp("--abort-during", "+xa")

    assert [one.state.value for one in sender(port).send(parcels)] == ["OWED", "OWED"]


def test_a_parcel_is_sent_with_the_meta_information_of_its_own_file(parcels: list[Parcel]) -> None:
    meta: FileMetaDataset = dcmread(BytesIO(parcels[0].content)).file_meta

    assert UID(parcels[0].transfer_syntax_uid) == meta.TransferSyntaxUID


def results_of_an_exam(archive: Archive) -> list[Parcel]:
    """Every kind of result of one exam, in the order of sending."""
    reading = read_with(FakePredictor(), files_of(archive, exam()))
    written = list(write_results(reading, Writing([Wish(kind) for kind in ResultKind], START, 0)))
    made = [
        Parcel(
            one.result.sop_uid,
            one.result.sop_class_uid,
            one.result.transfer_syntax_uid,
            one.content,
            one.result.kind in REPORTS,
        )
        for one in written
    ]
    return sorted(made, key=lambda parcel: parcel.is_report)


KINDS = (
    facts.SECONDARY_CAPTURE,
    facts.GRAYSCALE_PRESENTATION_STATE,
    facts.COMPREHENSIVE_SR,
    facts.MAMMOGRAPHY_CAD_SR,
)


@pytest.mark.parametrize("syntax", [facts.EXPLICIT_LE, facts.IMPLICIT_LE])
def test_a_peer_gets_every_kind_of_result_of_an_exam_over_one_association(
    archive: Archive, syntax: str
) -> None:
    parcels = results_of_an_exam(archive)

    with Peer().running(syntaxes=[syntax], classes=KINDS) as peer:
        settlements = CStoreSender("DIBMG", "PACS", "127.0.0.1", peer.port).send(parcels)

    assert {one.state for one in settlements} == {DeliveryState.STORED}
    assert peer.order == [parcel.sop_uid for parcel in parcels]
    for parcel in parcels:
        kept, used = peer.kept[parcel.sop_uid]
        assert (kept.SOPClassUID, used) == (parcel.sop_class_uid, syntax)
        if "PixelData" not in kept:
            sent = dcmread(BytesIO(parcel.content))
            assert kept == sent


def test_a_peer_that_takes_no_presentation_state_gets_the_rest(archive: Archive) -> None:
    parcels = results_of_an_exam(archive)
    without = [one for one in KINDS if one != facts.GRAYSCALE_PRESENTATION_STATE]

    with Peer().running(classes=without) as peer:
        settlements = CStoreSender("DIBMG", "PACS", "127.0.0.1", peer.port).send(parcels)

    refused = {one.sop_uid for one in settlements if one.state is DeliveryState.REFUSED}
    assert refused == {p.sop_uid for p in parcels if p.sop_class_uid == facts.GRAYSCALE_PRESENTATION_STATE}
    assert set(peer.kept) == {parcel.sop_uid for parcel in parcels} - refused

"""Real peers: storescu and echoscu of DCMTK, and pynetdicom, against the acceptor."""

from __future__ import annotations

import logging
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES

from dibmg_node.dicom import facts
from dibmg_node.services.intake import Intake
from dibmg_node.services.wire import EndReason, InstanceSink, StoreAnswer, StoreRequest, TurnedAway
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from tests.factories import Clock
from tests.services.test_intake import POLICY
from tests.services.wire_peers import (
    SETTINGS,
    WAIT_SECONDS,
    MemoryStore,
    RawPeer,
    content_of,
    listening,
    mammogram,
    pdu,
    pdv,
    run_dcmtk,
    store_all,
    store_command,
    write_file,
)


def test_an_echo_is_answered():
    with listening() as wire:
        echoed = run_dcmtk("echoscu", "-v", "-aec", "DIBMG", "127.0.0.1", str(wire.port))

        assert echoed.returncode == 0, echoed.stderr


def test_storescu_sends_many_instances_on_one_association(tmp_path: Path):
    data_sets = [mammogram(size=300_000 + 1000 * n, fill=bytes((n, 1))) for n in range(20)]
    for data_set in data_sets:
        write_file(tmp_path, data_set)

    with listening() as wire:
        sent = run_dcmtk("storescu", "-aec", "DIBMG", "+sd", "127.0.0.1", str(wire.port), str(tmp_path))
        wire.store.wait_for(lambda: len(wire.store.ends) == 1)

        received = {content_of(sink).SOPInstanceUID: content_of(sink).PixelData for sink in wire.store.sinks}
        assert sent.returncode == 0, sent.stdout + sent.stderr
        assert received == {d.SOPInstanceUID: d.PixelData for d in data_sets}
        assert wire.store.ends[0].reason is EndReason.RELEASED
        assert wire.store.ends[0].answered == 20


def test_the_request_tells_who_sends_what():
    data_set = mammogram()

    with listening() as wire:
        store_all(wire.port, [data_set])

        request, association = wire.store.sinks[0].request, wire.store.requests[0]
        assert request.sop_class_uid == facts.MG_FOR_PRESENTATION
        assert request.sop_instance_uid == data_set.SOPInstanceUID
        assert request.transfer_syntax_uid == facts.EXPLICIT_LE
        assert (request.calling_aet, request.called_aet) == ("PEER", "DIBMG")
        assert request.peer_address == "127.0.0.1"
        assert request.association_id == association.association_id
        assert association.implementation_version_name.startswith("PYNETDICOM")


@pytest.mark.parametrize("syntax", facts.IMAGE_SYNTAXES)
def test_every_accepted_transfer_syntax_arrives_as_it_was_sent(syntax: str):
    data_set = mammogram(syntax, size=50_000)

    with listening() as wire:
        statuses = store_all(wire.port, [data_set])

        assert statuses == [0]
        assert wire.store.sinks[0].request.transfer_syntax_uid == syntax
        assert content_of(wire.store.sinks[0]).PixelData == data_set.PixelData


@pytest.mark.parametrize(
    ("option", "syntax"),
    [
        ("-xi", facts.IMPLICIT_LE),
        ("-xs", facts.JPEG_LOSSLESS_SV1),
        ("-xt", facts.JPEG_LS_LOSSLESS),
        ("-xv", facts.JPEG_2000_LOSSLESS),
        ("-xr", facts.RLE_LOSSLESS),
    ],
)
def test_storescu_sends_compressed_instances(tmp_path: Path, option: str, syntax: str):
    data_set = mammogram(syntax)
    path = write_file(tmp_path, data_set)

    with listening() as wire:
        sent = run_dcmtk("storescu", "-aec", "DIBMG", option, "127.0.0.1", str(wire.port), str(path))

        assert sent.returncode == 0, sent.stdout + sent.stderr
        assert wire.store.sinks[0].request.transfer_syntax_uid == syntax
        assert content_of(wire.store.sinks[0]).PixelData == data_set.PixelData


@pytest.mark.parametrize("maximum", [4096, 16384, 131072])
def test_pdus_of_any_announced_length_carry_the_same_bytes(tmp_path: Path, maximum: int):
    data_set = mammogram(size=3_000_000)
    path = write_file(tmp_path, data_set)
    port_options = ("-aec", "DIBMG", "--max-send-pdu", str(maximum), "127.0.0.1")

    with listening(settings=replace(SETTINGS, maximum_pdu=maximum)) as wire:
        sent = run_dcmtk("storescu", *port_options, str(wire.port), str(path))

        assert sent.returncode == 0, sent.stdout + sent.stderr
        assert content_of(wire.store.sinks[0]).PixelData == data_set.PixelData


@pytest.mark.parametrize("length", [900, 16_000, 130_000])
def test_bytes_gathered_over_many_pdus_are_not_overtaken_by_later_ones(length: int):
    content = random.Random(length).randbytes(4_000_000)

    with listening() as wire, RawPeer(wire.port) as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, 3, store_command())))
        for at in range(0, len(content), length):
            peer.send(pdu(4, pdv(3, 2 * (at + length >= len(content)), content[at : at + length])))
        status = peer.status()

        assert status == 0
        assert bytes(wire.store.sinks[0].content) == content


def test_a_peer_with_a_small_maximum_length_gets_its_answers_in_fragments():
    answer = StoreAnswer(0xA900, "x" * 64, 0x0020000D)

    with listening(MemoryStore(on_commit=lambda _: answer)) as wire:
        statuses = store_all(wire.port, [mammogram(), mammogram()], max_pdu=130)

        assert statuses == [0xA900, 0xA900]


def test_sixteen_associations_at_once_do_not_mix(tmp_path: Path):
    sent = {}
    for n in range(16):
        folder = tmp_path / str(n)
        folder.mkdir()
        for i in range(3):
            data_set = mammogram(size=200_000, fill=bytes((n, i)))
            write_file(folder, data_set)
            sent[data_set.SOPInstanceUID] = data_set.PixelData

    with listening() as wire:
        # Not pynetdicom: its SCU, in one busy process, now and then takes an answer for a request.
        command = ("storescu", "-aec", "DIBMG", "+sd", "127.0.0.1", str(wire.port))
        peers = [subprocess.Popen([*command, str(tmp_path / str(n))]) for n in range(16)]
        codes = [peer.wait(WAIT_SECONDS * 4) for peer in peers]

        received = {content_of(s).SOPInstanceUID: content_of(s).PixelData for s in wire.store.committed}
        assert codes == [0] * 16
        assert received == sent


def test_a_failure_answer_carries_its_comment_and_element():
    answer = StoreAnswer(
        0xA900, "Study Instance UID\nis missing \N{LATIN SMALL LETTER E WITH ACUTE}", 0x0020000D
    )
    ae = AE("PEER")
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE)

    with listening(MemoryStore(on_commit=lambda _: answer)) as wire:
        association = ae.associate("127.0.0.1", wire.port, ae_title="DIBMG")
        status = association.send_c_store(mammogram())
        association.release()
        wire.store.wait_for(lambda: bool(wire.store.ends))

        assert status.Status == 0xA900
        assert status.ErrorComment == "Study Instance UID?is missing ?"
        assert status.OffendingElement == 0x0020000D
        assert (wire.store.ends[0].answered, wire.store.ends[0].refused) == (0, 1)


@pytest.mark.parametrize(("status", "for_now"), [(0xA900, False), (0xA700, True)])
def test_a_refused_instance_is_told_with_titles_status_and_comment(status: int, for_now: bool) -> None:
    refuse = MemoryStore(on_commit=lambda _: StoreAnswer(status, "no room\n"))
    ae = AE("PEER")
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, facts.EXPLICIT_LE)

    with listening(refuse) as wire:
        association = ae.associate("127.0.0.1", wire.port, ae_title="DIBMG")
        association.send_c_store(mammogram())
        association.release()

    told = rf"instance refused, 0x{status:04X}: no room\n"
    assert wire.store.turned_away == [TurnedAway("127.0.0.1", "PEER", "DIBMG", told, for_now, let_in=True)]


def test_refused_contexts_do_not_refuse_the_association():
    ae = AE("PEER")
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
    ae.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
    ae.add_requested_context(facts.VERIFICATION)

    with listening() as wire:
        association = ae.associate("127.0.0.1", wire.port, ae_title="DIBMG")

        refused = {cx.abstract_syntax: cx.result for cx in association.rejected_contexts}
        assert refused == {facts.MG_FOR_PRESENTATION: 4, "1.2.840.10008.5.1.4.1.2.2.1": 3}
        assert association.send_c_echo().Status == 0
        association.release()


def chosen(sop_class: str, *proposed: str) -> list[str]:
    """The transfer syntax that is accepted of several in one context."""
    ae = AE("PEER")
    ae.add_requested_context(sop_class, list(proposed))
    with listening() as wire:
        association = ae.associate("127.0.0.1", wire.port, ae_title="DIBMG")
        syntaxes = association.accepted_contexts[0].transfer_syntax
        association.release()
    return [str(one) for one in syntaxes]


def test_our_preference_chooses_the_transfer_syntax():
    assert chosen(facts.MG_FOR_PRESENTATION, *reversed(facts.IMAGE_SYNTAXES)) == [facts.EXPLICIT_LE]


def test_as_many_contexts_as_there_can_be_are_read_with_every_syntax_that_a_peer_may_know():
    ae = AE("PEER")
    for number in range(127):
        ae.add_requested_context(f"1.2.840.10008.5.1.4.1.1.9999.{number}", ALL_TRANSFER_SYNTAXES)
    ae.add_requested_context(facts.MG_FOR_PRESENTATION, ALL_TRANSFER_SYNTAXES)

    with listening() as wire:
        association = ae.associate("127.0.0.1", wire.port, ae_title="DIBMG")

        accepted = [one.abstract_syntax for one in association.accepted_contexts]
        association.release()
    assert accepted == [facts.MG_FOR_PRESENTATION]


LARGE = (facts.TOMOSYNTHESIS, facts.PROJECTION_FOR_PRESENTATION, facts.PROJECTION_FOR_PROCESSING)


@pytest.mark.parametrize("sop_class", LARGE)
@pytest.mark.parametrize(
    ("proposed", "wanted"),
    [
        ((facts.IMPLICIT_LE, facts.EXPLICIT_LE, facts.JPEG_LS_LOSSLESS), facts.JPEG_LS_LOSSLESS),
        ((facts.JPEG_2000, facts.EXPLICIT_LE), facts.EXPLICIT_LE),
        ((facts.IMPLICIT_LE,), facts.IMPLICIT_LE),
    ],
)
def test_images_of_many_frames_are_wanted_losslessly_compressed(
    sop_class: str, proposed: tuple[str, ...], wanted: str
):
    assert chosen(sop_class, *proposed) == [wanted]


def test_one_thread_serves_one_association():
    with listening() as wire:
        store_all(wire.port, [mammogram(), mammogram()])

        assert len(set.union(*(sink.threads for sink in wire.store.sinks))) == 1


def test_the_log_has_one_line_a_step_and_no_patient(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "dibmg_node")

    with listening() as wire:
        store_all(wire.port, [mammogram() for _ in range(5)])
        wire.store.wait_for(lambda: len(wire.store.ends) == 1)

    ours = [record for record in caplog.records if record.name.startswith("dibmg_node")]
    assert [record.getMessage() for record in ours] == [
        "acceptor listening",
        "association accepted",
        "association released",
        "acceptor stopped",
    ]
    assert not [record for record in ours if "Canary" in repr(record.__dict__)]


def test_while_intake_is_paused_storescu_is_rejected_for_now_and_echoscu_is_answered(
    tmp_path: Path, archive: Archive, ledger: Ledger, clock: Clock
):
    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=lambda: True), clock)
    store = MemoryStore()
    store.admit = intake.admit
    path = write_file(tmp_path, mammogram())

    with listening(store) as wire:
        sent = run_dcmtk("storescu", "-v", "-aec", "DIBMG", "127.0.0.1", str(wire.port), str(path))
        echoed = run_dcmtk("echoscu", "-aec", "DIBMG", "127.0.0.1", str(wire.port))

    told = sent.stdout + sent.stderr
    assert sent.returncode != 0
    assert "Rejected Transient" in told
    assert "Temporary Congestion" in told
    assert echoed.returncode == 0


def test_a_pause_in_mid_association_is_answered_out_of_resources(
    archive: Archive, ledger: Ledger, clock: Clock
):
    paused: list[bool] = []
    intake = Intake(archive, ledger.receipts, replace(POLICY, is_paused=lambda: bool(paused)), clock)
    store = MemoryStore()

    def pause_after_the_first(request: StoreRequest) -> InstanceSink:
        sink = intake.open_instance(request)
        paused.append(True)
        return sink

    store.open_instance = pause_after_the_first
    data_sets = [mammogram(), mammogram()]

    with listening(store) as wire:
        statuses = store_all(wire.port, data_sets)

    assert statuses == [0x0000, 0xA700]
    kept = [archive.instance_path(one.SOPInstanceUID).exists() for one in data_sets]
    assert kept == [True, False]

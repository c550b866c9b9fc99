"""How many, for how long, and how it stops."""

from __future__ import annotations

import gc
import logging
import os
import resource
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dibmg_node.services.acceptor import Acceptor
from dibmg_node.services.wire import EndReason, StoreAnswer
from tests.services.wire_peers import (
    SETTINGS,
    WAIT_SECONDS,
    MemorySink,
    MemoryStore,
    RawPeer,
    associate_rq,
    echo_command,
    listening,
    mammogram,
    pdu,
    pdv,
    store_all,
    store_command,
)


def begin_data_set(peer: RawPeer) -> None:
    peer.associate()
    peer.send(pdu(4, pdv(3, 3, store_command()) + pdv(3, 0, b"ab")))


def echo(peer: RawPeer) -> int:
    peer.send(pdu(4, pdv(1, 3, echo_command())))
    return peer.status()


def test_of_eighty_associations_sixty_four_are_accepted():
    with listening() as wire:
        peers = [RawPeer(wire.port) for _ in range(80)]
        try:
            answers = []
            for peer in peers:
                peer.send(associate_rq())
                answers.append(peer.read_pdu())

            assert [kind for kind, _ in answers] == [2] * 64 + [3] * 16
            assert {body[1:] for kind, body in answers if kind == 3} == {bytes((2, 3, 2))}
            assert [echo(peer) for peer in peers[:64]] == [0] * 64
            peers[0].release()
            wire.check_alive()
        finally:
            for peer in peers:
                peer.socket.close()


def test_one_address_has_a_limit_of_its_own():
    with (
        listening(settings=replace(SETTINGS, maximum_per_address=2)) as wire,
        RawPeer(wire.port) as first,
        RawPeer(wire.port) as second,
        RawPeer(wire.port) as third,
    ):
        first.associate()
        second.associate()
        third.send(associate_rq())

        assert third.rejected() == (2, 3, 2)
        first.release()
        with RawPeer(wire.port) as fourth:
            fourth.associate()


def test_a_released_association_does_not_count_while_its_peer_lingers():
    with listening(settings=replace(SETTINGS, maximum_per_address=1)) as wire:
        lingering = []
        for _ in range(10):
            peer = RawPeer(wire.port)
            lingering.append(peer)
            peer.associate()
            peer.release()
        for peer in lingering:
            peer.socket.close()


def test_silent_connections_over_the_limit_are_turned_away_with_one_line(caplog: pytest.LogCaptureFixture):
    settings = replace(SETTINGS, maximum_associations=1)
    caplog.set_level(logging.INFO)

    with listening(settings=settings) as wire, RawPeer(wire.port) as inside:
        inside.associate()
        silent = [RawPeer(wire.port) for _ in range(40)]
        closed = [peer.read_pdu()[0] for peer in silent]
        for peer in silent:
            peer.socket.close()

        assert closed == [0] * 40
        assert echo(inside) == 0
    assert sum(r.message == "connections turned away" for r in caplog.records) == 1


def test_a_stop_aborts_who_is_idle_and_lets_a_message_finish():
    with listening() as wire, RawPeer(wire.port) as idle, RawPeer(wire.port) as busy:
        idle.associate()
        begin_data_set(busy)
        wire.store.wait_for(lambda: len(wire.store.sinks) == 1)
        stopping = threading.Thread(target=wire.acceptor.stop, args=(WAIT_SECONDS,))
        stopping.start()

        assert idle.aborted() == (0, 0)
        busy.send(pdu(4, pdv(3, 2, b"cd")))
        assert busy.status() == 0
        assert busy.aborted() == (0, 0)
        stopping.join(WAIT_SECONDS)
        assert not stopping.is_alive()
        assert bytes(wire.store.committed[0].content) == b"abcd"
        with pytest.raises(ConnectionRefusedError):
            RawPeer(wire.port)


def test_a_stop_cuts_what_does_not_finish():
    with listening() as wire, RawPeer(wire.port) as stalled:
        begin_data_set(stalled)
        wire.store.wait_for(lambda: len(wire.store.sinks) == 1)

        wire.acceptor.stop(0.1)

        assert stalled.aborted() == (0, 0)
        wire.store.wait_for(lambda: len(wire.store.ends) == 1)
        assert (wire.store.sinks[0].aborts, wire.store.sinks[0].commits) == (1, 0)
        assert wire.store.ends[0].reason is EndReason.ABORTED


def test_a_stop_waits_for_a_commit():
    committing, go_on = threading.Event(), threading.Event()

    def commit(_: MemorySink) -> StoreAnswer:
        committing.set()
        go_on.wait(WAIT_SECONDS)
        return StoreAnswer(0)

    with listening(MemoryStore(on_commit=commit)) as wire, RawPeer(wire.port) as peer:
        begin_data_set(peer)
        peer.send(pdu(4, pdv(3, 2, b"cd")))
        assert committing.wait(WAIT_SECONDS)
        stopping = threading.Thread(target=wire.acceptor.stop, args=(WAIT_SECONDS,))
        stopping.start()
        go_on.set()

        assert peer.status() == 0
        stopping.join(WAIT_SECONDS)
        assert wire.store.ends[0].answered == 1


def test_an_acceptor_that_never_started_can_be_stopped():
    store = MemoryStore()

    Acceptor(SETTINGS, admit=store.admit, open_instance=store.open_instance, ended=store.ended).stop(0)


def test_a_port_that_is_taken_is_an_error():
    with listening() as wire, pytest.raises(OSError, match="in use"):
        taken = replace(SETTINGS, port=wire.port)
        store = MemoryStore()
        Acceptor(taken, admit=store.admit, open_instance=store.open_instance, ended=store.ended).start()


def test_an_end_that_fails_harms_nobody():
    store = MemoryStore()

    def fail(_: object) -> None:
        raise RuntimeError

    acceptor = Acceptor(SETTINGS, admit=store.admit, open_instance=store.open_instance, ended=fail)
    acceptor.start()
    try:
        assert store_all(acceptor.port, [mammogram()]) == [0]
        assert store_all(acceptor.port, [mammogram()]) == [0]
    finally:
        acceptor.stop(1)


def test_running_out_of_descriptors_is_survived():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening() as wire:
        wire.check_alive()
        clients = [socket.socket() for _ in range(8)]
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        try:
            held = []
            while True:
                try:
                    held.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    break
            for client in clients:
                client.settimeout(WAIT_SECONDS)
                client.connect(("127.0.0.1", wire.port))
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            client.sendall(associate_rq())
        assert [client.recv(1) for client in clients] == [b"\x02"] * 8
        for client in clients:
            client.close()
        wire.check_alive()


def test_threads_descriptors_and_memory_are_flat_after_many_associations():
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    def resident_mib() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    def associate(wire, times: int) -> None:
        for n in range(times):
            with RawPeer(wire.port) as peer:
                begin_data_set(peer)
                if n % 3 == 0:
                    peer.send(pdu(4, pdv(3, 2, bytes(100_000))))
                    assert peer.status() == 0
                    peer.release()
                elif n % 3 == 1:
                    peer.send(b"\xff" * 10)
                    peer.aborted()
        wire.store.wait_for(lambda: len(wire.store.ends) % times == 0)
        wire.acceptor.stop(5)
        wire.store.sinks.clear()
        wire.store.ends.clear()

    with listening() as wire:
        associate(wire, 30)
    gc.collect()  # what other tests left in cycles is closed now, not between the two counts
    threads, open_before, before = threading.active_count(), descriptors(), resident_mib()

    with listening() as wire:
        associate(wire, 300)

    gc.collect()
    assert threading.active_count() <= threads
    assert descriptors() <= open_before
    assert resident_mib() - before < 32

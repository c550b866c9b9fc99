"""Whatever a connection brings, its association ends as it should, and nothing fails unexpectedly."""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dibmg_node.services.association import Association
from dibmg_node.services.connection import Connection
from tests.services.test_wire_fuzz import damaged
from tests.services.wire_peers import (
    SETTINGS,
    WAIT_SECONDS,
    MemoryStore,
    associate_rq,
    echo_command,
    pdu,
    pdv,
    store_command,
)

STORE = pdu(4, pdv(3, 3, store_command())) + pdu(4, pdv(3, 0, b"ab" * 20) + pdv(3, 2, b"cd"))
SESSION = associate_rq() + pdu(4, pdv(1, 3, echo_command())) + STORE + STORE + pdu(5, bytes(4))
PIECES = (
    associate_rq(),
    pdu(4, pdv(1, 3, echo_command())),
    STORE,
    pdu(5, bytes(4)),
    pdu(7, bytes(4)),
    b"\0" * 7,
)
QUICK = replace(SETTINGS, maximum_data_set=100, idle_timeout=timedelta(seconds=5))


def connect(store: MemoryStore) -> tuple[Association, socket.socket]:
    """An association on one end of a connection, and the other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=WAIT_SECONDS)
        ours, peer = listener.accept()
    association = Association(
        Connection(ours, peer),
        QUICK,
        admit=store.admit,
        open_instance=store.open_instance,
        ended=store.ended,
        turned_away=store.turn_away,
        leave=lambda _: None,
    )
    return association, theirs


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.binary(max_size=200)
    | damaged(SESSION)
    | st.lists(st.sampled_from(PIECES) | damaged(STORE), max_size=8).map(
        lambda p: associate_rq() + b"".join(p)
    ),
    cut=st.integers(1, 200),
)
@example(sent=SESSION, cut=1)
def test_any_bytes_end_an_association_and_every_sink_once(
    caplog: pytest.LogCaptureFixture, sent: bytes, cut: int
) -> None:
    caplog.clear()
    store = MemoryStore()
    association, theirs = connect(store)
    thread = threading.Thread(target=association.serve)
    with caplog.at_level(logging.ERROR, "dibmg_node"), theirs:
        thread.start()
        try:
            for at in range(0, len(sent), cut):
                theirs.sendall(sent[at : at + cut])
            theirs.shutdown(socket.SHUT_WR)
            while theirs.recv(65536):
                pass
        except OSError:
            pass  # cut off: it may
        thread.join(WAIT_SECONDS)

    assert not thread.is_alive()
    assert all(sink.commits + sink.aborts == 1 for sink in store.sinks)
    assert len(store.ends) <= 1
    assert [record.getMessage() for record in caplog.records] == []


def test_the_session_that_is_damaged_is_a_good_one() -> None:
    store = MemoryStore()
    association, theirs = connect(store)
    with theirs:
        theirs.sendall(SESSION)
        theirs.shutdown(socket.SHUT_WR)
        association.serve()

    assert (store.ends[0].answered, store.ends[0].reason) == (2, "released")

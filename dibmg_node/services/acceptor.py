"""The acceptor: one listening socket, one blocking thread a connection, limits, drain."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from dibmg_node.services.association import Association
from dibmg_node.services.connection import Connection
from dibmg_node.services.wire import (
    LOCAL_LIMIT_EXCEEDED,
    AcceptorSettings,
    Admit,
    AssociationRequest,
    Ended,
    OpenInstance,
    Rejection,
    TakeReport,
    TellTurnedAway,
)

_log = logging.getLogger(__name__)

_BACKLOG = 128
_MOST_REJECTIONS = 16
"""Connections over the limit that are told so at once; more are closed without a word."""
_REJECTION_TIMEOUT = timedelta(seconds=2)
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_EXHAUSTED_SECONDS = 0.2
_CUT_SECONDS = 2.0


class Acceptor:
    """Accepts associations and gives each a thread of its own."""

    def __init__(
        self,
        settings: AcceptorSettings,
        *,
        admit: Admit,
        open_instance: OpenInstance,
        ended: Ended,
        take_report: TakeReport | None = None,
        turned_away: TellTurnedAway = lambda who: None,
    ) -> None:
        """Make an acceptor that does not listen yet.

        Args:
            settings: Where to listen, what to agree to, limits.
            admit: Decides on each association request; on the connection's thread, as all three.
            open_instance: Opens the sink of one data set.
            ended: Told about the end of every accepted association.
            take_report: Takes one report on storage commitment; None: nobody asked for any.
            turned_away: Told about everybody who was not let in, and about every instance that was refused.
        """
        self._settings = settings
        self._admit = admit
        self._open_instance = open_instance
        self._ended = ended
        self._take_report = take_report
        self._turned_away = turned_away
        self._lock = threading.Lock()
        self._threads: dict[Association, threading.Thread] = {}
        self._present: dict[Association, str] = {}
        self._rejecting: set[Association] = set()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._port = settings.port
        self._overrun = False

    @property
    def port(self) -> int:
        """The port that is listened on; where the settings say 0, known after `start`."""
        return self._port

    @property
    def associations(self) -> int:
        """Connections that count towards the limit at this moment."""
        with self._lock:
            return len(self._present)

    def start(self) -> None:
        """Listen, and accept associations from now on.

        Raises:
            OSError: The address cannot be listened on.
        """
        address = (self._settings.address, self._settings.port)
        family = socket.AF_INET6 if ":" in self._settings.address else socket.AF_INET
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        self._listener, self._port = listener, listener.getsockname()[1]
        self._accepting = threading.Thread(
            target=self._accept, args=(listener,), name="acceptor", daemon=True
        )
        self._accepting.start()
        _log.info("acceptor listening", extra={"address": self._settings.address, "port": self.port})

    def renew(self) -> None:
        """Read the files of TLS anew; associations that exist go on."""
        if self._settings.tls is not None:
            self._settings.tls.renew_or_keep()

    def stop(self, drain_seconds: float) -> None:
        """Stop listening, let messages on their way be finished, abort what is left.

        Args:
            drain_seconds: After this, messages on their way are cut. A sink that is being committed
                has some seconds more, then it is left to its daemon thread.
        """
        self._stopping.set()
        listener, self._listener = self._listener, None
        if listener is not None and self._accepting is not None:
            # Closing alone would leave the thread in accept().
            listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
            listener.close()
        with self._lock:
            threads = dict(self._threads)
        for association in threads:
            association.finish()
        _join(threads.values(), drain_seconds)
        for association, thread in threads.items():
            if thread.is_alive():
                association.cut()
        _join(threads.values(), _CUT_SECONDS)
        _log.info("acceptor stopped", extra={"left": sum(t.is_alive() for t in threads.values())})

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                if error.errno in _EXHAUSTED:
                    # The connection stays in the backlog: without a pause this would spin.
                    self._note_overrun(f"out of descriptors or buffers: {errno.errorcode[error.errno]}")
                    self._stopping.wait(_EXHAUSTED_SECONDS)
                continue
            self._welcome(connection, peer)

    def _welcome(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        """Start a thread for a connection, or close it where there are far too many."""
        settings = self._settings
        with self._lock:
            of_address = sum(1 for address in self._present.values() if address == peer[0])
            full = (
                len(self._present) >= settings.maximum_associations
                or of_address >= settings.maximum_per_address
            )
            # Threads that only wait for their peer to close count here, though no longer as present.
            too_many = len(self._threads) >= 2 * settings.maximum_associations + _MOST_REJECTIONS
            if too_many or (full and len(self._rejecting) >= _MOST_REJECTIONS):
                self._note_overrun("too many connections")
                connection.close()
                return
            self._overrun = False
            if full:
                timeout = min(settings.association_timeout, _REJECTION_TIMEOUT)
                settings = replace(settings, association_timeout=timeout)
            association = Association(
                Connection(connection, peer),
                settings,
                admit=_reject if full else self._admit,
                open_instance=self._open_instance,
                ended=self._ended,
                turned_away=self._turned_away,
                leave=self._leave,
                take_report=self._take_report,
            )
            thread = threading.Thread(
                target=self._serve,
                args=(association,),
                name=f"association-{association.association_id}",
                daemon=True,
            )
            self._threads[association] = thread
            if full:
                self._rejecting.add(association)
            else:
                self._present[association] = peer[0]
        try:
            thread.start()
        except RuntimeError:
            self._note_overrun("no thread could be started")
            connection.close()
            self._forget(association)

    def _serve(self, association: Association) -> None:
        try:
            association.serve()
        finally:
            self._forget(association)

    def _leave(self, association: Association) -> None:
        with self._lock:
            self._present.pop(association, None)
            self._rejecting.discard(association)

    def _forget(self, association: Association) -> None:
        self._leave(association)
        with self._lock:
            self._threads.pop(association, None)

    def _note_overrun(self, reason: str) -> None:
        """One line when it begins, not one a connection."""
        if not self._overrun:
            _log.warning("connections turned away", extra={"reason": reason})
        self._overrun = True


def _reject(_: AssociationRequest) -> Rejection:
    return LOCAL_LIMIT_EXCEEDED


def _join(threads: Iterable[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))

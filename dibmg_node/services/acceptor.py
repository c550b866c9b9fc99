"""The acceptor: one listening socket, one thread a connection, limits, drain."""

from __future__ import annotations

from dibmg_node.services.wire import AcceptorSettings, Admit, Ended, OpenInstance


class Acceptor:
    """Accepts associations and gives each a thread of its own."""

    paused: bool

    def __init__(
        self, settings: AcceptorSettings, *, admit: Admit, open_instance: OpenInstance, ended: Ended
    ) -> None: ...

    @property
    def port(self) -> int:
        """The port that is listened on."""
        raise NotImplementedError

    def start(self) -> None:
        """Listen, and accept associations from now on."""

    def stop(self, drain_seconds: float) -> None:
        """Stop listening; messages on the way have this long to be finished."""

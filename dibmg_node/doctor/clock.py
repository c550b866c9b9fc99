"""The clock: kept by somebody, not behind what was entered already, and that of the peers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.doctor.stores import node_ledger
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.errors import PeerUnavailableError
from dibmg_node.services.deadline import Deadline
from dibmg_node.services.exchange import Request, exchange
from dibmg_node.wiring import foundation
from dibmg_node.wiring.destinations import open_web_service

_BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""This program is younger."""
_TOLERABLE: Final = timedelta(seconds=5)
_WRONG: Final = timedelta(minutes=2)
_ANSWER_SECONDS: Final = 10.0
_UNSYNCHRONIZED: Final = 5
"""TIME_ERROR of adjtimex(2)."""
_NTP: Final = "set up chrony or systemd-timesyncd with the time server of the PACS"


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at the clock of this machine."""
    now = foundation.now()
    yield _judge_kernel()
    zone = now.astimezone().strftime("%Z, UTC%z")
    yield well("time zone", f"{zone}; ledger and logs are in UTC, results in this zone")
    ledger = node_ledger(settings)
    newest = None
    if ledger is not None:
        newest = max(ledger.views.last_received().values(), default=None)
        ledger.engine.dispose()
    yield judge_history(now, newest)
    for destination in settings.destination:
        if destination.url is not None:
            service = open_web_service(settings, destination, destination.url, foundation.now)
            try:
                with Deadline(_ANSWER_SECONDS) as deadline:
                    date = exchange(Request("GET", destination.url), service.tls, deadline, now).date
            except PeerUnavailableError:
                continue  # whether it answers is told elsewhere
            if date is not None:
                yield judge_peer(destination.name, foundation.now(), date)


def judge_history(now: datetime, newest: datetime | None) -> Verdict:
    """Whether time has gone on since the last image, and since this program was made.

    Args:
        now: By this machine's clock.
        newest: When the last image came, by the ledger.
    """
    latest = max(_BUILT, newest or _BUILT)
    expected = f"not before {latest:%Y-%m-%d %H:%M:%S} UTC"
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < latest - _TOLERABLE:
        return bad("clock", found, expected, f"set the clock, and {_NTP}")
    return well("clock", found, expected)


def judge_peer(name: str, now: datetime, date: datetime) -> Verdict:
    """Whether a peer has the same time.

    Args:
        name: Of the destination.
        now: By this machine's clock.
        date: By the peer's, whole seconds.
    """
    off = (now - date).total_seconds()
    check, found = f"clock of {name}", f"this machine is {off:+.0f} s off"
    expected = f"within {_TOLERABLE.total_seconds():.0f} s"
    if abs(off) > _WRONG.total_seconds():
        return bad(check, found, expected, f"{_NTP}; tokens and certificates depend on the time")
    if abs(off) > _TOLERABLE.total_seconds():
        return doubtful(check, found, expected, _NTP)
    return well(check, found, expected)


def _judge_kernel() -> Verdict:
    """Whether the kernel knows of somebody who keeps its clock. Source: adjtimex(2)."""
    buffer = ctypes.create_string_buffer(512)  # struct timex; its first member, modes, is 0: only asked
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    expected = "a clock that is kept by NTP"
    if state == _UNSYNCHRONIZED or state < 0:
        return doubtful("time service", "none keeps the clock of this kernel", expected, _NTP)
    return well("time service", "keeps the clock of this kernel", expected)

"""The roll call: which processes there should be, on whichever machine, and which of them live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.machine.confinement import NETWORK_OPEN
from dibmg_node.machine.processes import is_alive, process_name
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import NodeEntry, is_silent, node_of
from dibmg_node.wiring.role_choice import NEEDED, Role

_CLOCK_ALARM: Final = timedelta(seconds=2)
"""Leases of a node whose clock is this far off still hold; twenty seconds and they would not."""


@dataclass
class RollCall:
    """What was found.

    Attributes:
        processes: One row for each that should be there.
        nodes: One row for each node that is up, or ended without a word.
        down: Why nothing can be received.
        degraded: What else is wrong.
    """

    processes: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    down: list[str] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)


def call_roll(ledger: Ledger, node: str, roles: Sequence[str], now: datetime) -> RollCall:
    """Look for every process of every node that shares the ledger.

    Args:
        ledger: Of the nodes.
        node: The one that asks: it alone can look at its processes.
        roles: What that one does, where no node is up at all.
        now: The time.
    """
    roll = RollCall()
    entries = ledger.nodes.all()
    beats = {beat.process: beat for beat in ledger.views.beats()}
    expected = {process_name(role, one.name): role for one in entries for role in one.roles}
    known = {one.name for one in entries}
    # of a node that came up before nodes were entered there are signs of life alone
    expected |= {process: process.partition("@")[0] for process in beats if node_of(process) not in known}
    if not entries:
        expected |= {process_name(role, node): role for role in roles}
    several = len({node_of(process) for process in expected}) > 1
    receiving = False
    for process, role in sorted(expected.items()):
        beat = beats.get(process)
        alive = (
            beat is not None
            and not is_silent(beat.at, now)
            and is_alive(process, beat.pid, node) is not False
        )
        if not alive:
            told = f"{role} does not run" + (f" on {node_of(process)}" if several else "")
            # one of several that receive may be missed, the only one not
            (roll.down if role == Role.INTAKE and not several else roll.degraded).append(told)
        receiving |= alive and role == Role.INTAKE
        if beat is not None and alive and NETWORK_OPEN in beat.detail:
            roll.degraded.append("the model process could not be cut off from the network")
        roll.processes.append(
            {
                "process": process,
                "alive": alive,
                "pid": beat.pid if beat and alive else None,
                "since": beat.since if beat and alive else None,
                "detail": beat.detail if beat and alive else "",
            }
        )
    if not receiving and not roll.down:
        roll.down.append("intake runs on no node")
    there = set(expected.values())
    roll.degraded += [
        f"{role} runs on no node" for role in NEEDED if role not in there and role != Role.INTAKE
    ]
    roll.nodes = [_row(one, now) for one in entries]
    _look_at_clock(ledger, now, roll)
    return roll


def _row(one: NodeEntry, now: datetime) -> dict[str, Any]:
    return {
        "name": one.name,
        "alive": not one.is_silent(now),
        "roles": list(one.roles),
        "program": one.program,
        "since": one.since,
        "at": one.at,
    }


def _look_at_clock(ledger: Ledger, now: datetime, roll: RollCall) -> None:
    there = ledger.marks.server_time()
    if there is not None and abs(there - now) > _CLOCK_ALARM:
        seconds = (now - there).total_seconds()
        roll.degraded.append(f"the clock of this machine is {seconds:+.1f} s off that of the ledger's server")

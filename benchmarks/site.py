"""A node as a user runs it, and the PACS that it delivers to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from benchmarks.arguments import Chosen
from benchmarks.family import family
from benchmarks.receivers import Program, dcmtk
from benchmarks.sending import Flow, Template, send_all, study_uid
from benchmarks.weights import paper_weights
from dibmg_node.storage.views import Views
from tests.flow.running_node import RunningNode

RESULTS_OF_AN_EXAM: Final = 5
"""A CAD SR and four overlays: what the shipped configuration sends."""
_PDU: Final = 131072
_PATIENCE: Final = 300
_MARKS: Final = {
    "broker": "broker",
    "valkey": "broker",
    "--multiprocessing-fork": "model",
    "resource_tracker": "tracker",
}
"""What the command lines of processes have in them that give no sign of life."""


@dataclass(frozen=True)
class Site:
    """A running node and its PACS, DCMTK's storescp, which keeps what it gets as files.

    Attributes:
        views: The node's ledger, to look into.
        numbers: Of studies that were not sent yet.
    """

    node: RunningNode
    pacs: Program
    views: Views
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def pid(self) -> int:
        """Of the node; all of it is below this process."""
        assert self.node.process is not None
        return self.node.process.pid

    def processes(self) -> dict[int, str]:
        """What each process of the node does."""
        roles = {beat.pid: beat.process.partition("@")[0] for beat in self.views.beats()}
        return {pid: roles.get(pid) or _part(pid) for pid in family(self.pid)} | {self.pid: "supervisor"}

    def send(self, exam: list[Template], flows: list[Flow]) -> None:
        """Send studies; each must be answered with Success."""
        send_all(self.node.port, "DIBMG", exam, flows, _PDU)

    def files(self) -> Mapping[str, Path]:
        """What the PACS has, by SOP Instance UID: storescp names files by modality and UID."""
        return {path.name.partition(".")[2]: path for path in self.pacs.folder.iterdir()}

    def wait_for_files(self, number: int) -> None:
        """Return when the PACS has so many files, whole or not.

        Raises:
            RuntimeError: It has fewer, and for minutes nothing came.
        """
        there, moved = 0, time.monotonic()
        while there < number:
            found = sum(1 for _ in self.pacs.folder.iterdir())
            if found > there:
                there, moved = found, time.monotonic()
            if time.monotonic() - moved > _PATIENCE:
                states = self.views.count_by_state()
                raise RuntimeError(f"the PACS has {there} results, expected {number}; studies: {states}")
            time.sleep(0.01 if number < 1000 else 0.2)

    def delivered(self, number: int) -> dict[str, Any]:
        """The study of a number as soon as all of its results are delivered.

        Raises:
            RuntimeError: They are not within minutes.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            study = self.views.study(study_uid(number))
            if study is not None and study["state"] == "DELIVERED":
                return study
            if time.monotonic() > deadline:
                raise RuntimeError(f"study {number} is {study and study['state']}, expected DELIVERED")
            time.sleep(0.02)


@contextmanager
def running_site(folder: Path, chosen: Chosen, size: int) -> Iterator[Site]:
    """A site whose node reads with the paper's preset at this input size."""
    weights = paper_weights(size, chosen.weights)
    with dcmtk(folder / "pacs") as pacs:
        node = RunningNode(
            folder / "node", {"pacs": pacs.port}, weights=str(weights), precision=chosen.precision.value
        ).start()
        try:
            yield Site(node, pacs, node.views)
        finally:
            node.stop()


def _part(pid: int) -> str:
    command = ""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return next((part for mark, part in _MARKS.items() if mark in command), "other")

"""Receiving: the node's intake beside DCMTK, Orthanc and the limit of loopback and disk.

python -m benchmarks.receiving [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import Chosen, command
from benchmarks.exams import SMALL, templates, write_exam
from benchmarks.family import family_cpu_seconds, resident_mb
from benchmarks.idle import idle_share
from benchmarks.receivers import Node, OrthancReceiver, Receiver, dcmtk, limit
from benchmarks.rounds import Figures, interleave, medians, ratio
from benchmarks.sending import Flow, Template, send_all

_ASSOCIATIONS = (1, 4, 16)
_PDUS = {"16 KiB": 16384, "128 KiB": 131072}
_EXAMS = {1: 2, 4: 4, 16: 16}
"""Exams of each measurement, by the associations that share them."""


def receive(
    receiver: Receiver,
    exam: Sequence[Template],
    associations: int,
    exams: int,
    pdu_length: int,
    numbers: Iterator[int],
) -> Figures:
    """One measurement: exams over some associations at once."""
    flows = [Flow([next(numbers) for _ in range(exams // associations)]) for _ in range(associations)]
    before = family_cpu_seconds(receiver.pid())
    seconds = send_all(receiver.port, receiver.called, exam, flows, pdu_length)
    used = family_cpu_seconds(receiver.pid()) - before
    receiver.forget()
    sent = sum(len(flow.studies) for flow in flows) * sum(len(image.content) for image in exam)
    p50, p95, p99 = np.percentile([one for flow in flows for one in flow.seconds], (50, 95, 99))
    return {
        "mb_per_s": sent / 1e6 / seconds,
        "cpu_s_per_gb": used / (sent / 1e9),
        "p50_s": float(p50),
        "p95_s": float(p95),
        "p99_s": float(p99),
    }


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """All of it: by PDU length and number of associations, each receiver's medians and ratios."""
    exam = templates(write_exam(folder / "exam", grid=(832, 640) if chosen.short else SMALL))
    numbers = count(1)
    tables: dict[str, Any] = {}
    with ExitStack() as stack:
        node = stack.enter_context(Node(folder / "node"))
        receivers: dict[str, Receiver] = {
            "node": node,
            "DCMTK": stack.enter_context(dcmtk(folder / "dcmtk")),
            "Orthanc": stack.enter_context(OrthancReceiver(folder / "orthanc")),
            "limit": stack.enter_context(limit(folder / "limit")),
        }
        for words, pdu_length in _PDUS.items():
            for associations in _ASSOCIATIONS:
                exams = associations if chosen.short else _EXAMS[associations]
                turn: dict[str, Callable[[], Figures]] = {
                    name: partial(receive, one, exam, associations, exams, pdu_length, numbers)
                    for name, one in receivers.items()
                }
                rows = interleave(turn, chosen.rounds)
                tables[f"{words}, {associations}"] = {
                    name: {**medians(rows[name]), "node_of_it": ratio(rows["node"], rows[name], "mb_per_s")}
                    for name in rows
                }
        return {
            "image_mb": round(len(exam[0].content) / 1e6, 1),
            "rounds": chosen.rounds,
            "by_pdu_and_associations": tables,
            "node_rss_mb": round(resident_mb(node.pid())),
            "idle_64_share_of_core": idle_share(node, seconds=1 if chosen.short else 20),
        }


if __name__ == "__main__":
    command("receiving", __doc__, measure)

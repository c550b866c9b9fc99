"""Receiving: the node's intake beside DCMTK, Orthanc and the limit of loopback and disk.

python -m benchmarks.receiving [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import arguments
from benchmarks.exams import SMALL, view_pixels
from benchmarks.idle import idle_share
from benchmarks.machine import cpu_seconds, resident_mib
from benchmarks.receivers import Node, OrthancReceiver, Receiver, dcmtk, limit
from benchmarks.rounds import Figures, interleave, keep, medians, ratio
from benchmarks.sending import Flow, Template, send_all, uid
from tests.factories import R_CC, data_set_bytes, mammogram

_ASSOCIATIONS = (1, 4, 16)
_PDUS = {"16 KiB": 16384, "128 KiB": 131072}
_EXAMS = {1: 3, 4: 6, 16: 16}
"""Exams of each measurement, by the associations that share them."""


def template(grid: tuple[int, int]) -> Template:
    """A mammogram of which others are made."""
    image = mammogram(
        R_CC, study_uid=uid(0, 0), SOPInstanceUID=uid(0, 1), pixels=view_pixels(R_CC, grid, seed=1)
    )
    content = data_set_bytes(image)
    return Template(content, len(content) - grid[0] * grid[1] * 2)


def receive(
    receiver: Receiver,
    image: Template,
    associations: int,
    exams: int,
    pdu_length: int,
    numbers: Iterator[int],
) -> Figures:
    """One measurement: exams over some associations at once."""
    flows = [Flow([next(numbers) for _ in range(exams // associations)]) for _ in range(associations)]
    before = cpu_seconds(receiver.pid())
    seconds = send_all(receiver.port, receiver.called, image, flows, pdu_length)
    used = cpu_seconds(receiver.pid()) - before
    receiver.forget()
    sent = sum(len(flow.studies) for flow in flows) * 4 * len(image.content)
    p50, p95, p99 = np.percentile([one for flow in flows for one in flow.seconds], (50, 95, 99))
    return {
        "mb_per_s": sent / 1e6 / seconds,
        "cpu_s_per_gb": used / (sent / 1e9),
        "p50_s": float(p50),
        "p95_s": float(p95),
        "p99_s": float(p99),
    }


def measure(folder: Path, rounds: int, short: bool) -> dict[str, Any]:
    """All of it: by PDU length and number of associations, each receiver's medians and ratios."""
    image = template((832, 640) if short else SMALL)
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
                exams = associations if short else _EXAMS[associations]
                turn: dict[str, Callable[[], Figures]] = {
                    name: partial(receive, one, image, associations, exams, pdu_length, numbers)
                    for name, one in receivers.items()
                }
                rows = interleave(turn, rounds)
                tables[f"{words}, {associations}"] = {
                    name: {**medians(rows[name]), "of_dcmtk": ratio(rows[name], rows["DCMTK"], "mb_per_s")}
                    for name in rows
                } | {"node_of_orthanc": ratio(rows["node"], rows["Orthanc"], "mb_per_s")}
        return {
            "image_mb": round(len(image.content) / 1e6, 1),
            "rounds": rounds,
            "by_pdu_and_associations": tables,
            "node_rss_mib": round(resident_mib(node.pid())),
            "idle_64_share_of_core": idle_share(node, seconds=2 if short else 20),
        }


def main() -> None:
    """The command."""
    chosen = arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="dibmg-receiving-") as folder:
        print(keep("receiving", measure(Path(folder), chosen.rounds, chosen.short), chosen.out))


if __name__ == "__main__":
    main()

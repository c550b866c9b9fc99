"""One exam: from the response to its fourth C-STORE until the PACS has stored its last result, split by step.

python -m benchmarks.one_exam [--rounds 5] [--short] [--out FOLDER]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from benchmarks.arguments import arguments
from benchmarks.exams import LARGE, SYNTAXES, write_exam
from benchmarks.machine import cpu_seconds, resident_mib
from benchmarks.rounds import Figures, interleave, keep, medians
from benchmarks.weights import paper_weights
from dibmg_node.dicom import facts
from tests.flow.running_node import RunningNode

_RESULTS = (facts.MAMMOGRAPHY_CAD_SR, facts.SECONDARY_CAPTURE)
_FULL_SET = 5
"""A CAD SR and four overlays: what the shipped configuration sends."""
_PATIENCE = 300


class RecordingPacs:
    """A storage SCP that remembers when it answered: all that it does with a result is to keep it."""

    def __init__(self) -> None:
        self.stored: dict[str, list[float]] = {}
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[RecordingPacs]:
        """From the first association to the last."""
        ae = AE("ANY")
        for uid in _RESULTS:
            ae.add_supported_context(uid, ALL_TRANSFER_SYNTAXES)
        handlers = [(evt.EVT_C_STORE, self._store)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = server.server_address[1]
        try:
            yield self
        finally:
            server.shutdown()

    def _store(self, event: evt.Event) -> int:
        study_uid = str(event.dataset.StudyInstanceUID)
        self.stored.setdefault(study_uid, []).append(time.monotonic())
        return 0x0000

    def wait_for(self, study_uid: str) -> float:
        """Moment of the last result of a study."""
        deadline = time.monotonic() + _PATIENCE
        while len(self.stored.get(study_uid, ())) < _FULL_SET:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the PACS has {len(self.stored.get(study_uid, ()))} results of a study")
            time.sleep(0.002)
        return max(self.stored[study_uid])


def one_exam(
    node: RunningNode,
    pacs: RecordingPacs,
    folder: Path,
    syntax: str,
    grid: tuple[int, int],
    numbers: Iterator[int],
) -> Figures:
    """Send one exam and wait for its results."""
    assert node.process is not None
    number = next(numbers)
    study_uid = f"1.2.826.0.1.3680043.10.9.6.{number}"
    paths = write_exam(folder / str(number), study_uid, syntax, grid, seed=number)
    before = cpu_seconds(node.process.pid)
    node.send(paths, *_OPTIONS[syntax])
    sent = time.monotonic()
    seconds = pacs.wait_for(study_uid) - sent
    study = node.wait_for_state(study_uid, "DELIVERED")
    used = cpu_seconds(node.process.pid) - before
    steps = {f"{step}_s": float(value) for step, value in study["reading"]["seconds"].items()}
    return {"seconds": seconds, "cpu_s": used, **steps}


# what storescu proposes, so that the files go as they are
_OPTIONS = {
    "uncompressed": ["-xe"],
    "RLE": ["-xr"],
    "JPEG Lossless .70": ["-xs"],
    "JPEG-LS .80": ["-xt"],
    "JPEG 2000 .90": ["-xv"],
}


def measure(folder: Path, rounds: int, short: bool) -> dict[str, Any]:
    """Medians by syntax, and the first exam after the start."""
    size, grid = (256, (832, 640)) if short else (1600, LARGE)
    weights = paper_weights(folder / "weights", size)
    numbers = count(1)
    pacs = RecordingPacs()
    with pacs.running():
        node = RunningNode(folder / "node", {"pacs": pacs.port}, weights=str(weights)).start()
        try:
            go = partial(one_exam, node, pacs, folder / "exams")
            cold = go("uncompressed", grid, numbers)
            turns: dict[str, Callable[[], Figures]] = {
                syntax: partial(go, syntax, grid, numbers) for syntax in SYNTAXES
            }
            rows = interleave(turns, rounds)
            beats = {beat.process: resident_mib(beat.pid) for beat in node.views.beats()}
        finally:
            node.stop()
    return {
        "grid": grid,
        "input_size": size,
        "rounds": rounds,
        "cold": cold,
        "warm": {syntax: medians(rows[syntax]) for syntax in rows},
        "resident_mib": {name: round(value) for name, value in beats.items()},
    }


def main() -> None:
    """The command."""
    chosen = arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="dibmg-exam-") as folder:
        print(keep("one-exam", measure(Path(folder), chosen.rounds, chosen.short), chosen.out))


if __name__ == "__main__":
    main()

"""Soak: many associations of every kind against the real intake process; what it holds stays flat.

make soak            # 10,000 associations
make soak N=500
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.factories import R_CC, data_set_bytes, mammogram
from tests.faults.receiving_processes import ReceivingProcesses
from tests.services.wire_peers import RawPeer, associate_rq, echo_command, pdu, pdv, store_command

MOST_GROWTH_MIB = 16
_SAMPLES = 20
_LEFT_TO_CLOSE = 120
_WARM_UP = 100
_POOLED = 4
"""Descriptors: the ledger's pool may hold a connection more, when two associations meet."""


@dataclass(frozen=True)
class Sample:
    """What the intake process holds after a number of associations."""

    associations: int
    rss_mib: int
    threads: int
    descriptors: int


def _store(node: ReceivingProcesses, number: int) -> None:
    study_uid = f"1.2.3.{number}"
    uid = f"{study_uid}.1"
    content = data_set_bytes(mammogram(R_CC, study_uid=study_uid, SOPInstanceUID=uid))
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, 3, store_command(sop_instance=uid)) + pdv(3, 2, content)))
        _expect(peer.status(), 0)
        peer.release()


def _store_again(node: ReceivingProcesses, number: int) -> None:
    _store(node, number - number % len(_KINDS))


def _abort(node: ReceivingProcesses, number: int) -> None:
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, 3, store_command()) + pdv(3, 0, bytes(30_000))), pdu(7, bytes(4)))
        _expect(peer.read_pdu()[0], 0)


def _echo(node: ReceivingProcesses, number: int) -> None:
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(1, 3, echo_command())))
        _expect(peer.status(), 0)
        peer.release()


def _break(node: ReceivingProcesses, number: int) -> None:
    with node.peer() as peer:
        peer.associate()
        peer.send(b"\xff" * 100)
        _expect(peer.read_pdu()[0], 7)


def _stranger(node: ReceivingProcesses, number: int) -> None:
    with node.peer() as peer:
        peer.send(associate_rq(called=b"OTHER"))
        _expect(peer.read_pdu()[0], 3)


def _vanish(node: ReceivingProcesses, number: int) -> None:
    with node.peer() as peer:
        peer.associate()
        peer.send(pdu(4, pdv(3, 3, store_command()) + pdv(3, 0, bytes(30_000))))


_KINDS: tuple[Callable[[ReceivingProcesses, int], None], ...] = (
    _store,
    _store_again,
    _abort,
    _echo,
    _break,
    _stranger,
    _vanish,
)


def soak(folder: Path, associations: int, samples: int = _SAMPLES) -> Iterator[Sample]:
    """Samples along the way; the first one after the warm-up, a tenth of the associations."""
    with ReceivingProcesses(folder) as node:
        warm = max(associations // 10, min(_WARM_UP, associations // 2))
        step = max(1, associations // samples)
        with node.peer() as witness:
            witness.associate()
            for number in range(associations):
                _KINDS[number % len(_KINDS)](node, number)
                if number % 20 == 0:
                    _keep(witness)
                if number >= warm and (number - warm) % step == 0:
                    yield _sample(node, number)
            yield _sample(node, associations)


def grown(samples: list[Sample]) -> list[str]:
    """What did not stay flat, in words."""
    first, last = samples[0], samples[-1]
    complaints = []
    if last.rss_mib - first.rss_mib > MOST_GROWTH_MIB:
        complaints.append(f"resident memory grew from {first.rss_mib} to {last.rss_mib} MiB")
    if last.threads > first.threads:
        complaints.append(f"threads grew from {first.threads} to {last.threads}")
    if last.descriptors > first.descriptors + _POOLED:
        complaints.append(f"descriptors grew from {first.descriptors} to {last.descriptors}")
    return complaints


def _keep(witness: RawPeer) -> None:
    """One association lives through all of it."""
    witness.send(pdu(4, pdv(1, 3, echo_command())))
    _expect(witness.status(), 0)


def _sample(node: ReceivingProcesses, associations: int) -> Sample:
    """Once the connections that are still closing are closed: their threads wait for the peer's end."""
    deadline = time.monotonic() + _LEFT_TO_CLOSE
    threads = node.threads()
    while time.monotonic() < deadline:
        time.sleep(1.2)
        if node.threads() == threads:
            break
        threads = node.threads()
    return Sample(associations, node.memory("VmRSS"), threads, node.descriptors())


def _expect(found: int, expected: int) -> None:
    if found != expected:
        raise SystemExit(f"answered {found}, expected {expected}")


def main() -> None:
    """Run, print one line a sample, and fail where something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--associations", type=int, default=10_000)
    associations = parser.parse_args().associations
    began = time.monotonic()
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for sample in soak(Path(folder), associations):
            samples.append(sample)
            print(json.dumps(asdict(sample)), flush=True)
    complaints = grown(samples)
    print(
        f"{associations} associations in {time.monotonic() - began:.0f} s: {'; '.join(complaints) or 'flat'}"
    )
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()

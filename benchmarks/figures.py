"""Which figures the table tells: where each stands, beside what, what is aimed at, and what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.exams import SYNTAXES, SYNTAXES_APART, SYNTAXES_OF_A_DAY
from benchmarks.row import Aim, Row

_OF_DCMTK: Final = {"1": 1.2, "4": 0.9, "16": 0.6}
_BESIDE: Final = {
    "DCMTK": "storescp syncs nothing, keeps no ledger and forks for each association",
    "Orthanc": "Orthanc parses each data set whole and indexes it; it syncs as the node does",
    "limit": "negotiation, commands, CRC-32, header, rename, the folder's fsync and the ledger's commit",
}


def rows() -> Iterator[Row]:
    """All lines, in order."""
    yield from _receiving()
    yield from _decoding()
    yield from _network()
    yield from _one_exam("one-exam", "f32")
    yield from _one_exam("one-exam-bf16", "bf16")
    yield from _worker()
    yield from _day("day", "f32")
    yield from _day("day-bf16", "bf16")
    yield from _training()


def _receiving() -> Iterator[Row]:
    base = "by_pdu_and_associations"
    for pdu, peers in (("128 KiB", _BESIDE), ("16 KiB", {"DCMTK": "PDU headers: eight times as many"})):
        for associations, least in _OF_DCMTK.items():
            key = f"{pdu}, {associations}"
            for peer, apart in peers.items():
                aims = {"DCMTK": Aim(least, of_ratio=True), "Orthanc": Aim(2.0, of_ratio=True)}
                yield Row(
                    f"receiving, {associations} at once, PDU {pdu}",
                    "receiving",
                    (base, key, "node", "mb_per_s"),
                    "MB/s",
                    "loopback and fsync alone" if peer == "limit" else peer,
                    (base, key, peer, "mb_per_s"),
                    (base, key, peer, "node_of_it"),
                    aims.get(peer) if pdu == "128 KiB" else None,
                    apart,
                )
    for what, place, key, unit, apart in (
        ("CPU of a GB, 1 at once", "128 KiB, 1", "cpu_s_per_gb", "s", "CRC-32, fsync and commits"),
        ("p99 of an image, 16 at once", "128 KiB, 16", "p99_s", "s", "each image waits for fsync and commit"),
    ):
        yield Row(
            f"receiving, {what}",
            "receiving",
            (base, place, "node", key),
            unit,
            "DCMTK",
            (base, place, "DCMTK", key),
            apart=apart,
        )
    yield Row(
        "64 idle associations, of a core",
        "receiving",
        ("idle_64_share_of_core",),
        "%",
        aim=Aim(2.0, at_least=False),
        apart="signs of life, once in five seconds; threads that wait cost nothing",
        scale=100.0,
    )
    yield Row(
        "resident memory of the intake",
        "receiving",
        ("node_rss_mb",),
        "MB",
        aim=Aim(150.0, at_least=False),
        apart="Python and its libraries; an association holds a buffer of 1 MiB",
    )


def _decoding() -> Iterator[Row]:
    for syntax in SYNTAXES:
        place = ("by_syntax", syntax)
        yield Row(
            f"decoding an image, {syntax}, CPU",
            "decoding",
            (*place, "node", "cpu_s"),
            "ms",
            "pydicom's choice",
            (*place, "pydicom", "cpu_s"),
            (*place, "node_of_pydicom"),
            apart="the codec, where it is another one",
            scale=1e3,
        )
        yield Row(
            f"decoding four views at once, {syntax}",
            "decoding",
            (*place, "exam, four at once", "wall_s"),
            "ms",
            "one after the other",
            (*place, "exam, one by one", "wall_s"),
            apart="the number of cores",
            scale=1e3,
        )
    yield Row(
        "decoding an image, JPEG 2000 .90 to half of its size, CPU",
        "decoding",
        ("by_syntax", "JPEG 2000 .90", "node, at half its size", "cpu_s"),
        "ms",
        "all of it",
        ("by_syntax", "JPEG 2000 .90", "node", "cpu_s"),
        apart="its finest details are left out: what network and overlay use of large images",
        scale=1e3,
    )
    yield Row(
        "decoding four views at once, JPEG 2000 .90 to half of its size",
        "decoding",
        ("by_syntax", "JPEG 2000 .90", "exam, four at once, at half its size", "wall_s"),
        "ms",
        "all of them",
        ("by_syntax", "JPEG 2000 .90", "exam, four at once", "wall_s"),
        apart="Pillow lets no two threads decode at once",
        scale=1e3,
    )
    yield Row(
        "resizing and window to 1600, CPU",
        "decoding",
        ("preprocess", "cpu_s"),
        "ms",
        apart="every pixel is read once by the area resize",
        scale=1e3,
    )


def _network() -> Iterator[Row]:
    runtimes = {"openvino bf16": 0.80, "openvino f32": 0.85, "tensorflow f32": None}
    for weights in ("paper", "default"):
        for runtime, least in runtimes.items():
            place = ("by_weights", weights)
            peak = f"peak {runtime.split()[1]}"
            yield Row(
                f"network, {weights}, {runtime}",
                "network",
                (*place, runtime, "exams_per_s"),
                "exams/s",
                f"{peak} of the cores",
                (*place, peak, "exams_per_s"),
                (*place, "of_peak", runtime),
                None if least is None or weights != "paper" else Aim(least, of_ratio=True),
                "convolutions of few channels, pools, sums, copies between layers",
            )


def _one_exam(file: str, precision: str) -> Iterator[Row]:
    longest = {"uncompressed": 2.0, "JPEG Lossless .70": 2.0, "JPEG 2000 .90": 3.5}
    for syntax in SYNTAXES:
        place = ("warm", syntax)
        most = longest.get(syntax)
        yield Row(
            f"one exam, {precision}, warm, {syntax}",
            file,
            (*place, "wall_s"),
            "s",
            "decoding, resizing, network alone",
            (*place, "needed", "wall_s"),
            (*place, "times_needed"),
            None if most is None else Aim(most, at_least=False),
            "SHA-256, the model's process, report and overlays, ledger, delivery",
        )
        yield Row(
            f"{precision}, of its CPU time neither decoding, resizing nor network, {syntax}",
            file,
            (*place, "other_of_cpu"),
            "%",
            aim=None if most is None else Aim(30.0, at_least=False),
            apart="receiving, SHA-256, overlays, report, ledger, delivery; every process's signs of life",
            scale=100.0,
        )
    for syntax in SYNTAXES_APART:
        yield Row(
            f"one exam, {precision}, warm, {syntax}, views two seconds apart",
            file,
            ("apart", syntax, "wall_s"),
            "s",
            apart="the last view is decoded, the network and what comes after it",
        )
    yield Row(
        f"one exam, {precision}, cold, uncompressed",
        file,
        ("cold", "wall_s"),
        "s",
        apart="first use of everything",
    )


def _worker() -> Iterator[Row]:
    yield Row(
        "an analysis worker until it is warm",
        "one-exam",
        ("worker_start_s",),
        "s",
        aim=Aim(3.0, at_least=False),
        apart="imports of two processes, one after the other, and compiling the network",
    )
    for when, key, apart in (
        ("between two exams", "worker_mb", "two processes: the worker, and the model"),
        ("at its most", "worker_peak_mb", "two processes: the worker, and the model with an exam's pixels"),
    ):
        yield Row(
            f"resident memory of an analysis worker, {when}",
            "one-exam",
            (key,),
            "MB",
            aim=Aim(700.0, at_least=False),
            apart=apart,
        )


def _day(file: str, precision: str) -> Iterator[Row]:
    for syntax in SYNTAXES_OF_A_DAY:
        place = ("by_syntax", syntax)
        yield Row(
            f"a day, {precision}, {syntax}",
            file,
            (*place, "exams_per_s"),
            "exams/s",
            "the model's process alone, on all cores",
            (*place, "limit_exams_per_s"),
            (*place, "of_limit"),
            Aim(1.0),
            "the CPU of the other processes, and the time in which the model waits for them",
        )
        yield Row(
            f"a day, {precision}, {syntax}: oldest exam in the queue",
            file,
            (*place, "queue_age", "max_s"),
            "s",
            apart="a burst is sent faster than it is read",
        )
        yield Row(
            f"a day, {precision}, {syntax}: memory of all processes, last third",
            file,
            (*place, "memory", "all", "last_third_mb"),
            "MB",
            "first third",
            (*place, "memory", "all", "first_third_mb"),
            (*place, "growth"),
            Aim(1.05, at_least=False, of_ratio=True),
            "pools that fill up to their size",
        )
        yield Row(
            f"a day, {precision}, {syntax}: results lost",
            file,
            (*place, "results_lost"),
            "",
            aim=Aim(0.0, at_least=False),
        )


def _training() -> Iterator[Row]:
    for size in ("512", "1600"):
        place = ("by_input_size", size)
        yield Row(
            f"training at {size}",
            "training",
            (*place, "train", "exams_per_s"),
            "exams/s",
            "forward and backward pass alone",
            (*place, "forward and backward", "exams_per_s"),
            (*place, "train_of_limit"),
            apart="losses, the optimizer's step, and copying a minibatch",
        )
        for name, words, ratio in (
            ("input", "its input alone", "input_of_train"),
            ("input, every change", "its input alone, with every augmentation", "everything_of_train"),
        ):
            yield Row(
                f"training at {size}, {words}",
                "training",
                (*place, name, "exams_per_s"),
                "exams/s",
                "training",
                (*place, "train", "exams_per_s"),
                (*place, ratio),
                Aim(1.0, of_ratio=True),
                "the input is made ahead, by two threads",
            )

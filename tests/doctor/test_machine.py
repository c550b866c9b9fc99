from __future__ import annotations

from pathlib import Path

import pytest

from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg_node.doctor.machine import (
    judge_encoding,
    judge_files,
    judge_memory,
    judge_processor,
    judge_umask,
    judge_user,
    memory_limit,
    open_files,
)
from dibmg_node.doctor.model import judge_devices
from dibmg_node.doctor.verdict import Level

_LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max processes             94096                94096                processes
Max open files            {soft:<20} 1048576              files
"""


@pytest.mark.parametrize(
    ("flags", "precision", "level"),
    [
        ("sse4_2 avx", Precision.F32, Level.WARNING),
        ("avx avx2", Precision.F32, Level.OK),
        ("avx avx2", Precision.BF16, Level.WARNING),
        ("avx2 amx_bf16", Precision.BF16, Level.OK),
        ("avx2 avx512_bf16", Precision.BF16, Level.OK),
    ],
)
def test_the_processor_is_held_against_the_precision(flags: str, precision: Precision, level: Level) -> None:
    cpuinfo = f"processor\t: 0\nflags\t\t: fpu vme {flags}\nbugs\t\t: none\n"

    assert judge_processor(cpuinfo, precision).level is level


def test_a_processor_of_arm_is_no_old_one() -> None:
    assert judge_processor("Features\t: fp asimd\n", Precision.F32).level is Level.OK


@pytest.mark.parametrize(
    ("cgroups", "gigabytes"), [([], 16.0), (["max"], 16.0), (["max", "8589934592\n"], 8.0)]
)
def test_the_tightest_limit_of_memory_counts(cgroups: list[str], gigabytes: float) -> None:
    meminfo = "MemTotal:       16777216 kB\nMemFree: 1 kB\n"

    assert memory_limit(meminfo, cgroups) == gigabytes


def test_memory_has_to_hold_one_study_and_what_runs_beside_it() -> None:
    assert judge_memory(8.9, 6.0).level is Level.WARNING
    assert judge_memory(9.0, 6.0).level is Level.OK


def test_every_association_wants_descriptors() -> None:
    found = [open_files(_LIMITS.format(soft=soft)) for soft in ("511", "512", "unlimited")]

    assert [judge_files(one, 64).level for one in found] == [Level.ERROR, Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("mask", "level"),
    [(0o077, Level.OK), (0o027, Level.OK), (0o022, Level.WARNING), (0o000, Level.ERROR)],
)
def test_new_files_are_for_their_owner(mask: int, level: Level) -> None:
    assert judge_umask(mask).level is level


def test_root_and_an_old_locale_are_told() -> None:
    assert judge_user(0).level is Level.WARNING
    assert judge_user(990).level is Level.OK
    assert judge_encoding("utf-8", "ANSI_X3.4-1968").level is Level.WARNING
    assert judge_encoding("utf-8", "UTF-8").level is Level.OK


@pytest.mark.parametrize(
    ("kind", "gpus", "tensorflow", "level"),
    [
        (RuntimeKind.AUTO, 0, False, Level.OK),
        (RuntimeKind.AUTO, 1, False, Level.WARNING),
        (RuntimeKind.AUTO, 1, True, Level.OK),
        (RuntimeKind.OPENVINO, 1, True, Level.WARNING),
        (RuntimeKind.TENSORFLOW, 0, True, Level.WARNING),
    ],
)
def test_runtime_and_devices_have_to_fit(
    kind: RuntimeKind, gpus: int, tensorflow: bool, level: Level
) -> None:
    devices = [Path(f"/dev/nvidia{number}") for number in range(gpus)]

    assert judge_devices(kind, devices, tensorflow).level is level

"""The machine: processor, memory, limits of a process, locale, umask."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from dibmg.runtime_choice import Precision
from dibmg_node.config import Settings
from dibmg_node.doctor.stores import running_process
from dibmg_node.doctor.verdict import Verdict, bad, doubtful, well
from dibmg_node.wiring.role_choice import Role

_CPU: Final = Path("/proc/cpuinfo")
_MEMORY: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")
_BESIDE_GB: Final = 3.0
"""The loaded model and the other processes."""
_FILES_A_PEER: Final = 4
_FILES_BESIDE: Final = 256


def examine(settings: Settings) -> Iterator[Verdict]:
    """Look at what the running node may use, else at what this shell would let it."""
    yield judge_processor(_CPU.read_text(), settings.model.precision)
    running = running_process(settings, Role.INTAKE)
    folder = Path(f"/proc/{running or os.getpid()}")
    limit = memory_limit(_MEMORY.read_text(), _cgroup_limits((folder / "cgroup").read_text()))
    yield judge_memory(limit, settings.model.memory_gb)
    yield judge_files(open_files((folder / "limits").read_text()), settings.intake.max_associations)
    yield judge_encoding(sys.getfilesystemencoding(), sys.stdout.encoding or "")
    status = (folder / "status").read_text()
    if running:  # a node takes more from its umask than a shell has
        yield judge_umask(int(_field(status, "Umask"), 8))
    yield judge_user(int(_field(status, "Uid")))


def judge_processor(cpuinfo: str, precision: Precision) -> Verdict:
    """Whether the processor computes as fast, and in what, as is wanted.

    Args:
        cpuinfo: Text of /proc/cpuinfo.
        precision: That the configuration asks for.
    """
    lines = [
        line.partition(":")[2].split()
        for line in cpuinfo.splitlines()
        if line.startswith(("flags", "Features"))
    ]
    flags = set(lines[0]) if lines else set()
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    there = [name for name in known if name in flags]
    found = ", ".join(there) or "none of AVX2, AVX-512, AMX"
    bf16 = flags & {"avx512_bf16", "amx_bf16", "bf16"}
    if precision is Precision.BF16 and not bf16:
        remedy = "set model.precision to f32: on this processor that is what is used in any case"
        return doubtful("processor", found, "AVX512_BF16 or AMX for model.precision bf16", remedy)
    if not flags & {"avx2", "asimd"}:
        remedy = "use a processor of the last ten years: on this one an exam takes several times as long"
        return doubtful("processor", found, "AVX2", remedy)
    return well("processor", f"{found}; {os.cpu_count()} cores, precision {precision}")


def memory_limit(meminfo: str, cgroups: list[str]) -> float:
    """GB that a process can have: of the machine, or of the tightest group that it is in.

    Args:
        meminfo: Text of /proc/meminfo.
        cgroups: Texts of memory.max of its groups.
    """
    total = next(int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    limits = [int(text) for text in cgroups if text.strip().isdigit()]
    return min([total, *limits]) / 2**30


def judge_memory(limit_gb: float, study_gb: float) -> Verdict:
    """Whether one study may use what the configuration grants it."""
    wanted = study_gb + _BESIDE_GB
    found, expected = f"{limit_gb:.1f} GB", f"model.memory_gb {study_gb:g} GB and {_BESIDE_GB:g} GB beside it"
    if limit_gb < wanted:
        remedy = "lower model.memory_gb, or raise MemoryMax of the service or the memory of the machine"
        return doubtful("memory", found, expected, remedy)
    return well("memory", found, expected)


def judge_files(limit: int, associations: int) -> Verdict:
    """Whether every association that is allowed gets its descriptors."""
    wanted = _FILES_A_PEER * associations + _FILES_BESIDE
    found, expected = f"{limit} open files", f"at least {wanted} for intake.max_associations {associations}"
    if limit < wanted:
        return bad("open files", found, expected, "raise LimitNOFILE of the service, or 'ulimit -n'")
    return well("open files", found, expected)


def judge_encoding(files: str, output: str) -> Verdict:
    """Whether names of files and words on the terminal come out whole."""
    found = f"{files} for files, {output} for output"
    if any(name.lower().replace("-", "") != "utf8" for name in (files, output)):
        return doubtful("locale", found, "UTF-8", "set LANG=C.UTF-8 for the service and this shell")
    return well("locale", found, "UTF-8")


def judge_umask(mask: int) -> Verdict:
    """Whether new files are for their owner."""
    found, remedy = f"{mask:04o}", "set UMask=0077 in the service, or 'umask 077' in this shell"
    if not mask & 0o002:
        return bad("umask", found, "0077", remedy)
    if mask & 0o007 != 0o007:
        return doubtful("umask", found, "0077: images and ledger are for the node alone", remedy)
    return well("umask", found)


def judge_user(uid: int) -> Verdict:
    """Whether the node runs without privileges."""
    if uid == 0:
        remedy = "run the node as a user of its own (deploy/systemd/dibmg.service)"
        return doubtful("user", "root", "a user without privileges", remedy)
    return well("user", f"uid {uid}")


def open_files(limits: str) -> int:
    """Descriptors that a process may have.

    Args:
        limits: Text of /proc/PID/limits.
    """
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    soft = line.split()[3]
    return sys.maxsize if soft == "unlimited" else int(soft)


def _field(status: str, name: str) -> str:
    """First word of a line of /proc/PID/status."""
    return next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))


def _cgroup_limits(cgroup: str) -> list[str]:
    """What the groups of a process, from its own to the root, allow it. Source: cgroups(7), version 2."""
    lines = cgroup.splitlines()
    own = _CGROUP / lines[-1].rpartition(":")[2].lstrip("/") if lines else _CGROUP
    texts = []
    for one in (own, *own.parents):
        if one.is_relative_to(_CGROUP):
            with suppress(OSError):
                texts.append((one / "memory.max").read_text())
    return texts

"""Confinement: can a process that reads hostile bytes be cut off from network and files?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.doctor.verdict import Verdict, bad, well

_PROBE: Final = """
import socket
from dibmg_node.machine.system_calls import deny
deny(network=True, files=True)
try:
    socket.socket()
except OSError:
    print("cut off")
"""
_SECONDS: Final = 30


def examine(settings: Settings) -> Iterator[Verdict]:
    """Have a process cut itself off, and try a socket."""
    expected = "a process that is cut off"
    remedy = (
        "allow seccomp: a kernel with CONFIG_SECCOMP_FILTER, and a container profile that lets it be used"
    )
    try:
        # a fixed program, its own interpreter
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield bad("system call filter", f"no answer within {_SECONDS} s", expected, remedy)
        return
    if probe.stdout.strip() == "cut off":
        yield well("system call filter", "a confined process opens no socket")
    else:
        yield bad("system call filter", "a confined process still opens sockets", expected, remedy)

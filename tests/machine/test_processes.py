from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial

from dibmg_node.machine.processes import die_with_parent

PARENT = """
import os, subprocess, sys
from functools import partial
from dibmg_node.machine.processes import die_with_parent
child = subprocess.Popen(
    [sys.executable, "-c", "print('alive', flush=True); import time; time.sleep(600)"],
    preexec_fn=partial(die_with_parent, os.getpid()),
)
sys.stdin.read()
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "alive\n"

        parent.kill()

        # the child holds the other end of the pipe: it has ended when the pipe has
        assert parent.stdout.read() == ""


def test_a_child_whose_parent_ended_before_it_could_ask_ends_at_once() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]

    ended = subprocess.run(command, preexec_fn=partial(die_with_parent, os.getpid() + 1), check=False)

    assert ended.returncode == -signal.SIGKILL

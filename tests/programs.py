"""Programs that tests need: where they are, or a failure that says who installs them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path


def find_program(name: str) -> str:
    """A program of the machine or of the virtual environment that the tests run in."""
    own = str(Path(sys.executable).parent)  # last: Python packages have programs of DCMTK's names
    folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", os.environ.get("PATH", ""), own]
    found = shutil.which(name, path=os.pathsep.join(folders))
    assert found is not None, f"{name} is missing; `make test` or `make viewer` installs it"
    return found


def wait_for_port(port: int) -> None:
    """Return when somebody on this machine listens on a port."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")

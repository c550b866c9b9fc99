"""Programs that tests need: where they are, or a failure that says who installs them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find_program(name: str) -> str:
    """A program of the machine or of the virtual environment that the tests run in."""
    own = str(Path(sys.executable).parent)  # last: Python packages have programs of DCMTK's names
    folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", os.environ.get("PATH", ""), own]
    found = shutil.which(name, path=os.pathsep.join(folders))
    assert found is not None, f"{name} is missing; `make test` or `make viewer` installs it"
    return found

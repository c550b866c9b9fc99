"""A whole node as a user runs it: `dibmg up` in a folder of its own, and the peers around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pacs import free_port

from dibmg_node.config import load_settings
from dibmg_node.machine.processes import process_name
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.views import Views
from dibmg_node.wiring import foundation
from tests.cli.program import dibmg
from tests.programs import find_program

PATIENCE_SECONDS = 120
ROOT = Path(__file__).parents[2]
DIBMG = (sys.executable, "-m", "dibmg_node")

_CONFIGURATION = """\
[intake]
port = {port}
quiet_seconds = {quiet_seconds}
reserve_gb = 0.05
[model]
runtime = "{runtime}"
weights = "{weights}"
precision = "{precision}"
"""
_DESTINATION = """\
[[destination]]
name = "{name}"
kind = "cstore"
address = "127.0.0.1"
port = {port}
ae_title = "ANY"
"""


class RunningNode:
    """`dibmg up`, its configuration, and what one can ask of it."""

    def __init__(
        self,
        folder: Path,
        destinations: dict[str, int],
        *,
        quiet_seconds: float = 2,
        runtime: str = "openvino",
        weights: str = "synthetic",
        precision: str = "f32",
        more: str = "",
        program: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.config = folder / "config.toml"
        text = _CONFIGURATION.format(
            port=self.port,
            quiet_seconds=quiet_seconds,
            runtime=runtime,
            weights=weights,
            precision=precision,
        )
        for name, port in destinations.items():
            text += _DESTINATION.format(name=name, port=port)
        text += more
        self.config.write_text(text)
        self.process: subprocess.Popen[str] | None = None
        self.program = program
        """Folder with another version of the program; None: the one that is tested."""
        self._opened: list[Ledger] = []

    def start(self) -> RunningNode:
        """Start, and wait for `ready`."""
        self.process = subprocess.Popen(
            [*DIBMG, "up", "--config", str(self.config)], stderr=subprocess.PIPE, text=True, **self._where()
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        if line != "ready\n":
            raise AssertionError(f"the node said {line!r}, expected 'ready'; {self.logs()}")
        return self

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self._ended()

    def kill(self) -> None:
        """SIGKILL to the supervisor."""
        assert self.process is not None
        self.process.kill()
        self._ended()

    @property
    def views(self) -> Views:
        """The ledger, to look into."""
        ledger = foundation.open_node_ledger(load_settings(self.config))
        self._opened.append(ledger)
        return ledger.views

    def pid_of(self, role: str) -> int:
        """Process of a role, by its sign of life; waits for the first."""
        return self.wait_for_role(role, other_than=None)

    def wait_for_role(self, role: str, other_than: int | None) -> int:
        """Process of a role as soon as it is another one."""
        views, process = self.views, process_name(role, load_settings(self.config).node_name)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for beat in views.beats():
                if beat.process == process and beat.pid != other_than:
                    return beat.pid
            time.sleep(0.05)
        raise AssertionError(f"{role} was not started; {self.logs()}")

    def wait_for_file(self, folder: Path) -> None:
        """Wait until a folder holds a file."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if any(folder.iterdir()):
                return
            time.sleep(0.05)
        raise AssertionError(f"no file came into {folder}; {self.logs()}")

    def kill_role(self, role: str) -> None:
        """SIGKILL to one process of the node."""
        os.kill(self.pid_of(role), signal.SIGKILL)

    def kill_broker(self) -> None:
        """SIGKILL to the embedded broker."""
        # its socket lies elsewhere where the folder's path is too long for one
        told = (self.folder / "var" / "broker" / "broker.conf").read_text()
        own = next(
            line.split('"')[1] for line in told.splitlines() if line.startswith("unixsocket ")
        ).encode()
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes()
            except OSError:
                continue
            if own in command:
                os.kill(int(entry.parent.name), signal.SIGKILL)
                return
        raise AssertionError("the broker does not run")

    def up(self) -> subprocess.CompletedProcess[str]:
        """`dibmg up` that is expected to end by itself."""
        return self.cli_process("up")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, as a user types it; within this process where it is this program."""
        if self.program is not None:
            return self.cli_process(*arguments)
        return dibmg(Path.cwd(), *arguments, "--config", str(self.config))

    def cli_json(self, *arguments: str) -> Any:
        """One command with `--json`."""
        return json.loads(self.cli(*arguments, "--json").stdout)

    def send(self, paths: Iterable[Path], *options: str) -> None:
        """DCMTK's storescu, over one association; all must be stored."""
        self.try_send(paths, *options).check_returncode()

    def try_send(self, paths: Iterable[Path], *options: str) -> subprocess.CompletedProcess[bytes]:
        """The same, whatever becomes of it."""
        command = [
            find_program("storescu"),
            "-R",
            *options,
            "-aet",
            "MG1",
            "-aec",
            "DIBMG",
            "127.0.0.1",
            str(self.port),
        ]
        return subprocess.run(
            [*command, *map(str, paths)], capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )

    def wait(self, study_uid: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The study as soon as something holds of it."""
        views = self.views
        deadline = time.monotonic() + PATIENCE_SECONDS
        study = None
        while time.monotonic() < deadline:
            study = views.study(study_uid)
            if study is not None and until(study):
                return study
            time.sleep(0.05)
        told = study and {
            key: study[key] for key in ("state", "revision", "reason", "deliveries", "timeline")
        }
        raise AssertionError(f"it did not come to hold; the study is {told}; {self.logs()}")

    def wait_for_state(self, study_uid: str, state: str) -> dict[str, Any]:
        """The study once it is in a state."""
        return self.wait(study_uid, lambda study: study["state"] == state)

    def wait_for_rejected(self) -> list[dict[str, Any]]:
        """Who was turned away, as soon as status tells of somebody."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if found := self.cli_json("status")["rejected"]:
                return list(found)
            time.sleep(0.2)
        raise AssertionError(f"nobody was turned away; {self.logs()}")

    def logs(self) -> str:
        """Every log of the node, for the message of a failure."""
        files = sorted((self.folder / "var" / "logs").glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in files)

    def cli_process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own; pynetdicom leaves what a peer refused for its end to close."""
        command = [*DIBMG, *arguments, "--config", str(self.config)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, **self._where()
        )

    def _where(self) -> dict[str, Any]:
        """Where the program is found that this node runs."""
        if self.program is None:
            return {}
        path = os.pathsep.join([str(self.program), str(ROOT / "model")])
        return {"cwd": self.program, "env": os.environ | {"PYTHONPATH": path}}

    def _ended(self) -> int:
        assert self.process is not None
        code = self.process.wait(PATIENCE_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        while self._opened:
            self._opened.pop().engine.dispose()
        return code

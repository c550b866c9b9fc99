"""The node's receiving processes as `dibmg up` starts them, without the others, and what they use."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from dibmg_node.config import load_settings
from dibmg_node.machine.processes import process_name
from dibmg_node.storage.compatibility import migrate
from dibmg_node.storage.engine import open_engine
from dibmg_node.wiring import foundation
from tests.services.wire_peers import RawPeer

PATIENCE_SECONDS = 120
_CONFIGURATION = """\
[intake]
port = {port}
quiet_seconds = 80000
max_wait_seconds = 80000
reserve_gb = 0
max_associations = 64
max_per_address = 1024
{intake}
[web]
port = {web_port}
[stow]
enabled = true
{stow}
"""
_KNOWN_FILES = re.compile(
    r"config\.toml|var/(logs/\w+\.log|audit\.key|web/session\.key|audit/(lock|[-\w]+\.jsonl)|ledger\.sqlite(-wal|-shm)?|archive/quarantine/[0-9a-f]{32}[-0-9a-z]*\.dcm"
    r"|archive/instances/[0-9a-f]{2}/[0-9a-f]{32}\.dcm)"
)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class ReceivingProcesses:
    """Intake and web of one data folder, each a process of its own."""

    def __init__(
        self, folder: Path, *, data_dir: Path | None = None, intake: str = "", stow: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.web_port = _free_port(), _free_port()
        text = _CONFIGURATION.format(port=self.port, web_port=self.web_port, intake=intake, stow=stow)
        if data_dir is not None:
            text = f'[node]\ndata_dir = "{data_dir}"\n' + text
        self._config = folder / "config.toml"
        self._config.write_text(text)
        self.settings = load_settings(self._config)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def archive(self) -> Path:
        """Root of the archive."""
        return self.settings.data_dir / "archive"

    def __enter__(self) -> ReceivingProcesses:
        """Start, and wait until both listen."""
        foundation.open_archive(self.settings).prepare()
        engine = open_engine(self.settings.ledger_url)
        migrate(engine)
        engine.dispose()
        (self.settings.data_dir / "logs").mkdir(exist_ok=True)
        for role in ("intake", "web"):
            command = [sys.executable, "-m", "dibmg_node", "run", role, "--config", str(self._config)]
            self.processes[role] = subprocess.Popen(command)
        self._wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(PATIENCE_SECONDS)

    def peer(self) -> RawPeer:
        """A peer that says whatever one wants."""
        return RawPeer(self.port)

    def pid(self, role: str = "intake") -> int:
        """Of one process; fails where it has ended."""
        process = self.processes[role]
        assert process.poll() is None, f"{role} has ended; {self.log(role)[-2000:]}"
        return process.pid

    def log(self, role: str) -> str:
        """Its log."""
        path = self.settings.data_dir / "logs" / f"{role}.log"
        return path.read_text() if path.exists() else ""

    def threads(self) -> int:
        """Of the intake process."""
        return len(list(Path(f"/proc/{self.pid()}/task").iterdir()))

    def descriptors(self) -> int:
        """Of the intake process."""
        return len(list(Path(f"/proc/{self.pid()}/fd").iterdir()))

    def memory(self, what: str, role: str = "intake") -> int:
        """VmRSS (now) or VmHWM (peak since `forget_peak`), MiB."""
        status = Path(f"/proc/{self.pid(role)}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) // 1024

    def forget_peak(self) -> None:
        """The peak is what is used now."""
        for role in self.processes:
            Path(f"/proc/{self.pid(role)}/clear_refs").write_text("5")

    def strange_files(self) -> list[str]:
        """Files that no received instance explains; the spool is empty between two messages."""
        files = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())
        return sorted(name for name in files if not _KNOWN_FILES.fullmatch(name))

    def _wait_until_ready(self) -> None:
        ledger = foundation.open_node_ledger(self.settings)
        missing = {process_name(role, self.settings.node_name) for role in self.processes}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while missing and time.monotonic() < deadline:
            missing -= {beat.process for beat in ledger.views.beats()}
            [self.pid(role) for role in self.processes]
            time.sleep(0.05)
        ledger.engine.dispose()
        assert not missing, f"{missing} did not listen"

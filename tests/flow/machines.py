"""Several hosts of one node: each with a folder of its own, sharing PostgreSQL, Redis and an archive."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pacs import free_port

from tests.flow.running_node import ROOT, RunningNode
from tests.postgresql import Cluster
from tests.programs import find_program, wait_for_port

ALL = ("intake", "sweep", "analysis", "delivery")

_MORE = """
[node]
name = "{name}"
roles = [{roles}]
[archive]
{archive}
[ledger]
url = "postgresql+psycopg://dibmg@127.0.0.1:{ledger}/{database}"
[broker]
url = "redis://127.0.0.1:{broker}/0"
"""


@dataclass
class Machines:
    """Hosts that share what several hosts share.

    Attributes:
        archive: Lines of `[archive]`; by default a folder that all have mounted.
        destinations: Port of each PACS.
    """

    folder: Path
    cluster: Cluster
    database: str
    broker: int
    archive: str = ""
    destinations: dict[str, int] = field(default_factory=dict)
    hosts: list[RunningNode] = field(default_factory=list)

    def host(
        self, name: str, *roles: str, archive: str | None = None, program: Path | None = None
    ) -> RunningNode:
        """A host that is not up yet."""
        shared = self.archive or f'folder = "{self.folder / "shared"}"'
        more = _MORE.format(
            name=name,
            roles=", ".join(f'"{role}"' for role in roles or ALL),
            archive=shared if archive is None else archive,
            ledger=self.cluster.port,
            database=self.database,
            broker=self.broker,
        )
        folder = self.folder / f"{name}-{len(self.hosts)}"
        self.hosts.append(RunningNode(folder, self.destinations, quiet_seconds=5, more=more, program=program))
        return self.hosts[-1]

    def stop(self) -> None:
        """End what still runs."""
        for one in self.hosts:
            if one.process is not None and one.process.poll() is None:
                one.stop()


@contextmanager
def running_redis() -> Iterator[int]:
    """A Redis server of a test's own; its port."""
    port = free_port()
    command = [find_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/tmp") as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()


def newer_program(folder: Path, number: str, body: str, *, min_reader: str, follows: str) -> Path:
    """A copy of the program that knows one migration more.

    Args:
        folder: Where to.
        number: Of the migration.
        body: What it does, one statement.
        min_reader: The oldest program that may go on with it.
        follows: The migration before it.
    """
    shutil.copytree(ROOT / "dibmg_node", folder / "dibmg_node", ignore=shutil.ignore_patterns("__pycache__"))
    migration = folder / "dibmg_node" / "storage" / "migrations" / "versions" / f"{number}_next.py"
    migration.write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f'revision = "{number}"\ndown_revision = "{follows}"\nmin_reader = "{min_reader}"\n\n\n'
        f"def upgrade() -> None:\n    {body}\n"
    )
    return folder

"""A private PostgreSQL cluster: made for the tests, gone after them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final
from urllib.parse import quote

import psycopg
from pacs import free_port

PASSWORD: Final = "a p@ss/word"
"""With characters that a URL must escape."""

_FAST: Final = "fsync=off\nfull_page_writes=off\n"
"""The machine does not crash in a test; what is durable is not tested here."""


@dataclass(frozen=True)
class Cluster:
    """A server with one superuser `dibmg`, who has to show a password."""

    folder: Path
    port: int
    account: Mapping[str, Any]

    def url(self, database: str = "postgres", *, password: str = PASSWORD, query: str = "") -> str:
        """SQLAlchemy URL of a database; by TCP, as a node connects."""
        return (
            f"postgresql+psycopg://dibmg:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}{query}"
        )

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    def run(self, sql: str, database: str = "postgres") -> None:
        """Carry out statements outside of a transaction."""
        address = {"host": "127.0.0.1", "port": self.port, "user": "dibmg", "password": PASSWORD}
        with psycopg.connect(dbname=database, autocommit=True, **address) as connection:
            connection.execute(sql.encode())

    def start(self) -> None:
        """Start the server."""
        # a captured pipe would be kept open by the server
        self._control("start", "--log", str(self.folder / "log"))

    def stop(self, *, even_gone: bool = False) -> None:
        """End it and every connection.

        Args:
            even_gone: It may not run at all.
        """
        self._control("stop", "--mode=fast", even_failing=even_gone)

    def _control(self, *arguments: str, even_failing: bool = False) -> None:
        command = [_programs() / "pg_ctl", "--pgdata", self.folder / "data", "--wait", *arguments]
        told = subprocess.DEVNULL if even_failing else None
        account = self.account
        subprocess.run(command, check=not even_failing, stdout=subprocess.DEVNULL, stderr=told, **account)


@contextmanager
def running_cluster(configuration: str = "", files: Mapping[str, Path] | None = None) -> Iterator[Cluster]:
    """Start a server on a port of its own.

    Args:
        configuration: Further lines of postgresql.conf.
        files: Copied into its folder, readable by the server alone, by name.
    """
    folder = Path(mkdtemp(prefix="dibmg-postgresql-"))
    cluster = _cluster(folder)
    account = cluster.account
    try:
        _initialize(cluster, configuration)
        for name, path in (files or {}).items():
            copied = folder / "data" / name
            shutil.copyfile(path, copied)
            copied.chmod(0o600)
            os.chown(copied, account.get("user", -1), account.get("group", -1))
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def kept_cluster(folder: Path, configuration: str = "") -> Iterator[Cluster]:
    """A server whose databases stay in a folder; on another port each time.

    Args:
        folder: Made, with the databases, where it is missing; the server's account must be able to enter it.
        configuration: Further lines of postgresql.conf; of the first time.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    cluster = _cluster(folder)
    if is_new:
        _initialize(cluster, configuration)
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write(f"port={cluster.port}\n")
    # a process that was killed may have left it running
    cluster.stop(even_gone=True)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def _cluster(folder: Path) -> Cluster:
    account: dict[str, Any] = {"cwd": folder}
    if os.getuid() == 0:  # PostgreSQL refuses to be run by root
        user = pwd.getpwnam("postgres")
        account |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    return Cluster(folder, free_port(), account)


def _initialize(cluster: Cluster, configuration: str) -> None:
    secret, data = cluster.folder / "password", cluster.folder / "data"
    secret.write_text(PASSWORD)
    options = ("--username=dibmg", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync")
    # a collation that does not sort as bytes do, like that of most servers
    sorting = ("--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")
    command = [_programs() / "initdb", data, *options, *sorting]
    subprocess.run(command, check=True, capture_output=True, **cluster.account)
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"{_FAST}{configuration}\nlisten_addresses='127.0.0.1'\nport={cluster.port}\n")
        file.write("unix_socket_directories=''\nmax_connections=200\n")


def _programs() -> Path:
    """Folder of the newest server that Debian has installed; its programs are on no PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    if program is None:
        raise AssertionError("initdb is missing; Debian's package is postgresql")
    return Path(program).parent

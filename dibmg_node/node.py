"""The node on one machine: its processes, started in order, restarted when they die, drained at the end."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError, PermanentError
from dibmg_node.health.certificate_watch import CertificateWatch
from dibmg_node.health.node_check import check_node
from dibmg_node.machine.broker import start_server
from dibmg_node.machine.latch import Latch
from dibmg_node.machine.processes import die_with_parent, process_name
from dibmg_node.storage.compatibility import make_usable
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.nodes import SILENT_AFTER
from dibmg_node.wiring import foundation
from dibmg_node.wiring.auditing import audited
from dibmg_node.wiring.receiving import make_inspection
from dibmg_node.wiring.registration import check_archive, others_are_up, registered, token_of
from dibmg_node.wiring.role_choice import NEEDED, Role, roles_of
from dibmg_node.wiring.selftest_watch import SelfTestWatch

_log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 0.2
_START_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 30.0
_OTHERS_SECONDS: Final = 10.0
"""A node that is ready shall not be told to lack processes that are about to run."""
_STABLE_SECONDS: Final = 30.0
_BROKER: Final = "broker"
_DRAIN_SECONDS: Final[dict[str, float]] = {
    Role.INTAKE.value: 30.0,
    Role.WEB.value: 30.0,
    Role.SWEEP.value: 5.0,
    Role.ANALYSIS.value: 60.0,
    Role.SHADOW.value: 5.0,
    Role.DELIVERY.value: 60.0,
    _BROKER: 10.0,
}
"""How long each may take to end, in the order in which they are asked."""
_START_ORDER: Final = (Role.ANALYSIS, Role.DELIVERY, Role.SWEEP, Role.WEB, Role.INTAKE, Role.SHADOW)

_RENEWED: Final = frozenset({Role.INTAKE.value, Role.WEB.value})
"""They take SIGHUP; what delivers reads its files for every connection."""

Start = Callable[[], "subprocess.Popen[bytes]"]


@dataclass
class Child:
    """One supervised process: restarted when it ends, with a pause that grows while it keeps ending."""

    name: str
    start: Start
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = 0.5
    restart_at: float = field(default=0.0)

    def ensure(self) -> None:
        """Start it where it does not run and its pause is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.restart_at:
                try:
                    self.process, self.started_at = self.start(), now
                except OSError as error:  # no process, memory or descriptor left: the others go on
                    extra = {"name_": self.name, "reason": error.strerror}
                    _log.error("process not started", extra=extra)
                    self._wait_before_next(now)
            return
        code = self.process.poll()
        if code is None:
            if now - self.started_at > _STABLE_SECONDS:
                self.pause = 0.5
            return
        _log.error("process ended; it is started again", extra={"name_": self.name, "code": code})
        self.process = None
        self._wait_before_next(now)

    def _wait_before_next(self, now: float) -> None:
        self.restart_at = now + self.pause
        self.pause = min(2 * self.pause, _LONGEST_PAUSE)

    def stop(self, seconds: float, hurried: Latch) -> None:
        """Ask it to end; end it after some seconds, or at once when somebody is in a hurry."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() >= deadline or hurried.is_set():
                _log.error("process did not drain; killed", extra={"name_": self.name})
                self.process.kill()
                self.process.wait()
                return
            time.sleep(_TICK_SECONDS)


class Node:
    """The whole node as children of this process."""

    def __init__(self, settings: Settings, announce: Callable[[str], None]) -> None:
        """Make a node that does not run yet.

        Args:
            settings: Of the node.
            announce: Told `ready` once the node listens, and what happens while it drains.
        """
        self._settings = settings
        self._announce = announce
        self._stopping = Latch()
        self._hurried = Latch()
        self._renewing = Latch()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain; a second signal ends it at once.

        SIGHUP has those who listen read their certificates and tokens anew.

        Raises:
            ConfigError: Model, destinations, data folder, addresses or TLS files cannot be used, or another
                node uses the folder or has the name, or the ledger is that of another archive or program.
            PermanentError: The node did not come up.
        """
        settings = self._settings
        # those who ask while the node comes up are served once it has
        signal.signal(signal.SIGHUP, lambda *_: self._renewing.set())
        check_node(settings)
        with _locked(settings), audited(settings, "node", foundation.now):
            archive = foundation.open_archive(settings)
            archive.prepare()
            ledger = foundation.open_node_ledger(settings)
            make_usable(ledger.engine, foundation.now(), SILENT_AFTER, settings.node_name, token_of(settings))
            check_archive(settings, archive, ledger.marks)
            roles = roles_of(settings)
            with registered(settings, ledger, roles):
                if Role.INTAKE in roles:
                    inspection = make_inspection(settings, ledger, archive)
                    # what an object storage has beside what the ledger knows is not adopted
                    inspection.run(alone=not archive.is_far and not others_are_up(settings, ledger))
                self._live(ledger)
            ledger.engine.dispose()

    def _live(self, ledger: Ledger) -> None:
        """From the first process to the last."""
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._signalled)
        children = self._children()
        watch = CertificateWatch(self._settings)
        # what a test sends is to come back to this machine, through every part of the node
        tests = SelfTestWatch(self._settings) if set(NEEDED) <= set(roles_of(self._settings)) else None
        try:
            self._come_up(children, ledger)
            while not self._stopping.wait(_TICK_SECONDS):
                for child in children:
                    child.ensure()
                if self._renewing.is_set():
                    self._renewing.clear()
                    _renew(children)
                watch.look(foundation.now())
                if tests:
                    tests.look(foundation.now())
        finally:
            if tests:
                tests.stop()
            self._drain(children)

    def _drain_seconds(self, name: str) -> float:
        """How long a process may take to end; an analysis in hand has its own deadline."""
        deadline = self._settings.model.deadline_seconds + 30.0
        return max(_DRAIN_SECONDS[name], deadline) if name == Role.ANALYSIS else _DRAIN_SECONDS[name]

    def _signalled(self, *_: object) -> None:
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    def _children(self) -> list[Child]:
        settings = self._settings
        children = []
        if settings.broker.url == "embedded":
            log = foundation.log_folder(settings) / "broker.log"
            folder = settings.data_dir / "broker"
            children.append(Child(_BROKER, partial(start_server, folder, settings.broker_socket, log)))
        present = roles_of(settings)
        return children + [
            Child(role.value, partial(_start_role, role, settings))
            for role in _START_ORDER
            if role in present
        ]

    def _listeners(self) -> dict[str, str]:
        """Address of every process that listens, by its role."""
        intake, web, roles = self._settings.intake, self._settings.web, roles_of(self._settings)
        addresses = {}
        if Role.INTAKE in roles:
            addresses[Role.INTAKE.value] = f"{intake.address}:{intake.port}"
        if Role.WEB in roles and web is not None:
            addresses[Role.WEB.value] = f"{web.address}:{web.port}"
        return addresses

    def _come_up(self, children: list[Child], ledger: Ledger) -> None:
        """Start everything; return when all that listen do, and the others had time to say that they run."""
        listeners = self._listeners()
        roles = roles_of(self._settings)
        silent = {process_name(role.value, self._settings.node_name): role.value for role in roles}
        for process in silent:
            ledger.beats.stop(process)
        begun = time.monotonic()
        while not self._stopping.is_set():
            for child in children:
                child.ensure()
                if child.name in listeners and child.process is None:
                    raise PermanentError(
                        f"{child.name} ended before it listened on {listeners[child.name]}; "
                        f"see {foundation.log_folder(self._settings)}/{child.name}.log"
                    )
            for beat in ledger.views.beats():
                silent.pop(beat.process, None)
            seconds = time.monotonic() - begun
            deaf = [role for role in silent.values() if role in listeners]
            # what does not listen may be broken: images are taken nevertheless, and `dibmg status` tells
            if not silent or (not deaf and seconds > _OTHERS_SECONDS):
                self._announce("ready")
                break
            if seconds > _START_SECONDS:
                raise PermanentError(f"{', '.join(deaf)} did not listen within {_START_SECONDS:.0f} s")
            time.sleep(_TICK_SECONDS)

    def _drain(self, children: list[Child]) -> None:
        """Stop what listens first and the broker last; what is not done stays in the ledger."""
        for name in _DRAIN_SECONDS:
            for child in children:
                if child.name == name:
                    child.stop(self._drain_seconds(name), self._hurried)
        _log.info("node ended")


def _renew(children: Sequence[Child]) -> None:
    for child in children:
        if child.name in _RENEWED and child.process is not None and child.process.poll() is None:
            child.process.send_signal(signal.SIGHUP)


def _start_role(role: Role, settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dibmg_node", "run", role.value]
    if settings.path is not None:
        command += ["--config", str(settings.path)]
    log = foundation.log_folder(settings) / f"{role.value}.log"
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=settings.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which drains in order
            preexec_fn=partial(_prepare, os.getpid()),  # noqa: PLW1509 - two calls into the kernel and nothing else
        )


def _prepare(parent: int) -> None:
    """Before a role's program starts: who asks for renewal before it listens must not end it."""
    die_with_parent(parent)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Hold the data folder: two nodes on one would both repair what the other is doing."""
    folder = settings.data_dir
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        file = (folder / "node.lock").open("w")
    except OSError as error:
        raise ConfigError([f"node.data_dir: {folder}: {error.strerror}"]) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError([f"node.data_dir: another node uses {folder}"]) from error
        yield

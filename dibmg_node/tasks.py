"""The queue: Celery messages that say where to look. Only this module knows Celery."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from celery import Celery
from kombu.exceptions import ChannelError, OperationalError

from dibmg_node.domain.priority import Priority
from dibmg_node.errors import RetryableError
from dibmg_node.services.tls import TlsFiles, told_of

_log = logging.getLogger(__name__)

ANALYSES: Final = tuple(f"analyses-{one.rank}-{one.value}" for one in Priority)
"""Queues of a worker that analyzes, the one that comes first first."""
DELIVERIES: Final = ("deliveries",)
"""The queue of a worker that delivers."""
_ANALYZE: Final = "dibmg.analyze"
_DELIVER: Final = "dibmg.deliver"
_CONNECT_SECONDS: Final = 5
_ASK_SECONDS: Final = 5
"""For an answer of the broker, where somebody waits to be told how it is."""
_LOOK_SECONDS: Final = 3.0
_DEAF_SECONDS: Final = 10.0


_TOLD: Final = {
    "AuthenticationError": "it refuses user or password, DIBMG_BROKER_PASSWORD",
    "OutOfMemoryError": "it has no room, see its maxmemory",
    "ReadOnlyError": "it is a replica, and takes no messages",
}
"""What classes of redis-py mean, which is Celery's affair: by their names."""

Queue: TypeAlias = Celery
"""A Celery application; only this module knows what that is."""


class BrokerUnavailableError(RetryableError):
    """The broker does not answer; nothing is lost, the ledger knows what is due."""


def open_queue(broker_url: str, longest_task_seconds: float, tls: TlsFiles = TlsFiles()) -> Queue:
    """A Celery application with the settings that this node needs.

    A message is a hint (the ledger's claim admits one worker), so its loss or its double costs nothing:
    no results, no countdowns, late acknowledgment, one message at a time. So the next message is chosen when
    the one before is done with: from the first queue in the order of their names that has one.

    Args:
        broker_url: redis://, rediss:// or redis+socket://.
        longest_task_seconds: Deadline of the longest task; after three times that a message is handed
            out again.
        tls: Of rediss://. kombu by itself would take any certificate.
    """
    app = Celery("dibmg", broker=broker_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=_CONNECT_SECONDS,
        broker_transport_options={
            "queue_order_strategy": "sorted",
            "visibility_timeout": int(3 * longest_task_seconds),
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_timeout": 30,
            "socket_keepalive": True,
        },
        broker_use_ssl=_verified(tls) if broker_url.startswith("rediss:") else None,
        task_default_queue=ANALYSES[Priority.ROUTINE.rank],
        enable_utc=True,
    )
    return app


@dataclass(frozen=True)
class CeleryPublisher:
    """Publishes to the queues; satisfies `services.sweep.Publisher`."""

    app: Queue

    def analyze(self, study_uid: str, revision: int, priority: Priority) -> None:
        """A study is READY."""
        queue = ANALYSES[priority.rank]
        with _translated(self.app):
            self.app.send_task(_ANALYZE, (study_uid, revision), queue=queue, retry=False)

    def deliver(self, study_uid: str, revision: int, destination: str) -> None:
        """Results of a study are due at a destination."""
        with _translated(self.app):
            hint = (study_uid, revision, destination)
            self.app.send_task(_DELIVER, hint, queue=DELIVERIES[0], retry=False)

    def waiting(self) -> tuple[dict[Priority, int], int]:
        """Messages that no worker has taken yet: of analyses, by priority; of deliveries."""
        *analyses, deliveries = _waiting_in(self.app, [*ANALYSES, *DELIVERIES])
        return dict(zip(Priority, analyses, strict=True)), deliveries


def run_worker(
    app: Queue,
    name: str,
    queues: Sequence[str],
    *,
    analyze: Callable[[str, int], None] | None = None,
    deliver: Callable[[str, int, str], None] | None = None,
    before_end: Callable[[], object] = lambda: None,
) -> None:
    """Work on messages in this process until SIGTERM, which lets the task in hand be finished.

    Args:
        app: From `open_queue`.
        name: Of this worker.
        queues: ANALYSES or DELIVERIES.
        analyze: Carries out analyses.
        deliver: Carries out deliveries.
        before_end: Brings to its end what the tasks have set going, should the worker have gone deaf.
    """
    attention = _Attention()
    if analyze is not None:
        app.task(attention.while_at(_dropping_nothing(analyze)), name=_ANALYZE)
    if deliver is not None:
        app.task(attention.while_at(_dropping_nothing(deliver)), name=_DELIVER)
    worker = app.Worker(
        pool="solo",
        queues=list(queues),
        hostname=name,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        # by itself Celery would set that of every log of this process
        loglevel=logging.getLogger().level,
    )
    watched = (app, queues, before_end)
    threading.Thread(target=attention.watch, args=watched, name="attention", daemon=True).start()
    try:
        worker.start()
    finally:
        attention.ended.set()


class _Attention:
    """Whether a worker takes messages: one that is idle while some wait has gone deaf.

    Celery 5.7 goes deaf when the broker dies for the second time while a task is at work: it cannot
    acknowledge the message, does not see that the connection is lost, and says nothing.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        """The worker takes no more messages, because it was told to end."""
        self._is_busy = False
        self._idle_since = time.monotonic()

    def while_at(self, work: Callable[..., None]) -> Callable[..., None]:
        """The work, noticed."""

        def carry_out(*arguments: Any) -> None:
            self._is_busy = True
            try:
                work(*arguments)
            finally:
                self._idle_since = time.monotonic()
                self._is_busy = False

        return carry_out

    def watch(self, app: Queue, queues: Sequence[str], before_end: Callable[[], object]) -> None:
        """End this process once it is deaf: the supervisor starts it again, and the ledger lacks nothing."""
        while not self.ended.wait(_LOOK_SECONDS):
            try:
                waiting = sum(_waiting_in(app, queues))
            except BrokerUnavailableError:
                continue
            # this thread has to outlive whatever redis-py makes of a broker that dies between two answers
            except Exception as error:  # noqa: BLE001
                _log.warning("queues not looked at", extra={"error": type(error).__name__})
                continue
            if waiting and not self._is_busy and time.monotonic() - self._idle_since > _DEAF_SECONDS:
                extra = {"queues": list(queues), "waiting": waiting}
                _log.error("worker takes no message although some wait; it ends", extra=extra)
                before_end()
                if not self.ended.is_set():
                    os._exit(1)


def _verified(tls: TlsFiles) -> dict[str, Any]:
    """Arguments of redis-py for a connection whose certificate and host name are verified."""
    files = {
        "ssl_ca_certs": tls.ca,
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key or tls.certificate,
    }
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        # as `services.tls.trust_of`: what Python 3.13 asks for, and takes, besides
        "ssl_exclude_verify_flags": [ssl.VERIFY_X509_STRICT, ssl.VERIFY_X509_PARTIAL_CHAIN],
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        **{name: str(path) for name, path in files.items() if path is not None},
    }


def _dropping_nothing(work: Callable[..., None]) -> Callable[..., None]:
    """Work whose passing errors end the message: the ledger still knows what is due."""

    def carry_out(*arguments: Any) -> None:
        try:
            work(*arguments)
        except RetryableError as error:
            _log.warning("task broken off; the sweep finds it again", extra={"reason": str(error)})
        # Celery would log the error with its text, which may quote a data set
        except Exception as error:  # noqa: BLE001
            _log.error("unexpected error in a task; its lease runs out", exc_info=error)

    return carry_out


def _waiting_in(app: Queue, queues: Sequence[str]) -> list[int]:
    """Messages in each of some queues.

    Raises:
        BrokerUnavailableError: It does not answer.
    """
    waiting = [0] * len(queues)
    with _translated(app), app.connection_for_write(connect_timeout=_CONNECT_SECONDS) as connection:
        # by itself kombu goes on trying for six seconds; who asks how it is wants to know now
        impatient = {"max_retries": 0, "socket_timeout": _ASK_SECONDS}
        connection.transport_options = {**connection.transport_options, **impatient}
        for place, queue in enumerate(queues):
            # Redis knows no empty queue
            with suppress(ChannelError):
                declared = connection.default_channel.queue_declare(queue, passive=True)
                waiting[place] = int(declared.message_count)
    return waiting


@contextmanager
def _translated(app: Queue) -> Iterator[None]:
    """Have whatever keeps the broker from doing what it is asked be one error."""
    transport = app.connection_for_write()  # opens nothing
    # of redis-py, and not all of them of the system's; kombu counts a KeyError of its own in
    known = {*transport.connection_errors, *transport.channel_errors} - {KeyError}
    try:
        yield
    except (OperationalError, *known) as error:
        raise BrokerUnavailableError(f"the broker does not answer ({_why(error)})") from error


def _why(error: BaseException) -> str:
    """What stands behind an error of kombu, in words that hold no password."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {told_of(cause)}"
        if type(cause).__name__ in _TOLD:
            return _TOLD[type(cause).__name__]
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__

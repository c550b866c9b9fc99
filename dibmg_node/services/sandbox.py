"""A confined child process for what may crash, hang or be taken over: decoders and the model."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Generic, TypeVar

from dibmg_node.errors import DibmgError, PermanentError, RetryableError
from dibmg_node.machine.confinement import Isolation, Limits, allow_cpu, confine
from dibmg_node.machine.heap import give_back
from dibmg_node.services.messages import ForeignAnswerError, receive_answer, receive_order, send

_log = logging.getLogger(__name__)

Order = TypeVar("Order")
Answer = TypeVar("Answer")

_TICK_SECONDS = 1.0
_START_SECONDS = 120.0
_MESSAGE_SECONDS = 60.0
"""For a message that has begun, an order or an answer: milliseconds, unless one side stands still."""
_DEFAULT_LIMITS: Final = Limits()


class ChildDiedError(RetryableError):
    """The child ended without an answer: a codec or the model crashed, or it was killed."""


class DeadlineError(RetryableError):
    """The child took longer than it may, and was ended."""


class MemoryExceededError(RetryableError):
    """The work wanted more memory than the child may have; the child was ended."""


_ALWAYS: Final = frozenset({Isolation, MemoryExceededError, PermanentError, RetryableError})
"""What every child may answer with: what holds of it, and errors, which are raised here."""


class Sandbox(Generic[Order, Answer]):
    """Runs orders in a spawned child that keeps its model loaded between them.

    One study at a time. The child is spawned, not forked: TensorFlow and its threads do not survive a fork.
    It is confined once its model is loaded, before its first order: no bytes of a sender come earlier. What
    comes back is read as answers alone. Type parameters: what the child is handed, and what it gives back.

    Attributes:
        isolation: What holds of the child; None before the first start.
        turn: Number of orders and of children so far: who has the child keep something knows by it whether
            another order, or another child, came since.
    """

    def __init__(
        self,
        build: Callable[[], Callable[[Order], Answer]],
        prepare: Callable[[], None],
        deadline_seconds: float,
        limits: Limits = _DEFAULT_LIMITS,
        answers: Collection[type] = (),
    ) -> None:
        """Make a sandbox whose child does not run yet.

        Args:
            build: Called once in the child; gives the function that carries out orders. Picklable.
            prepare: Called first in the child (logging). Picklable.
            deadline_seconds: For one order.
            limits: What one order may use.
            answers: The classes that an answer is made of, as for `receive_answer`.
        """
        self.isolation: Isolation | None = None
        self.turn = 0
        self._build = build
        self._prepare = prepare
        self._deadline = deadline_seconds
        self._limits = limits
        self._classes = frozenset(answers) | _ALWAYS
        self._context = multiprocessing.get_context("spawn")
        self._one_at_a_time = threading.Lock()
        self._child: BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    def start(self, tick: Callable[[], None] = lambda: None) -> None:
        """Start the child and wait until its model is loaded.

        Args:
            tick: As for `run`.

        Raises:
            DibmgError: What building raised in the child.
            ChildDiedError: The child ended while it was being built.
            ForeignAnswerError: As for `run`.
        """
        self.stop()
        self.turn += 1
        self._pipe, theirs = self._context.Pipe()
        self._child = self._context.Process(
            target=_live, args=(theirs, self._build, self._prepare, self._limits), name="model", daemon=True
        )
        self._child.start()
        theirs.close()
        try:
            self.isolation = self._await(_START_SECONDS, tick)
        except BaseException:
            self.stop()
            raise

    def run(self, order: Order, tick: Callable[[], None]) -> Answer:
        """Have one order carried out, after the one in hand.

        Args:
            order: What to do.
            tick: Called about once a second while waiting; what it raises ends the order.

        Raises:
            DeadlineError: It took too long; the child was ended.
            MemoryExceededError: It wanted more memory than it may have; the child was ended.
            ForeignAnswerError: The child answered with something else than an answer; it was ended.
            ChildDiedError: The child died of it.
            Exception: What the work raised in the child, or `tick` here.
        """
        while not self._one_at_a_time.acquire(timeout=_TICK_SECONDS):
            tick()
        try:
            return self._run(order, tick, self._deadline)
        finally:
            self._one_at_a_time.release()

    @property
    def is_free(self) -> bool:
        """Whether no order is in hand now."""
        return not self._one_at_a_time.locked()

    def run_if_free(self, order: Order, tick: Callable[[], None], deadline_seconds: float) -> Answer | None:
        """The same in less time, where no order is in hand; None: one is.

        A child that the order ends is replaced at once, so that the next order need not wait for that.
        """
        if not self._one_at_a_time.acquire(blocking=False):
            return None
        try:
            return self._run(order, tick, deadline_seconds)
        except BaseException:
            if self._child is None:
                self.start(tick)
            raise
        finally:
            self._one_at_a_time.release()

    def stop(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _run(self, order: Order, tick: Callable[[], None], deadline_seconds: float) -> Answer:
        if self._child is None or not self._child.is_alive():
            self.start(tick)
        assert self._pipe is not None
        self.turn += 1
        try:
            with self._in_time():
                send(self._pipe, order)
        except OSError as error:
            self.stop()
            raise ChildDiedError("the model process was gone") from error
        answer: Answer = self._await(deadline_seconds, tick)
        return answer

    def _await(self, seconds: float, tick: Callable[[], None]) -> Any:
        assert self._pipe is not None
        assert self._child is not None
        end = time.monotonic() + seconds
        try:
            while not self._pipe.poll(min(_TICK_SECONDS, max(0.0, end - time.monotonic()))):
                if time.monotonic() >= end:
                    raise DeadlineError(f"no answer within {seconds:.0f} s")
                tick()
            with self._in_time():
                answer = receive_answer(self._pipe, self._classes)
        except EOFError as error:
            self._child.join(5)
            code = self._child.exitcode
            self.stop()
            raise ChildDiedError(f"the model process ended ({_ending(code)})") from error
        except BaseException as error:
            if isinstance(error, ForeignAnswerError):
                _log.error("no answer of ours: the model process may have been taken over")
            self.stop()
            raise
        if isinstance(answer, DibmgError):
            if isinstance(answer, MemoryExceededError):
                self.stop()  # what is left of its memory is in pieces
            raise answer
        return answer

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """A message, at whose deadline the child is ended: so ends the wait for it, too."""
        assert self._child is not None
        watchdog = threading.Timer(_MESSAGE_SECONDS, self._child.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()


def _ending(code: int | None) -> str:
    if code is not None and -code in signal.valid_signals():
        return signal.Signals(-code).name
    return f"exit code {code}"


def _live(
    pipe: Connection[Any, Any],
    build: Callable[[], Callable[[Any], Any]],
    prepare: Callable[[], None],
    limits: Limits,
) -> None:
    """The child's life: build once, give up what is not needed, then carry out one order after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C drains; the parent ends this process
    prepare()
    try:
        work = build()
        send(pipe, confine(limits))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        send(pipe, _portable(error))
        return
    while True:
        try:
            order = receive_order(pipe)
        except EOFError:
            return
        allow_cpu(limits.cpu_seconds)
        try:
            answer = work(order)
        except Exception as error:  # noqa: BLE001 - the same
            answer = _portable(error)
        send(pipe, answer)
        del order, answer
        give_back()  # the answer is out: nobody waits for this


def _portable(error: Exception) -> DibmgError:
    """The error in a form that survives pickling and quotes no data set."""
    if isinstance(error, DibmgError):
        kind = RetryableError if isinstance(error, RetryableError) else PermanentError
        return kind(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError):
        return MemoryExceededError("the work took more memory than the model process may have")
    if isinstance(error, OSError):
        return RetryableError(f"{type(error).__name__}: {error.strerror}")
    _log.error("unexpected error in the model process", exc_info=error)
    return RetryableError(f"unexpected {type(error).__name__} in the model process; its log has the place")

"""Analyzing: from the settings to a worker that reads exams, and to the model in its confined process."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from dibmg.runtime_choice import RuntimeKind
from dibmg_node.config import Settings
from dibmg_node.domain.result import ResultKind
from dibmg_node.machine.child import prepare_child
from dibmg_node.machine.confinement import Limits
from dibmg_node.services.ahead import LookAhead
from dibmg_node.services.analysis import Analyst, Subscriber
from dibmg_node.services.images import Predictor
from dibmg_node.services.orders import ANSWER_CLASSES, Answered, Asked
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.writing import Wish
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.server_clock import MOST_APART
from dibmg_node.wiring import foundation
from dibmg_node.wiring.model_process import build_reader, open_model
from dibmg_node.wiring.role_choice import Role

_LATELY: Final = timedelta(seconds=30)
"""Signs of life come every five seconds."""


def make_analyst(settings: Settings, ledger: Ledger, name: str) -> Analyst:
    """One analysis worker; its model process is started by `sandbox.start`."""
    archive = foundation.open_archive(settings)
    return Analyst(
        name=name,
        archive=archive,
        claims=ledger.claims,
        sandbox=make_sandbox(
            settings,
            partial(
                prepare_child,
                "model",
                foundation.log_folder(settings),
                settings.node.log_level,
                os.getpid(),
            ),
        ),
        policy=settings.exam_policy,
        subscribers=subscribers(settings),
        max_side=settings.overlay.max_side,
        now=foundation.now,
        style=settings.overlay.style,
        shadowed=settings.model.shadow is not None,
        hold=foundation.make_hold(settings, ledger, archive),
        archive_identity=ledger.marks.archive(),
    )


def make_look_ahead(
    settings: Settings, ledger: Ledger, analyst: Analyst, is_ending: Callable[[], bool]
) -> LookAhead:
    """What the same model makes ready before an exam is whole."""
    return LookAhead(
        ledger.arrivals,
        analyst.archive,
        analyst.sandbox,
        settings.exam_policy,
        analyst.shown,
        foundation.now,
        partial(_one_analyzes, ledger),
        is_ending,
    )


def _one_analyzes(ledger: Ledger) -> bool:
    """Whether at most one process has given a sign of life of late that it analyzes."""
    now = foundation.now()
    recent = [beat for beat in ledger.views.beats() if now - _LATELY < beat.at <= now + MOST_APART]
    roles = [beat.process.partition("@")[0] for beat in recent]
    return roles.count(Role.ANALYSIS) <= 1


def subscribers(settings: Settings) -> tuple[Subscriber, ...]:
    """The destinations, as analysis knows them."""
    return tuple(
        Subscriber(
            destination.name,
            tuple(
                Wish(kind, destination.finding_code) if kind is ResultKind.CAD_SR else Wish(kind)
                for kind in destination.results
            ),
            destination.answer_unread,
        )
        for destination in settings.destination
    )


def make_sandbox(settings: Settings, prepare: Callable[[], None]) -> Sandbox[Asked, Answered]:
    """The model in a confined child, which is not started yet.

    Args:
        settings: Of the node.
        prepare: The first thing that the child does.
    """
    model = settings.model
    return Sandbox(
        partial(
            build_reader,
            settings.weights,
            model.runtime.value,
            settings.operating_point,
            model.precision,
            model.threads,
        ),
        prepare,
        model.deadline_seconds,
        model_limits(settings),
        ANSWER_CLASSES,
    )


def model_limits(settings: Settings) -> Limits:
    """What reading one study may use: all cores until its deadline, should nobody be there to end it."""
    return Limits(
        memory_bytes=int(settings.model.memory_gb * 2**30),
        cpu_seconds=settings.model.deadline_seconds * (os.cpu_count() or 1),
        files=settings.model.runtime is not RuntimeKind.OPENVINO and any(Path("/dev").glob("nvidia[0-9]*")),
    )


def build_predictor(settings: Settings) -> Predictor[Any]:
    """The model, in this process.

    Raises:
        WeightsError: The weights cannot be used.
    """
    model = settings.model
    return open_model(
        settings.weights, model.runtime.value, settings.operating_point, model.precision, model.threads
    )

"""Replaying: the node's settings, with the model that a reading was recorded with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dibmg.operating_choice import choose_operating_point
from dibmg.runtime import check_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.weights import Weights, list_weights, load_weights
from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError, WeightsError
from dibmg_node.machine.processes import die_with_parent
from dibmg_node.services.replay import Replayer
from dibmg_node.wiring import foundation
from dibmg_node.wiring.analyzing import make_sandbox
from dibmg_node.wiring.model_check import check_model


def make_replayer(settings: Settings, reading: Mapping[str, Any]) -> Replayer:
    """Who reads a study again as it was read.

    Args:
        settings: Of the node.
        reading: As it was recorded.

    Raises:
        ConfigError: The model cannot be opened here.
    """
    settings = as_recorded(settings, reading)
    check_model(settings)
    return Replayer(
        foundation.open_archive(settings),
        # no log of its own: it is the command that tells
        make_sandbox(settings, partial(die_with_parent, os.getpid())),
        settings.exam_policy,
        settings.overlay.max_side,
        settings.overlay.style,
    )


def as_recorded(settings: Settings, reading: Mapping[str, Any]) -> Settings:
    """The settings with weights, runtime, precision and operating point of a reading, where they are here.

    What is not here stays as it is configured; the replay names it as a cause.
    """
    model, point = reading.get("model"), reading.get("operating_point")
    if not model or not point:
        return settings
    section = settings.model.model_copy(update={"precision": Precision(model["precision"])})
    weights = next(_with_digest(settings, model["sha256"]), None)
    if weights is not None:
        section = section.model_copy(update={"weights": str(weights.folder)})
    runtime = RuntimeKind(model["runtime"])
    try:
        check_runtime(runtime)
    except ConfigError:
        pass
    else:
        section = section.model_copy(update={"runtime": runtime})
    if weights is not None and not _gives(weights, settings.operating_point, point):
        named = point["name"]
        if _gives(weights, named, point):
            section = section.model_copy(update={"operating_point": named})
    return settings.model_copy(update={"model": section})


def _with_digest(settings: Settings, digest: str) -> Iterator[Weights]:
    """Sets at hand that are those of a digest: the configured one first, then the released ones."""
    for named in (settings.weights, *list_weights()):
        try:
            weights = load_weights(named)
        except WeightsError:
            continue
        if weights.sha256 == digest:
            yield weights


def _gives(weights: Weights, named: str, point: Mapping[str, Any]) -> bool:
    """Whether a name, or a file, gives an operating point of the recorded version."""
    try:
        overall = choose_operating_point(weights, named).overall
    except WeightsError:
        return False
    return (overall.name, overall.version) == (point["name"], point["version"])

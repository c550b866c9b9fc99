"""The shadow model of a configuration: a worker of the lowest priority, and what it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dibmg.predictor import open_predictor
from dibmg.weights import load_weights
from dibmg_node import wiring
from dibmg_node.analyzing import model_limits
from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError
from dibmg_node.services.reading import Predictor
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.shadow import Shadow, ShadowOrder, read_only
from dibmg_node.storage.ledger import Ledger

_LOWEST = 19
"""Of nice(1): the first model gets every core that it wants."""


def make_shadow(settings: Settings, ledger: Ledger, is_ending: Callable[[], bool]) -> Shadow:
    """One worker of the shadow model; its model process is started by its first exam.

    Raises:
        ConfigError: There is none in the configuration.
        WeightsError: Its weights cannot be used.
    """
    if settings.shadow is None:
        raise ConfigError(["model.shadow: missing"])
    weights, operating_point = settings.shadow
    model = settings.model
    build = partial(
        _build_work, weights, model.runtime.value, operating_point, model.precision, model.threads
    )
    folder, level = wiring.log_folder(settings), settings.node.log_level
    return Shadow(
        archive=wiring.open_archive(settings),
        readings=ledger.shadow_readings,
        sandbox=Sandbox(
            build,
            partial(_prepare_child, folder, level, os.getpid()),
            model.deadline_seconds,
            model_limits(settings),
        ),
        policy=settings.exam_policy,
        weights_sha256=load_weights(weights).sha256,
        now=wiring.now,
        is_ending=is_ending,
    )


def _build_work(
    weights: str, runtime: str, operating_point: str, precision: str, threads: int
) -> Callable[[ShadowOrder], Mapping[str, Any]]:
    """Runs in the sandbox's child: load the model, give what carries out orders."""
    return partial(_carry_out, open_predictor(weights, runtime, operating_point, precision, threads))


def _carry_out(predictor: Predictor, order: ShadowOrder) -> Mapping[str, Any]:
    return read_only(order, predictor)


def _prepare_child(folder: Path, log_level: str, parent: int) -> None:
    wiring.prepare_child("shadow-model", folder, log_level, parent)
    os.nice(_LOWEST)

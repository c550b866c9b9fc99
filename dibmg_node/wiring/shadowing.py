"""The shadow model of a configuration: a worker of the lowest priority, and what it needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from dibmg.weights import load_weights
from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError
from dibmg_node.machine.child import prepare_child
from dibmg_node.services.sandbox import Sandbox
from dibmg_node.services.shadow import Shadow
from dibmg_node.storage.ledger import Ledger
from dibmg_node.wiring import foundation
from dibmg_node.wiring.analyzing import model_limits
from dibmg_node.wiring.model_process import build_shadow_reader

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
        build_shadow_reader, weights, model.runtime.value, operating_point, model.precision, model.threads
    )
    folder, level = foundation.log_folder(settings), settings.node.log_level
    return Shadow(
        archive=foundation.open_archive(settings),
        readings=ledger.shadow_readings,
        sandbox=Sandbox(
            build,
            partial(prepare_child, "shadow-model", folder, level, os.getpid(), _LOWEST),
            model.deadline_seconds,
            model_limits(settings),
        ),
        policy=settings.exam_policy,
        weights_sha256=load_weights(weights).sha256,
        now=foundation.now,
        is_ending=is_ending,
    )

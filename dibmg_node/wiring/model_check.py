"""Whether the models of a configuration can be opened, without opening them."""

from __future__ import annotations

from dibmg.operating_choice import choose_operating_point
from dibmg.runtime import check_runtime
from dibmg.weights import load_weights
from dibmg_node.config import Settings
from dibmg_node.errors import ConfigError, WeightsError


def check_model(settings: Settings) -> None:
    """Whether a model of these settings can be opened here, without loading it.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    complaints: list[str] = []
    try:
        check_runtime(settings.model.runtime)
    except ConfigError as error:
        complaints += error.complaints
    try:
        weights = load_weights(settings.weights)
    except WeightsError as error:
        complaints.append(f"model.weights: {error}")
    else:
        try:
            choose_operating_point(weights, settings.operating_point)
        except WeightsError as error:
            complaints.append(f"model.operating_point: {error}")
    if complaints:
        raise ConfigError(complaints)


def check_shadow(settings: Settings) -> None:
    """Whether the shadow model can be opened here, and is another one than the first.

    Raises:
        ConfigError: With every complaint at once, each with the path of its key.
    """
    if settings.shadow is None:
        return
    named, point = settings.shadow
    try:
        weights = load_weights(named)
    except WeightsError as error:
        raise ConfigError([f"model.shadow.weights: {error}"]) from error
    complaints = []
    try:
        choose_operating_point(weights, point)
    except WeightsError as error:
        complaints.append(f"model.shadow.operating_point: {error}")
    try:
        same = load_weights(settings.weights).sha256 == weights.sha256
    except WeightsError:
        same = False  # model.weights has a complaint of its own
    if same:
        complaints.append("model.shadow.weights: those of model.weights, expected others to compare with")
    if complaints:
        raise ConfigError(complaints)

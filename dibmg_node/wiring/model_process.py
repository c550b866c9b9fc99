"""The process of a model, which its worker confines: it has the model, and neither ledger nor queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dibmg_node.services.images import Predictor
from dibmg_node.services.orders import Answered, Asked, Reader, ShadowOrder, read_only


def open_model(
    weights: str, runtime: str, operating_point: str, precision: str, threads: int
) -> Predictor[Any]:
    """The model, in this process.

    Raises:
        WeightsError: The weights cannot be used.
    """
    # the worker that has such a process hands these functions over, and needs no model itself
    from dibmg.predictor import open_predictor

    return open_predictor(weights, runtime, operating_point, precision, threads)


def build_reader(
    weights: str, runtime: str, operating_point: str, precision: str, threads: int
) -> Callable[[Asked], Answered]:
    """Load the model, give what carries out orders."""
    return Reader(open_model(weights, runtime, operating_point, precision, threads)).carry_out


def build_shadow_reader(
    weights: str, runtime: str, operating_point: str, precision: str, threads: int
) -> Callable[[ShadowOrder], Mapping[str, Any]]:
    """The same for the shadow model, which writes nothing."""
    return partial(read_only, predictor=open_model(weights, runtime, operating_point, precision, threads))

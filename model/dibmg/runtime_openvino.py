"""DIB-MG on a CPU: the OpenVINO form of the weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dibmg.quiet_openvino import openvino
from dibmg.runtime_choice import Precision
from dibmg.weights import OPENVINO, Weights
from dibmg_node.errors import WeightsError

log = logging.getLogger(__name__)

_MAP_AXES: Final = 4
"""Of a map, by which it is told from what else a network gives: view, row, column, class."""


class OpenVinoRuntime:
    """One compiled network; views are read one by one: as fast as a batch, in less memory."""

    name = "openvino"

    def __init__(self, weights: Weights, precision: Precision, threads: int) -> None:
        core = openvino.Core()
        if precision is Precision.BF16 and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            log.warning("bfloat16 not computed by this processor", extra={"used": str(Precision.F32)})
            precision = Precision.F32
        self.precision = precision
        options = {
            # the default differs between processors, and so would results
            "INFERENCE_PRECISION_HINT": precision.value,
            "EXECUTION_MODE_HINT": "ACCURACY" if precision is Precision.F32 else "PERFORMANCE",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": "1",
            "PERFORMANCE_HINT": "LATENCY",
        }
        model = read_network(weights)
        try:
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise WeightsError(
                f"{weights.folder / OPENVINO} cannot be compiled by OpenVINO: {error}"
            ) from error
        self._map = next(output for output in compiled.outputs if len(output.shape) == _MAP_AXES)
        self._request = compiled.create_infer_request()

    def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Runtime.maps`."""
        found = []
        for view in views:
            results = self._request.infer([view[None, ..., None]])
            found.append(np.array(results[self._map][0], dtype=np.float32))
        return np.stack(found)


def read_network(weights: Weights) -> openvino.Model:
    """The OpenVINO form of a set, not compiled yet.

    Raises:
        WeightsError: It cannot be read, has other than one map, or takes or gives another size than the
            manifest says.
    """
    path = weights.folder / OPENVINO
    try:
        model = openvino.Core().read_model(path)
        views = [list(one.shape) for one in model.inputs]
        maps = [list(one.shape) for one in model.outputs if len(one.shape) == _MAP_AXES]
    except RuntimeError as error:  # that of an axis without a length is one, too
        raise WeightsError(f"{path} cannot be loaded by OpenVINO: {error}") from error
    if len(views) != 1 or len(maps) != 1:
        raise WeightsError(
            f"{path} has {len(views)} inputs and {len(maps)} outputs of four axes, expected one of each"
        )
    weights.check_network(views[0][1:], maps[0][1:])
    return model

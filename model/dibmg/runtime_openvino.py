"""DIB-MG on a CPU: the OpenVINO form of the weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dibmg.quiet_openvino import openvino
from dibmg.runtime_choice import Precision
from dibmg.weights import OPENVINO, Weights
from dibmg_node.errors import WeightsError

log = logging.getLogger(__name__)


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
        try:
            model = core.read_model(weights.folder / OPENVINO)
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise WeightsError(
                f"{weights.folder / OPENVINO} cannot be loaded by OpenVINO: {error}"
            ) from error
        maps = [output for output in compiled.outputs if len(output.shape) == 4]
        if len(maps) != 1:
            raise WeightsError(
                f"{weights.folder / OPENVINO} has {len(maps)} outputs of four axes, expected one"
            )
        self._map = maps[0]
        self._request = compiled.create_infer_request()

    def maps(self, views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """As `Runtime.maps`."""
        found = []
        for view in views:
            results = self._request.infer([view[None, ..., None]])
            found.append(np.array(results[self._map][0], dtype=np.float32))
        return np.stack(found)

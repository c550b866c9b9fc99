from __future__ import annotations

import numpy as np
import pytest

from dibmg.runtime import _require, open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.weights import load_weights
from dibmg_node.errors import ConfigError


def test_a_runtime_that_is_not_installed_is_refused_and_what_to_install_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.runtime: tensorflow needs no_such_package"):
        _require(("no_such_package",), RuntimeKind.TENSORFLOW, "dibmg-node[gpu]")


def test_maps_of_a_view_do_not_depend_on_the_views_beside_it() -> None:
    weights = load_weights("synthetic")
    size = weights.input_size
    runtime = open_runtime(weights, RuntimeKind.OPENVINO, threads=2)
    views = np.random.default_rng(3).uniform(-1, 1, (2, size, size, 1)).astype(np.float32)

    together = runtime.maps(views)

    cells = size // weights.architecture.stride
    assert together.shape == (2, cells, cells, 2)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[1:], runtime.maps(views[1:]))


def test_the_precision_in_use_is_told_also_where_bfloat16_is_not_computed() -> None:
    weights = load_weights("synthetic")

    runtime = open_runtime(weights, RuntimeKind.OPENVINO, Precision.BF16, threads=1)

    assert runtime.name == "openvino"
    assert runtime.precision in (Precision.F32, Precision.BF16)

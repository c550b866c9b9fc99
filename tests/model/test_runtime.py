from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from dibmg.architecture import AIR, Architecture, Context
from dibmg.export import export_weights
from dibmg.network import build_network, join_networks
from dibmg.runtime import _require, check_network, open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.runtime_tensorflow import in_bfloat16
from dibmg.scores import ExamPooling
from dibmg.training.finish import PAPERS
from dibmg.weights import MANIFEST, load_weights
from dibmg_node.errors import ConfigError, WeightsError

TINY = Architecture(initial_widths=(4, 4), block_widths=(4, 6, 6, 8), block_strides=(1, 1, 1, 1))
COARSE = Architecture(initial_widths=(4, 4), block_widths=(4, 6, 8, 8), block_strides=(1, 2, 2, 1))


def export(member: keras.Model, folder: Path, contexts: list[keras.Model], context: Context | None) -> None:
    """Write a set of one network of places, inputs of 64 pixels."""
    export_weights(
        [member],
        folder,
        preset="fine",
        architecture=TINY,
        input_size=64,
        exam_pooling=ExamPooling.MAXIMUM,
        operating_points=[PAPERS.as_json()],
        model_card="",
        words=dict.fromkeys(("name", "version", "trained_on", "license", "attribution", "how"), "test"),
        contexts=contexts,
        context=context,
    )


def test_a_runtime_that_is_not_installed_is_refused_and_what_to_install_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model\.runtime: tensorflow needs no_such_package"):
        _require(("no_such_package",), RuntimeKind.TENSORFLOW, "dibmg-node[gpu]")


def test_maps_of_a_view_do_not_depend_on_the_views_beside_it() -> None:
    weights = load_weights("synthetic")
    size = weights.input_size
    runtime = open_runtime(weights, RuntimeKind.OPENVINO, threads=2)
    views = np.random.default_rng(3).uniform(-1, 1, (2, size, size)).astype(np.float32)

    together = runtime.maps(list(views))

    cells = size // weights.architecture.stride
    assert together.shape == (2, cells, cells, 2)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[1:], runtime.maps([views[1]]))


def test_a_set_with_a_context_says_the_same_in_every_runtime_and_its_manifest_tells_of_it(
    tmp_path: Path,
) -> None:
    keras.utils.set_random_seed(5)
    member, whole = (build_network(architecture, 64) for architecture in (TINY, COARSE))
    context = Context("coarse", COARSE, 1, 0.5, 20.0, -0.5)
    views = np.full((2, 64, 64, 1), AIR, np.float32)
    views[0, 8:50, :40] = np.random.default_rng(3).uniform(-0.9, 1, (42, 40, 1))
    views[1, 8:60, -30:] = np.random.default_rng(4).uniform(-0.9, 1, (52, 30, 1))

    export(member, tmp_path / "set", [whole], context)

    weights = load_weights(tmp_path / "set")
    together = join_networks([member], TINY, 64, [whole], context)
    expected = np.asarray(together(views, training=False)["map"])
    assert weights.context == context
    for kind in RuntimeKind:
        maps = open_runtime(weights, kind, threads=1).maps(list(views[..., 0]))
        np.testing.assert_allclose(maps, expected, atol=1e-4)
    reduced = in_bfloat16(weights)
    reduced.set_weights(together.get_weights())
    assert np.abs(np.asarray(reduced(views, training=False)["map"]) - expected).max() < 2.0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"input_size": 128}, r"input of the network is \(64, 64, 1\), expected \(128, 128, 1\)"),
        (
            {"architecture": COARSE.as_json(), "map_stride": 32},
            r"map of the network is \(8, 8, 2\), expected",
        ),
    ],
)
def test_a_network_that_is_not_the_one_of_the_manifest_is_refused_by_every_runtime(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    export(build_network(TINY, 64), tmp_path / "set", [], None)
    manifest = json.loads((tmp_path / "set" / MANIFEST).read_text())
    (tmp_path / "set" / MANIFEST).write_text(json.dumps(manifest | changes))
    weights = load_weights(tmp_path / "set")

    for load in (check_network, *(partial(open_runtime, kind=kind, threads=1) for kind in RuntimeKind)):
        with pytest.raises(WeightsError, match=complaint):
            load(weights)


def test_networks_of_whole_views_that_the_context_does_not_count_are_refused(tmp_path: Path) -> None:
    member = build_network(TINY, 64)

    with pytest.raises(ValueError, match="found 1 networks of whole views"):
        export(member, tmp_path / "set", [build_network(COARSE, 64)], None)


def test_the_precision_in_use_is_told_also_where_bfloat16_is_not_computed() -> None:
    weights = load_weights("synthetic")

    runtime = open_runtime(weights, RuntimeKind.OPENVINO, Precision.BF16, threads=1)

    assert runtime.name == "openvino"
    assert runtime.precision in (Precision.F32, Precision.BF16)


def test_f32_is_float32_also_where_a_gpu_would_round_its_products_to_tf32(tmp_path: Path) -> None:
    export(build_network(TINY, 64), tmp_path / "set", [], None)
    tf.config.experimental.enable_tensor_float_32_execution(True)

    runtime = open_runtime(load_weights(tmp_path / "set"), RuntimeKind.TENSORFLOW, threads=1)

    assert runtime.precision is Precision.F32
    assert not tf.config.experimental.tensor_float_32_execution_enabled()

"""These tests load TensorFlow once, and keep what they compute small."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from dibmg.architecture import AIR, PRESETS, Architecture, Context, ViewPooling
from dibmg.network import build_network, count_convolutions, join_networks
from dibmg.operating_choice import choose_operating_point
from dibmg.predictor import DibmgPredictor
from dibmg.runtime import open_runtime
from dibmg.runtime_choice import Precision, RuntimeKind
from dibmg.scores import pool_view
from dibmg.synthesis.exam import synthesize_exam
from dibmg.weights import load_weights
from tests.model.factories_model import exam_of, read_exam

TINY = Architecture(initial_widths=(4, 4), block_widths=(4, 4, 4, 4))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_nineteen_convolutions_and_two_maps_of_its_stride(preset: str) -> None:
    architecture = PRESETS[preset]

    network = build_network(architecture, 512)

    side = 512 // architecture.stride
    assert count_convolutions(network) == 19
    assert network.output["map"].shape == (None, side, side, 2)
    assert network.output["z"].shape == (None, 2)


def test_the_paper_preset_has_the_size_that_its_widths_give() -> None:
    network = build_network(PRESETS["paper"], 1600)

    assert network.output["map"].shape == (None, 25, 25, 2)
    assert network.count_params() == pytest.approx(2.32e6, rel=0.01)


def test_z_is_the_spatial_mean_of_the_map() -> None:
    network = build_network(TINY, 128)
    views = np.random.default_rng(1).uniform(-1, 1, (2, 128, 128, 1)).astype(np.float32)

    outputs = network(views, training=False)

    np.testing.assert_allclose(np.mean(outputs["map"], axis=(1, 2)), outputs["z"], atol=1e-5)


@pytest.mark.parametrize("pooling", ViewPooling)
def test_z_of_the_network_is_what_the_node_pools_from_the_map(pooling: ViewPooling) -> None:
    architecture = dataclasses.replace(TINY, view_pooling=pooling)
    network = build_network(architecture, 128)
    views = np.full((2, 128, 128, 1), AIR, np.float32)
    views[0, 30:101, :50] = np.random.default_rng(1).uniform(-0.9, 1, (71, 50, 1))
    views[1, :, 64:] = 0.5

    outputs = network(views, training=False)

    for view in range(2):
        pooled = pool_view(np.asarray(outputs["map"][view]), views[view, ..., 0], pooling)
        np.testing.assert_allclose(pooled, outputs["z"][view], atol=1e-5)


def test_an_average_of_networks_has_the_mean_of_their_maps() -> None:
    members = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        members.append(build_network(TINY, 128))
    views = np.random.default_rng(1).uniform(-1, 1, (1, 128, 128, 1)).astype(np.float32)

    together = join_networks(members, TINY, 128)(views, training=False)

    for name in ("map", "z"):
        alone = [np.asarray(member(views, training=False)[name]) for member in members]
        assert not np.allclose(alone[0], alone[1])
        np.testing.assert_allclose(np.asarray(together[name]), np.mean(alone, axis=0), atol=1e-5)


def one_sided_views() -> NDArray[np.float32]:
    """Two views (2, 128, 128, 1), chest walls on the left and on the right, of other breasts."""
    views = np.full((2, 128, 128, 1), AIR, np.float32)
    random = np.random.default_rng(1)
    views[0, 20:110, :70] = random.uniform(-0.9, 1, (90, 70, 1))
    views[1, 40:100, -50:] = random.uniform(-0.9, 0, (60, 50, 1))
    return views


@pytest.mark.parametrize("pooling", ViewPooling)
@pytest.mark.parametrize("count", [1, 2])
def test_a_context_moves_a_map_to_the_score_that_it_has_a_say_in(count: int, pooling: ViewPooling) -> None:
    keras.utils.set_random_seed(3)
    architecture = dataclasses.replace(TINY, view_pooling=pooling)
    member, *contexts = [build_network(architecture, 128) for _ in range(1 + count)]
    views = one_sided_views()
    walls_left = np.stack([views[0], views[1, :, ::-1]])
    said = np.mean([np.asarray(context(walls_left, training=False)["z"]) for context in contexts], axis=0)
    alone = {name: difference(values) for name, values in member(views, training=False).items()}
    expected = 0.5 * alone["z"] + 20.0 * difference(said) - 1.5

    context = Context("coarse", architecture, count, 0.5, 20.0, -1.5)
    together = join_networks([member], architecture, 128, contexts, context)(views, training=False)

    assert abs(difference(said)[0] - difference(said)[1]) > 1e-3
    np.testing.assert_allclose(difference(together["z"]), expected, atol=1e-4)
    moved = (expected - alone["z"])[:, None, None]
    np.testing.assert_allclose(difference(together["map"]), alone["map"] + moved, atol=1e-4)


def difference(values: Any) -> NDArray[np.float32]:
    """Cancer minus normal."""
    return np.asarray(values)[..., 1] - np.asarray(values)[..., 0]


@pytest.mark.parametrize("preset", ["local", "fine", "near"])
def test_a_map_cell_sees_its_receptive_field_and_no_more(preset: str) -> None:
    architecture = PRESETS[preset]
    network = build_network(architecture, 512)
    views = np.zeros((1, 512, 512, 1), np.float32)
    cell = 16
    before = np.asarray(network(views, training=False)["map"])[0, cell, cell]
    middle, half = cell * architecture.stride + architecture.stride // 2, architecture.receptive_field // 2

    far, near = views.copy(), views.copy()
    outside = np.abs(np.arange(512) - middle) > half + architecture.stride
    far[0, outside, :, 0] = 1.0
    near[0, middle - half // 3 : middle + half // 3, :, 0] = 1.0

    assert outside.any()
    np.testing.assert_allclose(
        np.asarray(network(far, training=False)["map"])[0, cell, cell], before, atol=1e-4
    )
    assert np.abs(np.asarray(network(near, training=False)["map"])[0, cell, cell] - before).max() > 1e-3


@pytest.mark.parametrize("preset", ["local", "fine", "near"])
def test_a_map_cell_looks_at_its_own_middle(preset: str) -> None:
    architecture = dataclasses.replace(PRESETS[preset], map_pool=1)
    network = build_network(architecture, 512)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights(
                [
                    np.abs(value) / value[0, 0].size if value.ndim == 4 else value
                    for value in layer.get_weights()
                ]
            )
    views = tf.Variable(np.ones((1, 512, 512, 1), np.float32))
    cell = 16

    with tf.GradientTape() as tape:
        answer = network(views, training=False)["map"][0, cell, cell, 1]
    seen = np.abs(tape.gradient(answer, views).numpy()[0, ..., 0])

    places = np.arange(512) + 0.5
    middle = (cell + 0.5) * architecture.stride
    for axis in (0, 1):
        profile = seen.sum(axis=axis)
        assert (profile * places).sum() / profile.sum() == pytest.approx(middle, abs=architecture.stride / 4)


def test_the_receptive_field_of_the_paper_preset_is_the_published_one() -> None:
    assert PRESETS["paper"].receptive_field == 873


@pytest.mark.parametrize("preset", PRESETS)
def test_an_architecture_is_what_its_manifest_says(preset: str) -> None:
    architecture = PRESETS[preset]

    assert Architecture.from_json(json.loads(json.dumps(architecture.as_json()))) == architecture


def test_an_input_size_that_does_not_fit_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="500 is not a multiple of the map stride 64"):
        build_network(PRESETS["paper"], 500)


def test_openvino_and_tensorflow_give_the_same_maps_scores_and_findings() -> None:
    weights = load_weights("synthetic")
    point = choose_operating_point(weights, "default")
    exam = synthesize_exam(21, 0, weights.input_size, cancer=True)
    runtimes = [
        open_runtime(weights, kind, Precision.F32, threads=2)
        for kind in (RuntimeKind.OPENVINO, RuntimeKind.TENSORFLOW)
    ]

    results = [
        read_exam(DibmgPredictor(weights, runtime, point), exam_of(exam.mammograms), exam.mammograms)
        for runtime in runtimes
    ]

    assert [result.model.runtime for result in results] == ["openvino", "tensorflow"]
    for key in exam.mammograms:
        heat = [result.heatmaps[key].on((512, 384)) for result in results]
        np.testing.assert_allclose(*heat, atol=1e-3)
        assert results[0].scores.views[key] == pytest.approx(results[1].scores.views[key], abs=1e-4)
    assert results[0].scores.exam == pytest.approx(results[1].scores.exam, abs=1e-4)
    assert [finding.view for finding in results[0].findings] == [
        finding.view for finding in results[1].findings
    ]
    for a, b in zip(results[0].findings, results[1].findings, strict=True):
        assert a.center == pytest.approx(b.center, abs=1e-6)

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dibmg.training.augment import augment_view
from dibmg.training.batches import Batches, class_weights
from dibmg.training.examples import walls_left
from dibmg.training.patches import PatchPlan, make_patches
from dibmg.training.plan import Augmentation
from tests.model.training.factories_training import normal_breasts, tiny_examples, tiny_plan

EVERYTHING = Augmentation(
    contrast=0.2,
    brightness=0.2,
    flip_rows=0.5,
    mirror=0.5,
    rotation=10,
    zoom=0.2,
    shift=0.1,
    gamma=0.3,
    blur=0.5,
    erase=0.5,
)


def test_a_minibatch_is_the_same_whenever_it_is_made() -> None:
    examples = tiny_examples()
    plan = tiny_plan(augmentation={"rotation": 10, "mirror": 0.5}, view_dropout=0.3)

    alone = Batches(examples, plan).batch(5)
    in_stream = list(Batches(examples, plan, threads=3).stream(3, 7))[2]
    other = Batches(examples, plan).batch(6)

    for name, values in alone.items():
        np.testing.assert_array_equal(values, in_stream[name])
    assert not np.array_equal(alone["views"], other["views"])


def test_the_stream_has_every_minibatch_once_in_order() -> None:
    batches = Batches(tiny_examples(), tiny_plan())

    streamed = list(batches.stream(2, 9))

    assert len(streamed) == 7
    for number, batch in enumerate(streamed, start=2):
        np.testing.assert_array_equal(batch["views"], batches.batch(number)["views"])


def test_sampling_gives_both_classes_the_same_share() -> None:
    examples = tiny_examples(8).pick([0, 2, 4, 6, 1])  # four normals, one cancer

    labels = np.concatenate([batch["exams"] for batch in Batches(examples, tiny_plan()).stream(0, 4)])

    assert labels.mean() == 0.5


def test_without_balance_every_example_comes_once_an_epoch() -> None:
    examples = tiny_examples(8)
    plan = tiny_plan(balance="none", augmentation={"contrast": 0.0, "brightness": 0.0})

    sums = np.concatenate(
        [batch["views"].sum(axis=(1, 2, 3, 4)) for batch in Batches(examples, plan).stream(0, 2)]
    )

    assert len(set(sums.tolist())) == 8


def test_dropout_of_views_leaves_one_at_least() -> None:
    plan = tiny_plan(view_dropout=0.95)

    kept = np.concatenate([batch["kept"] for batch in Batches(tiny_examples(), plan).stream(0, 10)])

    assert (kept.sum(axis=1) >= 1).all()
    assert (kept.sum(axis=1) == 1).any()


def test_nothing_to_change_leaves_the_view_as_the_node_reads_it() -> None:
    view = tiny_examples().views[0]

    changed = augment_view(view, True, Augmentation(contrast=0, brightness=0), np.random.default_rng(1))

    assert changed.wall_right
    breast = view > 0
    np.testing.assert_allclose(changed.inputs[breast], view[breast] / 127.5 - 1.0, atol=1e-5)
    assert (changed.inputs[~breast] == -1.0).all()


def test_a_mirrored_view_has_its_wall_on_the_other_side() -> None:
    view = tiny_examples().views[0]

    changed = augment_view(view, True, Augmentation(mirror=1.0), np.random.default_rng(1))

    assert not changed.wall_right
    assert (changed.inputs[20:40, 0] > -1).all()
    assert (changed.inputs[:, -1] == -1).all()


def test_air_stays_air_and_values_stay_in_range() -> None:
    view = tiny_examples().views[0]

    for seed in range(20):
        changed = augment_view(view, True, EVERYTHING, np.random.default_rng(seed))
        assert changed.inputs.min() == -1.0
        assert changed.inputs.max() <= 1.0
        far = changed.inputs[:, :6] if changed.wall_right else changed.inputs[:, -6:]
        assert (far == -1.0).all()


def test_a_lesion_moves_with_its_view() -> None:
    view = np.full((64, 64), 40, np.uint8)
    view[20:32, 44:56] = 250
    still = Augmentation(contrast=0, brightness=0, mirror=0.5, rotation=20, zoom=0.3, shift=0.1)

    for seed in range(20):
        changed = augment_view(
            view, True, still, np.random.default_rng(seed), seed % 2 == 0, (view > 200).astype(np.uint8)
        )
        assert changed.lesion is not None
        bright, lesion = changed.inputs > 0.1, changed.lesion > 0
        assert (bright & lesion).sum() > 0.8 * (bright | lesion).sum() > 0


def test_what_is_erased_is_one_gray_and_no_lesion() -> None:
    view = np.tile(np.arange(100, 164, dtype=np.uint8), (64, 1))
    lesion = np.ones_like(view)
    erasing = Augmentation(contrast=0, brightness=0, erase=1.0)

    for seed in range(20):
        changed = augment_view(view, True, erasing, np.random.default_rng(seed), lesion=lesion)

        assert changed.lesion is not None
        rows, columns = np.nonzero(changed.lesion == 0)
        square = changed.inputs[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert square.shape[0] == square.shape[1] == rows.size**0.5
        assert 6 <= square.shape[0] <= 20
        assert np.ptp(square) == 0
        kept = changed.lesion > 0
        np.testing.assert_allclose(changed.inputs[kept], (view[kept] / 127.5) - 1, atol=1e-5)
    assert lesion.all()


def test_the_truth_of_a_cell_is_the_share_of_it_that_is_cancer() -> None:
    examples = tiny_examples(2)
    lesions = np.zeros_like(examples.views)
    lesions[2, 16:40, 40:64] = 1
    placed = np.array([True, True, True, False])
    known = dataclasses.replace(examples, lesions=lesions, placed=placed)
    still = {"contrast": 0.0, "brightness": 0.0}
    plan = tiny_plan(place_weight=1.0, batch=2, view_dropout=0.0, augmentation=still)

    batch = Batches(known, plan).batch(0)

    sick = int(np.flatnonzero(batch["exams"] == 1)[0])
    assert batch["placed"][sick].tolist() == [1.0, 0.0]
    assert batch["placed"][1 - sick].tolist() == [1.0, 1.0]
    stride = plan.architecture.stride
    cells = lesions[2].reshape(64 // stride, stride, 64 // stride, stride).mean(axis=(1, 3))
    np.testing.assert_allclose(batch["lesions"][sick, 0], cells)
    assert 0 < batch["lesions"][sick, 0].max() <= 1
    assert batch["lesions"].sum() == pytest.approx(cells.sum())


def test_an_inserted_lesion_is_told_with_its_place() -> None:
    sound = dataclasses.replace(normal_breasts(), placed=np.ones(4, bool))
    plan = tiny_plan(
        preset="fine",
        input_size=256,
        batch=4,
        view_dropout=0.0,
        place_weight=1.0,
        augmentation={"insert_lesion": 1.0},
    )

    batch = Batches(sound, plan).batch(0)

    assert (batch["placed"] == 1).all()
    assert (batch["lesions"].max(axis=(1, 2, 3)) > 0).all()


def test_columns_next_to_the_wall_are_cut_on_the_right_side() -> None:
    plan = tiny_plan(pooling="breast", wall_columns=32, augmentation={"mirror": 0.5})

    views = next(Batches(tiny_examples(), plan).stream(0, 1))["views"]

    assert views.shape[2:] == (64, 32, 1)
    assert (views[:, :, 12:52].min(axis=(2, 3, 4)) > -1).all()


def test_weights_give_both_classes_the_same_share_of_the_loss() -> None:
    labels = np.array([1, 0, 0, 0, -1], np.int8)

    negative, positive = class_weights(labels, tiny_plan(balance="loss"))

    assert 3 * negative == pytest.approx(positive)
    assert class_weights(labels, tiny_plan(balance="sampling")) == (1.0, 1.0)


def test_a_pair_of_patches_differs_by_its_lesion_alone() -> None:
    patches = make_patches(normal_breasts(), PatchPlan(count=4, side=96, largest=2.0))

    assert patches.exams.tolist() == [0, 1] * 4
    for pair in range(4):
        without, with_lesion = patches.views[2 * pair].astype(int), patches.views[2 * pair + 1].astype(int)
        changed = np.abs(with_lesion - without) > 0
        assert 0.0005 < changed.mean() < 0.9
        without_place, place = (patches.lesion(2 * pair + number) for number in (0, 1))
        assert without_place is not None
        assert not without_place.any()
        assert place is not None
        assert changed[place > 0].mean() > 0.3
        assert np.abs(with_lesion - without)[place > 0].mean() > np.abs(with_lesion - without).mean()
        assert patches.groups[2 * pair] == patches.groups[2 * pair + 1]


def test_patches_of_exams_with_cancer_are_refused() -> None:
    with pytest.raises(ValueError, match="normal examples"):
        make_patches(tiny_examples(), PatchPlan(count=1, side=64))


def test_an_inserted_lesion_changes_the_label_of_its_breast() -> None:
    plan = tiny_plan(
        preset="fine", input_size=256, batch=4, view_dropout=0.0, augmentation={"insert_lesion": 1.0}
    )

    batch = Batches(normal_breasts(), plan).batch(0)

    assert (batch["exams"] == 1).all()
    assert (batch["breasts"].max(axis=1) == 1).all()


def test_a_breast_is_sick_if_one_of_its_views_had_room_for_the_lesion() -> None:
    roomy = normal_breasts(2)
    views = roomy.views.copy()
    views[1] = 0
    exam = dataclasses.replace(
        roomy.pick([0]), views=views, members=(np.array([0, 1]),), right=np.zeros(2, bool)
    )
    plan = tiny_plan(
        preset="fine", input_size=256, batch=1, view_dropout=0.0, augmentation={"insert_lesion": 1.0}
    )

    batch = Batches(exam, plan).batch(0)

    assert batch["exams"].tolist() == [1.0]


def test_with_all_walls_left_right_breasts_are_mirrored_and_keep_their_label_and_lesion() -> None:
    examples = tiny_examples(2, views=1)
    both = dataclasses.replace(
        examples,
        right=np.array([True, False]),
        breasts=np.array([[1, -1], [-1, 0]], np.int8),
        lesions=(examples.views > 200).astype(np.uint8),
        placed=np.array([True, True]),
    )

    left = walls_left(both)

    assert not left.right.any()
    assert left.breasts.tolist() == [[-1, 1], [-1, 0]]
    assert left.lesions is not None
    assert both.lesions is not None
    for images, before in ((left.views, both.views), (left.lesions, both.lesions)):
        np.testing.assert_array_equal(images[0], before[0, :, ::-1])
        np.testing.assert_array_equal(images[1], before[1])


def test_an_example_of_both_breasts_has_no_one_side_to_be_shown_as() -> None:
    with pytest.raises(ValueError, match="both breasts"):
        walls_left(tiny_examples(2, views=2))

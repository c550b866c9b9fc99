"""Which images and labels the recipe of `default` shows to which network, on a made-up tree of its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from dibmg.data.manifest import Manifest
from dibmg.network import build_network
from dibmg.recipes import default
from dibmg.recipes.stages import Workshop
from dibmg.runtime import open_runtime
from dibmg.training.examples import UNKNOWN, Examples
from dibmg.training.plan import TrainingPlan
from dibmg.weights import KERAS, OPENVINO_VALUES, load_weights
from tests.model.data.layouts import write_csv

LINES = [
    # image, label, fold
    ("P1_L_CC", "malignant", "fold0"),
    ("P1_L_MLO", "malignant", "fold0"),
    ("P1_R_CC", "normal", "fold0"),
    ("P2_R_CC", "malignant", "fold1"),
    ("P2_R_MLO", "malignant", "fold1"),
    ("P3_L_CC", "benign", "fold2"),
]


def breast(right: bool) -> NDArray[np.uint8]:
    """A picture (512, 512) of a half ellipse, brighter toward the chest wall."""
    v, u = np.mgrid[0:512, 0:512] / 512
    shown = np.where((u / 0.5) ** 2 + ((v - 0.5) / 0.4) ** 2 < 1, 200 - 150 * u, 0).astype(np.uint8)
    return shown[:, ::-1] if right else shown


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_tree(folder: Path) -> None:
    """Images, masks and labels as the recipe expects them."""
    rows = []
    for image, label, fold in LINES:
        woman, side, view = image.split("_")
        write_picture(folder / "images" / f"{image}.jpg", breast(side == "R"))
        mask = ""
        if label == "malignant":
            mask = f"masks/{image}.png"
            lesion = np.zeros((512, 512), np.uint8)
            lesion[200:260, -140:-80] = 255
            lesion = lesion if side == "R" else lesion[:, ::-1]
            write_picture(folder / mask, lesion)
        path = f"images/{image}.jpg"
        rows.append([image, path, mask, woman, side, view, label, 60, "B", "4", "Mass", 1, fold])
    columns = "image,path,mask,patient,laterality,view,label,age,density,birads,findings,machine,fold"
    write_csv(folder / "labels.csv", columns, rows)


class Shown:
    """Takes the place of the training: keeps what it would have learned from, and gives first values back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.examples: dict[str, Examples] = {}

    def network(
        self,
        name: str,
        training: Callable[[], Examples],
        validation: Callable[[], Examples] | None,
        plan: TrainingPlan,
        initial: Path | None = None,
    ) -> Path:
        """As `Workshop.network`."""
        path = self.folder / f"{name}.weights.h5"
        if "patch" not in name:
            self.examples[name] = training()
        if not path.exists():
            keras.utils.set_random_seed(plan.seed)
            build_network(plan.architecture, None).save_weights(path)
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    write_tree(tmp_path / "cesm")
    (tmp_path / "work").mkdir()
    return Workshop(tmp_path / "work", 1)


@pytest.fixture
def cesm(shop: Workshop, tmp_path: Path) -> Manifest:
    return default.read_cesm(shop, tmp_path / "cesm")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, shop: Workshop) -> Shown:
    shown = Shown(shop.folder)
    monkeypatch.setattr(Workshop, "network", lambda _, *values, **named: shown.network(*values, **named))
    return shown


def test_networks_of_places_see_no_woman_of_the_fold_left_out_and_no_label_of_an_oblique_view(
    shop: Workshop, cesm: Manifest, shown: Shown
) -> None:
    default.train_members(shop, cesm, "fold0")

    (examples,) = shown.examples.values()
    assert examples.breasts.tolist() == [[1, UNKNOWN], [UNKNOWN, UNKNOWN], [UNKNOWN, 0]]
    assert examples.placed is not None
    assert examples.placed.all()


def test_networks_of_whole_breasts_see_cc_alone_and_every_wall_on_the_left(
    shop: Workshop, cesm: Manifest, shown: Shown
) -> None:
    default.train_contexts(shop, cesm, "fold1")

    assert len(shown.examples) == len(default.WHOLE_SEEDS)
    for examples in shown.examples.values():
        assert examples.breasts.tolist() == [[UNKNOWN, 1], [UNKNOWN, 0], [UNKNOWN, 0]]
        for (image,), (_, label) in zip(examples.members, examples.breasts, strict=True):
            columns = np.flatnonzero(examples.views[image].any(axis=0))
            assert columns.min() < 5
            assert 200 < columns.max() < 300
            lesion = examples.lesion(image)
            assert lesion is not None
            assert (examples.views[image][lesion > 0] > 0).all()
            assert lesion.any() == (label == 1)


def test_a_set_of_both_kinds_reads_a_view_and_stays_below_ten_megabytes(
    shop: Workshop, cesm: Manifest, shown: Shown, tmp_path: Path
) -> None:
    members, contexts = (train(shop, cesm, None) for train in (default.train_members, default.train_contexts))

    default.write_set(members, contexts, tmp_path / "set")

    weights = load_weights(tmp_path / "set")
    assert weights.members == len(default.SEEDS)
    assert weights.context is not None
    assert weights.context.members == len(default.WHOLE_SEEDS)
    assert open_runtime(weights).maps([np.full((512, 512), -1.0, np.float32)]).shape == (1, 64, 64, 2)
    assert all((tmp_path / "set" / name).stat().st_size < 10_000_000 for name in (KERAS, OPENVINO_VALUES))

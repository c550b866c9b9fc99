"""The set `default`: networks of places beside networks of whole breasts, on the CDD-CESM low-energy images.

Both are pretrained on synthetic patches and, unlike the paper's, told where the cancers are (the masks that
come with the images). The map of the first is fine; that of the second is coarse, and its mean learns the
label of the breast.

Cross-validated by woman in the folds that the images come with: no woman of a fold trained the networks that
read her. How they are trained and joined, though, was chosen by looking at these folds. The released set is
then trained on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dibmg.architecture import Context, ViewPooling
from dibmg.contrast_range import ContrastRange
from dibmg.data.importers.registry import import_layout
from dibmg.data.manifest import ImageRow, Manifest, read_manifest, write_manifest
from dibmg.recipes.stages import Workshop, load_networks
from dibmg.recipes.synthetic import PATCH_TRAINING, patch_network
from dibmg.training.examples import UNKNOWN, Examples, walls_left
from dibmg.training.finish import PAPERS, Threshold, contrast_of, finish
from dibmg.training.plan import TrainingPlan, Unit, plan_of
from dibmg_node.domain.study import View

SIZE: Final = 512
FOLDS: Final = ("fold0", "fold1", "fold2", "fold3")
SEEDS: Final = (1,)
"""One member of the average each."""
WHOLE_SEEDS: Final = (1, 2)
"""One network of whole breasts each."""
OWN: Final = 0.25
WHOLE_WEIGHT: Final = 0.75
"""Three parts of what the whole says to one of the places; both small, so that marks stay near the hottest
place of a view."""
WHOLE_OFFSET: Final = 0.35
"""So that nine of ten breasts without cancer score below about 0.5."""

_PLAN: Final[dict[str, Any]] = {
    "preset": "near",
    "pooling": "peak",
    "input_size": SIZE,
    "wall_columns": 352,
    "unit": "image",
    "batch": 8,
    "epochs": 12,
    "schedule": "cosine",
    "learning_rate": 0.01,
    "warmup_epochs": 1.0,
    "clip_norm": 5.0,
    "exam_weight": 0.0,
    "place_weight": 1.0,
    "choose": "last",
    "augmentation": {
        "contrast": 0.15,
        "brightness": 0.15,
        "gamma": 0.2,
        "mirror": 0.5,
        "flip_rows": 0.5,
        "rotation": 12.0,
        "zoom": 0.2,
        "shift": 0.05,
    },
}

_WHOLE: Final[dict[str, Any]] = {
    "preset": "coarse",
    "pooling": "breast",
    "input_size": SIZE,
    "wall_columns": 352,
    "unit": "image",
    "batch": 8,
    "epochs": 44,
    "schedule": "cosine",
    "learning_rate": 0.02,
    "clip_norm": 5.0,
    "exam_weight": 0.0,
    "place_weight": 0.5,
    "label_smoothing": 0.1,
    "choose": "last",
    "augmentation": {
        "contrast": 0.25,
        "brightness": 0.25,
        "gamma": 0.3,
        "flip_rows": 0.5,
        "rotation": 20.0,
        "zoom": 0.25,
        "shift": 0.06,
        "erase": 0.3,
    },
}

WHOLE_PATCH_TRAINING: Final = replace(
    PATCH_TRAINING, preset="coarse", pooling=ViewPooling.BREAST, breast_weight=1.0, learning_rate=0.02
)
"""How a network of whole breasts meets its first lesions."""

ATTRIBUTION: Final = (
    "Khaled R. et al. (2021), Categorized Digital Database for Low Energy and Subtracted Contrast Enhanced "
    "Spectral Mammography images (CDD-CESM), The Cancer Imaging Archive, doi:10.7937/29kw-ae92; Khaled R. et "
    "al. (2022), Scientific Data 9, doi:10.1038/s41597-022-01238-0; Clark K. et al. (2013), J Digit Imaging, "
    "doi:10.1007/s10278-013-9622-7"
)


def plan_for(seed: int) -> TrainingPlan:
    """The plan of one member."""
    return plan_of({**_PLAN, "seed": seed})


def whole_plan_for(seed: int) -> TrainingPlan:
    """How a network of whole breasts is trained."""
    return plan_of({**_WHOLE, "seed": seed})


def read_cesm(shop: Workshop, folder: Path) -> Manifest:
    """The manifest of all images: CC and MLO."""
    path = shop.folder / "cesm.csv"
    if not path.exists():
        write_manifest(import_layout("cesm-dev", folder).rows, path)
    return read_manifest(path)


def fold_of(row: ImageRow) -> str:
    """The fold of a row's woman."""
    return row.other["fold"]


def _name(left_out: str | None) -> str:
    return "all" if left_out is None else f"without-{left_out}"


def train_members(shop: Workshop, cesm: Manifest, left_out: str | None) -> list[Path]:
    """Values of the networks trained on every fold but one (None: on all)."""
    initial = patch_network(shop)
    name = _name(left_out)

    def training() -> Examples:
        examples = shop.examples(cesm, SIZE, Unit.IMAGE)
        # MLO exists for malignant breasts only: as a whole it would give the label away, so it teaches places
        oblique = np.array([row.view is not View.CC for row in cesm.rows])
        breasts = np.where(oblique[:, None], np.int8(UNKNOWN), examples.breasts)
        kept = [number for number, row in enumerate(cesm.rows) if fold_of(row) != left_out]
        return replace(examples, breasts=breasts).pick(np.array(kept))

    return [
        shop.network(f"default-{name}-{seed}", training, None, plan_for(seed), initial=initial)
        for seed in SEEDS
    ]


def train_contexts(shop: Workshop, cesm: Manifest, left_out: str | None) -> list[Path]:
    """The same of the networks of whole breasts: CC alone, since an MLO would give its label away."""
    initial = patch_network(shop, "default-whole-patch-network", WHOLE_PATCH_TRAINING)
    name = _name(left_out)

    def training() -> Examples:
        rows = enumerate(cesm.rows)
        kept = [number for number, row in rows if row.view is View.CC and fold_of(row) != left_out]
        return walls_left(shop.examples(cesm, SIZE, Unit.IMAGE).pick(kept))

    return [
        shop.network(f"default-whole-{name}-{seed}", training, None, whole_plan_for(seed), initial=initial)
        for seed in WHOLE_SEEDS
    ]


def write_set(
    members: Sequence[Path],
    contexts: Sequence[Path],
    folder: Path,
    point: Threshold = PAPERS,
    card: str = "",
    version: str = "2",
    contrast: ContrastRange | None = None,
) -> None:
    """A folder of weights of these networks of places and of whole breasts."""
    plan, whole = plan_for(SEEDS[0]), whole_plan_for(WHOLE_SEEDS[0])
    context = Context(whole.preset, whole.architecture, len(contexts), OWN, WHOLE_WEIGHT, WHOLE_OFFSET)
    words = {
        "name": "default",
        "version": version,
        "trained_on": "CDD-CESM low-energy images (8 bit, 512 pixels) of one hospital's series; before them "
        "synthetic ones",
        "license": "weights Apache-2.0; images CC BY 4.0",
        "attribution": ATTRIBUTION,
        "how": "make weights (python -m dibmg.recipes default)",
    }
    finish(
        load_networks(members, plan),
        plan,
        folder,
        point,
        words,
        card,
        load_networks(contexts, whole),
        context,
        contrast,
    )


def contrast_without(shop: Workshop, cesm: Manifest, left_out: str | None) -> ContrastRange | None:
    """Local contrast of the images of every fold but one (None: of all)."""
    kept = [number for number, row in enumerate(cesm.rows) if fold_of(row) != left_out]
    return contrast_of(shop.examples(cesm, SIZE, Unit.IMAGE).pick(kept))


def cross_validate(shop: Workshop, cesm: Manifest) -> Path:
    """Train a set for each fold, on the others; a folder with one set a fold, named as the folds are."""
    folder = shop.folder / "cross-validation"
    for fold in FOLDS:
        members, contexts = train_members(shop, cesm, fold), train_contexts(shop, cesm, fold)
        write_set(members, contexts, folder / fold, contrast=contrast_without(shop, cesm, fold))
    return folder

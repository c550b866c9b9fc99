"""Measuring the released sets, and their model cards: every figure in a card comes from here."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

from dibmg.data.importers.registry import import_layout
from dibmg.data.manifest import write_manifest
from dibmg.evaluation.evaluate import evaluate
from dibmg.evaluation.model_card import card_lines
from dibmg.evaluation.outputs import write_outputs
from dibmg.evaluation.request import Request
from dibmg.network import build_network
from dibmg.recipes.default import (
    OWN,
    SEEDS,
    WHOLE_OFFSET,
    WHOLE_PATCH_TRAINING,
    WHOLE_SEEDS,
    WHOLE_WEIGHT,
    contrast_without,
    plan_for,
    read_cesm,
    train_contexts,
    train_members,
    whole_plan_for,
    write_set,
)
from dibmg.recipes.folds import CrossValidation, measure_folds, point_of
from dibmg.recipes.scale import measure_scale
from dibmg.recipes.stages import Workshop, plan_words
from dibmg.recipes.synthetic import EXAM_TRAINING, PATCH_TRAINING, PATCHES, TEST, make_synthetic
from dibmg.training.finish import PAPERS, finish
from dibmg.weights import MODEL_CARD

log = logging.getLogger(__name__)


def release_synthetic(shop: Workshop, out: Path) -> None:
    """Make the set `synthetic`, measure it on exams of a new seed, write its card."""
    folder = make_synthetic(shop, out)
    untrained = shop.folder / "untrained"
    plan = EXAM_TRAINING
    keras.utils.set_random_seed(0)
    words = {
        "name": "untrained",
        "version": "0",
        "trained_on": "nothing",
        "license": "",
        "attribution": "",
        "how": "",
    }
    network = build_network(plan.architecture, plan.input_size)
    last = network.get_layer("aggregate")
    # as drawn it says 0 or 1 of everything; smaller values rank the exams in the same order
    last.set_weights([values * 1e-3 for values in last.get_weights()])
    finish([network], plan, untrained, PAPERS, words, "")
    test = shop.series(TEST)
    request = Request(manifest=test.path, weights=str(folder), compare=str(untrained), resample=True)
    evaluation = evaluate(request, _steps)
    write_outputs(evaluation, shop.folder / "report-synthetic")
    card = [
        "**Not for diagnosis, and not for real mammograms: this set was trained on synthetic images alone.**",
        "",
        *card_lines(evaluation),
        f"- {measure_scale(folder).sentence}",
        "",
        "## How it was made",
        "",
        f"1. Patches: {len(PATCHES)} times {plan_words(PATCHES[0])}. Training: {plan_words(PATCH_TRAINING)}.",
        f"2. Whole exams: {plan_words(EXAM_TRAINING)}.",
        "",
        "`untrained` is the same network with its first random values.",
        "",
        *_run_time(shop, lambda stage: not stage.startswith("default-")),
    ]
    (folder / MODEL_CARD).write_text("\n".join(card) + "\n", encoding="utf-8")


def release_default(shop: Workshop, out: Path, cesm_folder: Path, mias_folder: Path | None) -> None:
    """Make the set `default`, cross-validate it, evaluate it on mini-MIAS, write its card."""
    cesm = read_cesm(shop, cesm_folder)
    crossed = measure_folds(shop, cesm)
    point = point_of(crossed.evaluation)
    folder = out / "default"
    contrast = contrast_without(shop, cesm, None)
    members, contexts = train_members(shop, cesm, None), train_contexts(shop, cesm, None)
    write_set(members, contexts, folder, point, contrast=contrast)
    card = [
        "**Not for diagnosis: research use only. Trained on a few hundred images of one hospital's series; "
        "its scores say nothing about screening.**",
        "",
        *card_lines(crossed.evaluation, title="Cross-validated by woman"),
        *_cross_lines(crossed),
        *_external_lines(shop, folder, mias_folder),
        "",
        "## How it was made",
        "",
        f"1. Synthetic patches: {len(PATCHES)} times {plan_words(PATCHES[0])}. "
        f"Training for places: {plan_words(PATCH_TRAINING)}. "
        f"Training for whole breasts: {plan_words(WHOLE_PATCH_TRAINING)}.",
        "2. Places, on CDD-CESM low-energy images: CC by breast label, CC and MLO by the masks of their "
        "lesions (unlike the paper, whose training is told no place): "
        f"{plan_words(plan_for(SEEDS[0]))}. {_runs_in_words(SEEDS)}",
        "3. Whole breasts, on the CC images by breast label and by the masks, with a coarse map: "
        f"{plan_words(whole_plan_for(WHOLE_SEEDS[0]))}. {_runs_in_words(WHOLE_SEEDS)} "
        "With d, what the map of a view pools to, and d', their mean (cancer minus normal), all cells of the "
        f"map are moved alike so that it pools to {OWN:g} d + {WHOLE_WEIGHT:g} d' {WHOLE_OFFSET:+g}: they "
        "change the score, and no order among places.",
        "",
        *_run_time(shop, lambda stage: stage not in ("synthetic-network", "threshold", "test")),
    ]
    (folder / MODEL_CARD).write_text("\n".join(card) + "\n", encoding="utf-8")
    found = crossed.evaluation
    log.info("AUC %s, hits %s", found.area.text(), found.localization.hits.text())


def _runs_in_words(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"One run (seed {seeds[0]})."
    return f"Average of {len(seeds)} runs (seeds {', '.join(map(str, seeds))})."


def _cross_lines(crossed: CrossValidation) -> Iterator[str]:
    oblique = crossed.oblique
    yield ""
    yield "## Beside the network, on the same breasts"
    yield ""
    yield f"- AUC after random resampling and blur of every image: {crossed.resampled.text()}"
    yield f"- AUC of hand-made features (logistic regression, same folds): {crossed.by_hand.text()}"
    yield (
        f"- Hottest cell in the lesion, MLO images (all malignant): {oblique.hits.text(percent=True)}"
        + ("" if oblique.chance is None else f"; by chance {oblique.chance:.3f}")
    )
    yield "- What is unlike training was told by the images of the other folds."
    yield (
        "- How the networks are trained and joined was chosen by looking at these folds, and the offset puts "
        "0.5 where nine of ten without cancer are below: AUC and the row of 0.5 are somewhat too good. "
        "Those of whole breasts have learned from CC views alone, and read MLO views too."
    )
    yield (
        "- The operating point of the tables is the paper's 0.5; that of the set was chosen on all of these "
        "breasts together."
    )


def _external_lines(shop: Workshop, folder: Path, mias: Path | None) -> Iterator[str]:
    yield ""
    yield "## External evaluation: mini-MIAS"
    yield ""
    if mias is None:
        yield "Not run."
        return
    path = shop.folder / "mias.csv"
    write_manifest(import_layout("mias", mias).rows, path)
    evaluation = evaluate(Request(manifest=path, weights=str(folder), resample=True), _steps)
    content = write_outputs(evaluation, shop.folder / "report-mias")
    log.info("mini-MIAS %s", json.dumps(content["auc"]))
    yield (
        f"Untouched by training: {evaluation.units.sentence}; digitized films of the 1990s, MLO only. "
        "Suckling J. et al. (1994), Exerpta Medica Int. Congress Series 1069, 375-378."
    )
    yield ""
    unlike, images = evaluation.readings.unlike, evaluation.readings.images
    yield f"- Unlike the images of training, by local contrast: {len(unlike)} of {len(images)}"
    yield f"- AUC, malignant against the rest: {evaluation.area.text()}"
    if evaluation.resampled is not None:
        yield f"- … after random resampling and blur: {evaluation.resampled.text()}"
    for baseline in (one for one in evaluation.baselines if not one.constant):
        yield f"- {baseline.name.capitalize()} alone: AUC {baseline.area.text()}"
    hits = evaluation.localization
    yield f"- Hottest cell in the lesion: {hits.hits.text(percent=True)}" + (
        "" if hits.chance is None else f"; by chance {hits.chance:.3f}"
    )


def _run_time(shop: Workshop, belongs: Callable[[str], bool]) -> Iterator[str]:
    yield "## Run time"
    yield ""
    seconds = {stage: value for stage, value in shop.told_seconds().items() if belongs(stage)}
    cores = f"{os.cpu_count()} cores ({platform.machine()}), no GPU"
    yield f"On {cores}, in all {sum(seconds.values()) / 60:.0f} minutes:"
    yield ""
    yield from (f"- {name}: {value:.0f} s" for name, value in seconds.items())


def _steps(what: str, images: int) -> Callable[[], object]:
    log.info("%s: %d images", what, images)
    return lambda: None

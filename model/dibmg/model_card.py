"""The model card of a set trained on synthetic exams."""

from __future__ import annotations

from collections.abc import Mapping

from dibmg.measure import Measurement

_CARD = """\
**Not for diagnosis, and not for real mammograms: this set was trained on synthetic images alone.**

# DIB-MG `{name}`, version {version}

A placeholder that lets every part of the node run and be tested: scores rise where a synthetic lesion
is, and the heatmap shows its place. What it says about a real mammogram means nothing.

| | |
|---|---|
| Trained on | {trained_on} |
| License | {license} |
| Parameters | {parameters:,} |
| Made by | `{how}` |
| Supervision | label of the exam and of the breast; places of lesions are used for measuring only |

## Measured

On {exams} synthetic exams ({cancers} with a cancer in one breast) of a seed that neither training nor the
choice of the operating point has seen, normal and cancer exams from the same settings. Intervals: 95 %,
by 2000 bootstrap samples of exams (AUC) or Wilson (rates).

| | this set | untrained network |
|---|---|---|
| AUC, exams | {auc} | {untrained_auc} |
| AUC, breasts | {breast_auc} | {untrained_breast_auc} |
| Sensitivity at {threshold:.3f} | {sensitivity} | |
| Specificity at {threshold:.3f} | {specificity} | |
| Hottest cell inside the lesion, of {lesions} images | {hits} | {untrained_hits} |
| … by chance | {chance:.3f} | |
| AUC by breast size alone | {size_auc:.3f} | |
| AUC by brightness alone | {brightness_auc:.3f} | |

The score of an exam is that of its higher breast. A hit: the center of the hottest map cell inside the
breast lies inside the lesion's circle.

## How it was trained

{history}

## Known limits

The marked areas are many times larger than the lesions, and the hottest place is often beside the
lesion: what the score has learned about presence it has not learned about place.
Films, vendors, benign lesions, implants and clips of the real world were not seen. Widths and strides of
the network are inferred, not taken from the paper, and smaller than the paper's. What lies outside the
breast is set to air before the network, which the paper does not do.
"""


def synthetic_card(
    words: Mapping[str, str],
    figures: Measurement,
    untrained: Measurement,
    threshold: float,
    parameters: int,
    history: str,
) -> str:
    """Markdown; every figure in it comes from the two measurements."""
    return _CARD.format(
        **words,
        parameters=parameters,
        history=history,
        exams=figures.exams,
        cancers=figures.cancers,
        auc=figures.auc,
        breast_auc=figures.breast_auc,
        sensitivity=figures.sensitivity,
        specificity=figures.specificity,
        hits=figures.hits,
        lesions=figures.lesions,
        chance=figures.chance,
        size_auc=figures.size_auc,
        brightness_auc=figures.brightness_auc,
        threshold=threshold,
        untrained_auc=untrained.auc,
        untrained_breast_auc=untrained.breast_auc,
        untrained_hits=untrained.hits,
    )

"""Words of CDD-CESM that its published layout and the development part share.

Source: Khaled R. et al. (2022), Scientific Data 9:122, doi:10.1038/s41597-022-01238-0.
"""

from __future__ import annotations

import re
from typing import Final

from dibmg.data.importers.values import birads_of
from dibmg.data.manifest import Feature, Label

LABELS: Final = {"malignant": Label.CANCER, "benign": Label.BENIGN, "normal": Label.NORMAL}
SOURCE: Final = (
    "Khaled R. et al. (2021), CDD-CESM, TCIA, doi:10.7937/29kw-ae92; Khaled R. et al. (2022), "
    "Scientific Data 9:122, doi:10.1038/s41597-022-01238-0"
)
LICENSE: Final = "CC BY 4.0"
NOTES: Final = (
    "A hospital series, not screening; no manufacturer, `model` is the publisher's number of the machine.",
    "Features are read from the free text of findings; calcifications that it calls benign or vascular are "
    "left out. `surgery` and `clip` are yes where it speaks of an operation or a clip, else unknown.",
    "No size, no cancer type; densities that are mixed or missing stay empty.",
)

_FEATURES: Final = {
    Feature.MASS: r"\bmass(es)?\b",
    Feature.CALCIFICATION: r"calcif",
    Feature.ASYMMETRY: r"\bas+y?m+etr",
    Feature.DISTORTION: r"\bdistort",
}
_HARMLESS: Final = re.compile(r"^\s*(benign|vascular)\b", re.IGNORECASE)
_SURGERY: Final = re.compile(r"post\s*-?operative|post\s*-?surgical|lumpectom|mastectom", re.IGNORECASE)
_CLIP: Final = re.compile(r"\bclips?\b", re.IGNORECASE)


def features_of(findings: str) -> frozenset[Feature]:
    """Features in a text of findings, which `$` separates; its spelling is the publisher's."""
    words = " ".join(part for part in findings.split("$") if not _HARMLESS.match(part))
    return frozenset(
        feature for feature, pattern in _FEATURES.items() if re.search(pattern, words, re.IGNORECASE)
    )


def other_of(birads: str, findings: str, label: Label) -> dict[str, str]:
    """Further columns: BI-RADS (the highest of several), the findings as they are, surgery, clip, proof."""
    category = birads_of(birads)
    other = {"birads": "" if category is None else str(category), "findings": findings}
    if label is Label.CANCER:
        other["pathology_proven"] = "yes"
    if _SURGERY.search(findings):
        other["surgery"] = "yes"
    if _CLIP.search(findings):
        other["clip"] = "yes"
    return {name: text for name, text in other.items() if text}


def model_of(machine: str) -> str | None:
    """The machine's number as a model's name."""
    return f"machine {machine.removesuffix('.0')}" if machine.strip("_ ") else None

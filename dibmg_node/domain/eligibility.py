"""Which images may be read: the rules that look at one image alone."""

from __future__ import annotations

from dibmg_node.domain.policy import ExamPolicy, ImplantPolicy
from dibmg_node.domain.study import (
    STANDARD_VIEWS,
    Exclusion,
    ExclusionCode,
    ImageKind,
    Instance,
    Laterality,
    View,
    ViewModifier,
)

_HARMLESS_MODIFIERS = frozenset({ViewModifier.NIPPLE_IN_PROFILE, ViewModifier.INFRA_MAMMARY_FOLD})
"""Modifiers of a view that still shows the whole breast in its standard projection."""

_MAXIMUM_MAGNIFICATION = 1.2
"""A contact view enlarges by up to about 1.1; a magnification stand by 1.4 or more."""

_EXPECTED = f"expected {ImageKind.FOR_PRESENTATION}"

_SUBTRACTED_TYPES = frozenset({"SUBTRACTION", "RECOMBINED", "POST_CONTRAST", "HIGH_ENERGY"})


def exclude(i: Instance, policy: ExamPolicy) -> Exclusion | None:
    """The first rule that keeps one image out, looking at this image alone."""
    for code, applies, sentence in _rules(i, policy):
        if applies:
            return Exclusion(code, sentence, i.sop_uid, i.laterality)
    return None


def is_standard_view(i: Instance, policy: ExamPolicy) -> bool:
    """Whether an image shows a whole breast in one of the four standard views, whatever else it is."""
    is_whole = not _changing(i, policy) and not _is_magnified(i)
    return i.view_key in STANDARD_VIEWS and is_whole and not i.quality_control


def _changing(i: Instance, policy: ExamPolicy) -> list[ViewModifier]:
    """Modifiers that make another projection of a view."""
    reads_implants = policy.implants is ImplantPolicy.READ
    return [
        m
        for m in i.modifiers
        if m not in _HARMLESS_MODIFIERS and not (m is ViewModifier.IMPLANT_DISPLACED and reads_implants)
    ]


def _is_magnified(i: Instance) -> bool:
    return (i.magnification or 1.0) > _MAXIMUM_MAGNIFICATION


def _rules(i: Instance, policy: ExamPolicy) -> list[tuple[ExclusionCode, bool, str]]:
    """Rules in the order in which a person would ask; the first that applies is reported."""
    code = ExclusionCode
    types = set(i.image_type)
    displaced = ViewModifier.IMPLANT_DISPLACED in i.modifiers
    reads_implants = policy.implants is ImplantPolicy.READ
    changing = _changing(i, policy)
    return [
        (
            code.NOT_AN_IMAGE,
            i.kind is ImageKind.OTHER and not (i.modality == "MG" and i.rows),
            "not a mammogram: another object of the study",
        ),
        (
            # cassettes (CR) and older detectors (DX)
            code.SOP_CLASS_NOT_READ,
            i.kind is ImageKind.OTHER,
            f"image of modality MG, but of SOP class {i.sop_class_uid}: {_EXPECTED}",
        ),
        (
            code.TOMOSYNTHESIS,
            i.kind is ImageKind.TOMOSYNTHESIS,
            "breast tomosynthesis: the model reads 2D mammograms only",
        ),
        (
            code.PROJECTION,
            i.kind is ImageKind.PROJECTION,
            "breast projection image of a tomosynthesis: the model reads 2D mammograms only",
        ),
        (
            code.SECONDARY_CAPTURE,
            i.kind is ImageKind.SECONDARY_CAPTURE,
            f"Secondary Capture Image of modality {i.modality or '(missing)'}: {_EXPECTED}",
        ),
        (
            code.FOR_PROCESSING,
            i.kind is ImageKind.FOR_PROCESSING or i.presentation_intent == "FOR PROCESSING",
            "for processing (raw): the model reads For Presentation images only",
        ),
        (
            code.NOT_MAMMOGRAPHY,
            i.modality != "MG",
            f"modality is {i.modality or 'missing'}, expected MG",
        ),
        (code.QUALITY_CONTROL, i.quality_control, "quality-control or phantom image"),
        (code.MULTI_FRAME, i.frames != 1, f"{i.frames} frames, expected one"),
        (
            code.SYNTHESIZED_2D,
            any("GENERATED_2D" in t or t.startswith("TOMO") for t in types),
            "2D image synthesized from tomosynthesis: expected an acquired mammogram",
        ),
        (
            code.SUBTRACTED,
            bool(types & _SUBTRACTED_TYPES),
            "contrast or subtracted image: expected a plain mammogram",
        ),
        (
            code.BURNED_IN,
            i.burned_in,
            "annotations or CAD marks are burned into the pixels",
        ),
        (code.SPECIMEN, i.view is View.SPECIMEN, "specimen radiograph: expected a breast"),
        (
            code.LATERALITY_UNKNOWN,
            i.laterality not in (Laterality.RIGHT, Laterality.LEFT),
            f"laterality is {i.laterality or 'missing'}, expected R or L",
        ),
        (code.VIEW_UNKNOWN, i.view is None, "view is missing or unknown, expected CC or MLO"),
        (
            code.VIEW_NOT_STANDARD,
            i.view not in (View.CC, View.MLO),
            f"{i.view} view: the model reads CC and MLO only",
        ),
        (
            code.IMPLANT,
            (i.implant_present or displaced) and not reads_implants,
            "breast implant: the model was not made for breasts with implants",
        ),
        (
            code.VIEW_MODIFIED,
            bool(changing),
            f"view modifier {', '.join(changing)}: expected the plain projection",
        ),
        (
            code.MAGNIFIED,
            _is_magnified(i),
            f"magnified {i.magnification or 1.0:.2f} times: expected a contact view",
        ),
        (
            code.PARTIAL_VIEW,
            i.partial_view,
            "partial view of a breast that was too large for the detector: expected the whole breast",
        ),
        (
            code.ON_ITS_SIDE,
            _is_on_its_side(i.orientation),
            "lies on its side: Patient Orientation "
            + "\\".join(i.orientation)
            + ", expected the chest wall on the left or on the right",
        ),
    ]


def _is_on_its_side(orientation: tuple[str, ...]) -> bool:
    r"""Whether the header says that the chest wall is above or below the breast.

    `L\F` is no such thing: the template of a frontal view, which some systems put on every image.

    Source: Patient Orientation (0020,0020), PS3.3 C.7.6.1.1.1.
    """
    if len(orientation) != 2 or any(set(part) - set("APLRHF") for part in orientation):
        return False
    along_rows, along_columns = (part[:1] for part in orientation)
    return along_rows in {"L", "R", "H", "F"} and along_columns in {"A", "P"}

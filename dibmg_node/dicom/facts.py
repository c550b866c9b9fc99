"""Facts of the DICOM standard that the node relies on, and the node's own identity in it.

UIDs stand here as plain strings: the names in `pynetdicom.sop_class` are made at run time and
invisible to a type checker.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final
from uuid import UUID

from dibmg_node.domain.study import ImageKind, Laterality, View, ViewModifier

MANUFACTURER: Final = "dibmg_node"
MODEL_NAME: Final = "DIB-MG node"
ALGORITHM_NAME: Final = "DIB-MG"
IMPLEMENTATION_CLASS_UID: Final = "2.25.146219640462404226953384867303229640773"
IMPLEMENTATION_VERSION_NAME: Final = "DIBMG_NODE_01"
UID_NAMESPACE: Final = UUID("6e00b8f6-2a5c-5f0b-8f0e-7d1f6d0f4c55")
"""Namespace of every UID that the node makes (`2.25.` + uuid5)."""
RESULT_FORMAT_VERSION: Final = "7"
"""Changes whenever the same analysis would be written as other bytes."""

VERIFICATION: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP class. Source: PS3.4 J.3."""
STORAGE_COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
MG_FOR_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.2"
MG_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS: Final = "1.2.840.10008.5.1.4.1.1.13.1.3"
PROJECTION_FOR_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.13.1.4"
PROJECTION_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.13.1.5"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
MULTI_FRAME_TRUE_COLOR_SC: Final = "1.2.840.10008.5.1.4.1.1.7.4"
MULTI_FRAME_BYTE_SC: Final = "1.2.840.10008.5.1.4.1.1.7.2"
MULTI_FRAME_WORD_SC: Final = "1.2.840.10008.5.1.4.1.1.7.3"
BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED_SR: Final = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"
MAMMOGRAPHY_CAD_SR: Final = "1.2.840.10008.5.1.4.1.1.88.50"
RADIATION_DOSE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.67"
KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
GRAYSCALE_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
COLOR_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.2"
BLENDING_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.4"
DIGITAL_XRAY_FOR_PRESENTATION: Final = "1.2.840.10008.5.1.4.1.1.1.1"
DIGITAL_XRAY_FOR_PROCESSING: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
COMPUTED_RADIOGRAPHY: Final = "1.2.840.10008.5.1.4.1.1.1"
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
ULTRASOUND_MULTI_FRAME: Final = "1.2.840.10008.5.1.4.1.1.3.1"
ULTRASOUND: Final = "1.2.840.10008.5.1.4.1.1.6.1"
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS_P14: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"

PLAIN_SYNTAXES: Final[tuple[str, ...]] = (EXPLICIT_LE, IMPLICIT_LE)
LOSSLESS_SYNTAXES: Final[tuple[str, ...]] = (
    JPEG_LOSSLESS_SV1,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    JPEG_LOSSLESS_P14,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
)
"""Compressed; the plain ones are lossless, too."""
LOSSY_SYNTAXES: Final[tuple[str, ...]] = (
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_2000,
    HTJ2K,
)
LOSSY_METHODS: Final[Mapping[str, str]] = {
    JPEG_BASELINE: "ISO_10918_1",
    JPEG_EXTENDED: "ISO_10918_1",
    JPEG_LS_NEAR_LOSSLESS: "ISO_14495_1",
    JPEG_2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}
"""Lossy Image Compression Method (0028,2114) of a transfer syntax. Source: PS3.3 C.7.6.1.1.5.1."""
IMAGE_SYNTAXES: Final[tuple[str, ...]] = PLAIN_SYNTAXES + LOSSLESS_SYNTAXES + LOSSY_SYNTAXES
"""Accepted for images, most wanted first. Deflated (a bomb) and big endian (retired) are refused."""
LARGE_IMAGE_SYNTAXES: Final[tuple[str, ...]] = LOSSLESS_SYNTAXES + PLAIN_SYNTAXES + LOSSY_SYNTAXES
"""The same, most wanted first, for images of many frames: uncompressed, a tomosynthesis has gigabytes."""

_IMAGE_CLASSES: Final = (
    MG_FOR_PRESENTATION,
    MG_FOR_PROCESSING,
    TOMOSYNTHESIS,
    PROJECTION_FOR_PRESENTATION,
    PROJECTION_FOR_PROCESSING,
    SECONDARY_CAPTURE,
    MULTI_FRAME_TRUE_COLOR_SC,
    MULTI_FRAME_BYTE_SC,
    MULTI_FRAME_WORD_SC,
    DIGITAL_XRAY_FOR_PRESENTATION,
    DIGITAL_XRAY_FOR_PROCESSING,
    COMPUTED_RADIOGRAPHY,
    CT,
    MR,
    ULTRASOUND,
    ULTRASOUND_MULTI_FRAME,
)
_LARGE_IMAGE_CLASSES: Final = (TOMOSYNTHESIS, PROJECTION_FOR_PRESENTATION, PROJECTION_FOR_PROCESSING)
_DOCUMENT_CLASSES: Final = (
    BASIC_TEXT_SR,
    ENHANCED_SR,
    COMPREHENSIVE_SR,
    COMPREHENSIVE_3D_SR,
    MAMMOGRAPHY_CAD_SR,
    RADIATION_DOSE_SR,
    KEY_OBJECT_SELECTION,
    GRAYSCALE_PRESENTATION_STATE,
    COLOR_PRESENTATION_STATE,
    BLENDING_PRESENTATION_STATE,
    ENCAPSULATED_PDF,
)

ACCEPTED_CONTEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    VERIFICATION: PLAIN_SYNTAXES,
    **dict.fromkeys(_IMAGE_CLASSES, IMAGE_SYNTAXES),
    **dict.fromkeys(_LARGE_IMAGE_CLASSES, LARGE_IMAGE_SYNTAXES),
    **dict.fromkeys(_DOCUMENT_CLASSES, PLAIN_SYNTAXES),
}
"""Abstract syntax → transfer syntaxes that intake accepts, most wanted first. Objects that are no
mammograms are taken too, so that the auto-route of a whole study never fails on one context."""

IMAGE_KINDS: Final[Mapping[str, ImageKind]] = {
    MG_FOR_PRESENTATION: ImageKind.FOR_PRESENTATION,
    MG_FOR_PROCESSING: ImageKind.FOR_PROCESSING,
    TOMOSYNTHESIS: ImageKind.TOMOSYNTHESIS,
    PROJECTION_FOR_PRESENTATION: ImageKind.PROJECTION,
    PROJECTION_FOR_PROCESSING: ImageKind.PROJECTION,
    SECONDARY_CAPTURE: ImageKind.SECONDARY_CAPTURE,
    MULTI_FRAME_TRUE_COLOR_SC: ImageKind.SECONDARY_CAPTURE,
    MULTI_FRAME_BYTE_SC: ImageKind.SECONDARY_CAPTURE,
    MULTI_FRAME_WORD_SC: ImageKind.SECONDARY_CAPTURE,
}

MAMMOGRAM_CLASSES: Final = (
    MG_FOR_PRESENTATION,
    MG_FOR_PROCESSING,
    TOMOSYNTHESIS,
    PROJECTION_FOR_PRESENTATION,
    PROJECTION_FOR_PROCESSING,
)
"""A study with none of these, nor an image of another class with modality MG (Secondary Capture, CR, DX), is
not answered: a CAD report needs an image that it can speak of."""


class StoreStatus(IntEnum):
    """Statuses that intake answers with, to C-STORE and as Failure Reason to STOW-RS.

    Source: PS3.4 B.2.3, PS3.7 9.1.1.1.9 and Annex C; PS3.18 I.2.2.
    """

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


VIEW_CODES: Final[Mapping[str, tuple[View, str, str]]] = {
    # code value: (view, SRT code value, meaning); CID 4014
    "399162004": (View.CC, "R-10242", "cranio-caudal"),
    "399368009": (View.MLO, "R-10226", "medio-lateral oblique"),
    "399260004": (View.ML, "R-10224", "medio-lateral"),
    "399352003": (View.LM, "R-10228", "latero-medial"),
    "399099002": (View.LMO, "R-10230", "latero-medial oblique"),
    "399192008": (View.XCCL, "R-1024A", "cranio-caudal exaggerated laterally"),
    "399101009": (View.XCCM, "R-1024B", "cranio-caudal exaggerated medially"),
    "399196006": (View.FB, "R-10244", "caudo-cranial (from below)"),
    "399188001": (View.SIO, "R-102D0", "superolateral to inferomedial oblique"),
    "441555000": (View.ISO, "R-40AAA", "inferomedial to superolateral oblique"),
    "127457009": (View.SPECIMEN, "G-8310", "tissue specimen from breast"),
}

MODIFIER_CODES: Final[Mapping[str, tuple[ViewModifier, str]]] = {
    # SCT code value: (modifier, SRT code value); CID 4015
    "399161006": (ViewModifier.CLEAVAGE, "R-102D2"),
    "399011000": (ViewModifier.AXILLARY_TAIL, "R-102D1"),
    "399197002": (ViewModifier.ROLLED_LATERAL, "R-102D3"),
    "399226006": (ViewModifier.ROLLED_MEDIAL, "R-102D4"),
    "414493004": (ViewModifier.ROLLED_INFERIOR, "R-102CA"),
    "415670009": (ViewModifier.ROLLED_SUPERIOR, "R-102C9"),
    "399209000": (ViewModifier.IMPLANT_DISPLACED, "R-102D5"),
    "399163009": (ViewModifier.MAGNIFICATION, "R-102D6"),
    "399055006": (ViewModifier.SPOT_COMPRESSION, "R-102D7"),
    "399110001": (ViewModifier.TANGENTIAL, "R-102C2"),
    "442581004": (ViewModifier.NIPPLE_IN_PROFILE, "R-40AB3"),
    "441752004": (ViewModifier.ANTERIOR_COMPRESSION, "P2-00161"),
    "442593008": (ViewModifier.INFRA_MAMMARY_FOLD, "R-40ABE"),
    "442580003": (ViewModifier.AXILLARY_TISSUE, "R-40AB2"),
}

VIEW_BY_CODE: Final[Mapping[str, View]] = {
    code: view for sct, (view, srt, _) in VIEW_CODES.items() for code in (sct, srt)
}
MODIFIER_BY_CODE: Final[Mapping[str, ViewModifier]] = {
    code: modifier for sct, (modifier, srt) in MODIFIER_CODES.items() for code in (sct, srt)
}
LATERALITY_BY_CODE: Final[Mapping[str, Laterality]] = {
    # CID 244 and CID 6022, SCT and SRT
    "7771000": Laterality.LEFT,
    "24028007": Laterality.RIGHT,
    "51440002": Laterality.BOTH,
    "80248007": Laterality.LEFT,
    "73056007": Laterality.RIGHT,
    "63762007": Laterality.BOTH,
    "G-A101": Laterality.LEFT,
    "G-A100": Laterality.RIGHT,
    "G-A102": Laterality.BOTH,
    "T-04030": Laterality.LEFT,
    "T-04020": Laterality.RIGHT,
    "T-04080": Laterality.BOTH,
}


def standard_orientation(laterality: Laterality, view: View) -> tuple[str, str] | None:
    """Patient Orientation of a mammogram hung as it should be.

    Returns:
        Direction of the rows, then of the columns; None for other views than CC and MLO.

    Source: PS3.3 C.8.11.7 (DX and MG hang with the chest wall of the right breast at the right).
    """
    if laterality is Laterality.BOTH or view not in (View.CC, View.MLO):
        return None
    right = laterality is Laterality.RIGHT
    if view is View.CC:
        return ("P", "L") if right else ("A", "R")
    return ("P", "FL") if right else ("A", "FR")

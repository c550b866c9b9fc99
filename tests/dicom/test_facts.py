from __future__ import annotations

import pydicom.uid
import pynetdicom
import pytest
from pydicom.uid import UID

from dibmg_node.dicom import facts
from dibmg_node.dicom.header import is_uid
from dibmg_node.domain.study import ImageKind, Laterality, View

CLASSES = {
    name: value
    for name, value in vars(facts).items()
    if isinstance(value, str) and value.startswith("1.2.840.10008.5.1.4.1.1")
}
SYNTAXES = {
    "IMPLICIT_LE": "ImplicitVRLittleEndian",
    "EXPLICIT_LE": "ExplicitVRLittleEndian",
    "RLE_LOSSLESS": "RLELossless",
    "JPEG_BASELINE": "JPEGBaseline8Bit",
    "JPEG_EXTENDED": "JPEGExtended12Bit",
    "JPEG_LOSSLESS_P14": "JPEGLossless",
    "JPEG_LOSSLESS_SV1": "JPEGLosslessSV1",
    "JPEG_LS_LOSSLESS": "JPEGLSLossless",
    "JPEG_LS_NEAR_LOSSLESS": "JPEGLSNearLossless",
    "JPEG_2000_LOSSLESS": "JPEG2000Lossless",
    "JPEG_2000": "JPEG2000",
    "HTJ2K_LOSSLESS": "HTJ2KLossless",
    "HTJ2K_LOSSLESS_RPCL": "HTJ2KLosslessRPCL",
    "HTJ2K": "HTJ2K",
}


@pytest.mark.parametrize(("name", "keyword"), SYNTAXES.items())
def test_a_transfer_syntax_is_the_standards(name: str, keyword: str) -> None:
    assert getattr(facts, name) == getattr(pydicom.uid, keyword)


@pytest.mark.parametrize(("name", "value"), CLASSES.items())
def test_a_storage_class_is_in_the_standard_and_its_name_resembles(name: str, value: str) -> None:
    words = UID(value).name.lower().replace("-", " ")

    short = {"mg": "mammography", "sc": "secondary capture", "xray": "x ray", "sr": "sr"}
    known = [short.get(word, word) for word in name.lower().split("_")]
    assert any(word in words for word in known)


def test_the_nodes_own_uid_is_valid_and_its_version_name_short() -> None:
    assert is_uid(facts.IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(facts.IMPLEMENTATION_VERSION_NAME) <= 16


def test_deflated_and_big_endian_are_accepted_for_nothing() -> None:
    refused = {str(pydicom.uid.DeflatedExplicitVRLittleEndian), str(pydicom.uid.ExplicitVRBigEndian)}

    assert not any(refused & set(syntaxes) for syntaxes in facts.ACCEPTED_CONTEXTS.values())


@pytest.mark.parametrize("sop_class", facts.MAMMOGRAM_CLASSES)
def test_every_kind_of_mammogram_is_accepted_in_every_syntax(sop_class: str) -> None:
    assert set(facts.ACCEPTED_CONTEXTS[sop_class]) == set(facts.IMAGE_SYNTAXES)
    assert facts.IMAGE_KINDS[sop_class] not in (ImageKind.OTHER, ImageKind.SECONDARY_CAPTURE)


def test_all_accepted_contexts_fit_into_one_association() -> None:
    assert len(facts.ACCEPTED_CONTEXTS) <= 128
    assert set(CLASSES.values()) <= set(facts.ACCEPTED_CONTEXTS)
    assert pynetdicom.sop_class.Verification in facts.ACCEPTED_CONTEXTS


@pytest.mark.parametrize(
    ("laterality", "view", "orientation"),
    [
        (Laterality.RIGHT, View.CC, ("P", "L")),
        (Laterality.LEFT, View.CC, ("A", "R")),
        (Laterality.RIGHT, View.MLO, ("P", "FL")),
        (Laterality.LEFT, View.MLO, ("A", "FR")),
        (Laterality.BOTH, View.CC, None),
        (Laterality.LEFT, View.ML, None),
    ],
)
def test_mammograms_hang_with_the_chest_wall_to_their_side(
    laterality: Laterality, view: View, orientation: tuple[str, str] | None
) -> None:
    assert facts.standard_orientation(laterality, view) == orientation

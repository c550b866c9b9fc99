"""SOP classes with their roles, and the transfer syntaxes that they go in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydicom.uid import UID

from dibmg_node.config import Settings
from dibmg_node.conformance.content_trees import root_templates
from dibmg_node.conformance.iods import created_classes, created_syntaxes
from dibmg_node.conformance.markdown import code, table
from dibmg_node.conformance.specimen_images import full_exam
from dibmg_node.dicom import facts
from dibmg_node.dicom.header import instance_of
from dibmg_node.dicom.pixels import DECODED_SYNTAXES
from dibmg_node.domain.eligibility import exclude
from dibmg_node.domain.lifecycle import Proof
from dibmg_node.domain.policy import ExamPolicy
from dibmg_node.domain.study import ImageKind
from dibmg_node.services.cfind import STUDY_ROOT_FIND
from dibmg_node.services.cstore import offered_syntaxes
from dibmg_node.services.errand import STUDY_ROOT_GET
from dibmg_node.wiring.receiving import accepted_contexts

_SYNTAXES = "Image syntaxes", "Plain syntaxes"


def storage_classes() -> list[str]:
    """SOP classes that are received, in the order of the code."""
    return [uid for uid in facts.ACCEPTED_CONTEXTS if uid != facts.VERIFICATION]


def content_table() -> str:
    """Every kind of object, and what is done with it."""
    created = {uid: kind.value for kind, uid in created_classes().items()}
    analyzed = set(_analyzed_classes())
    return table(
        ("SOP class", "UID", "Created as", "Received and stored", "Analyzed"),
        (
            (_name(uid), code(uid), code(created.get(uid, "")), "Y", "Y" if uid in analyzed else "N")
            for uid in dict.fromkeys([*storage_classes(), *created])
        ),
    )


def template_table() -> str:
    """Root templates of the structured reports."""
    classes = created_classes()
    return table(
        ("SOP class", "Root template", "Result kind"),
        ((_name(classes[kind]), f"TID {template}", code(kind.value)) for kind, template in root_templates()),
    )


def roles_table() -> str:
    """DIMSE services: SOP class, and who is SCU and SCP."""
    sent = set(created_classes().values())
    rows = [
        ("Verification", facts.VERIFICATION, "Y", "Y"),
        ("Storage Commitment", facts.STORAGE_COMMITMENT, "Y", "N"),
        ("Query/Retrieve", STUDY_ROOT_FIND, "Y", "N"),
        ("Query/Retrieve", STUDY_ROOT_GET, "Y", "N"),
        *(("Storage", uid, "Y" if uid in sent else "N", "Y") for uid in storage_classes()),
    ]
    return table(
        ("Service", "SOP class", "UID", "SCU", "SCP"),
        ((service, _name(uid), code(uid), scu, scp) for service, uid, scu, scp in rows),
    )


def accepted_table(settings: Settings) -> str:
    """Presentation contexts that are accepted."""
    reports = "SCU; the requestor is SCP"
    return table(
        ("Abstract syntax", "UID", "Transfer syntaxes", "Role", "Extended negotiation"),
        (
            (
                _name(uid),
                code(uid),
                _SYNTAXES[syntaxes == facts.PLAIN_SYNTAXES],
                reports if uid == facts.STORAGE_COMMITMENT else "SCP",
                "none",
            )
            for uid, syntaxes in accepted_contexts(settings).items()
        ),
    )


def syntax_table() -> str:
    """Transfer syntaxes in the order in which they are preferred."""
    return table(
        ("Transfer syntax", "UID", *_SYNTAXES, "Lossy", "Decoded for analysis"),
        (
            (
                _name(uid),
                code(uid),
                "Y",
                "Y" if uid in facts.PLAIN_SYNTAXES else "N",
                "Y" if uid in facts.LOSSY_SYNTAXES else "N",
                "Y" if uid in DECODED_SYNTAXES else "N",
            )
            for uid in facts.IMAGE_SYNTAXES
        ),
    )


def offered_table() -> str:
    """Presentation contexts that deliveries propose: one for each transfer syntax."""
    return table(
        ("Result kind", "Abstract syntax", "UID", "Transfer syntax", "UID", "Role"),
        (
            (code(kind.value), _name(uid), code(uid), _name(syntax), code(syntax), "SCU")
            for kind, uid in sorted(created_classes().items())
            for syntax in offered_syntaxes(created_syntaxes()[kind])
        ),
    )


def fetch_table() -> str:
    """Presentation contexts that a fetch proposes."""
    plain = ", ".join(_name(uid) for uid in facts.PLAIN_SYNTAXES)
    return table(
        ("Abstract syntax", "UID", "Transfer syntaxes", "Role"),
        (
            (_name(STUDY_ROOT_FIND), code(STUDY_ROOT_FIND), plain, "SCU"),
            (_name(STUDY_ROOT_GET), code(STUDY_ROOT_GET), plain, "SCU"),
            (
                "those of the instances to fetch, out of the accepted ones",
                "",
                "as accepted, one context each",
                "SCP",
            ),
        ),
    )


def proof_table() -> str:
    """Presentation contexts that are proposed to ask for a proof."""
    plain = ", ".join(_name(uid) for uid in facts.PLAIN_SYNTAXES)
    return table(
        ("`proof`", "Abstract syntax", "UID", "Transfer syntaxes", "Role"),
        (
            (code(proof.value), _name(uid), code(uid), plain, "SCU")
            for proof, uid in (
                (Proof.COMMITMENT, facts.STORAGE_COMMITMENT),
                (Proof.QUERY, STUDY_ROOT_FIND),
            )
        ),
    )


def _analyzed_classes() -> Iterator[str]:
    """SOP classes of which an otherwise perfect mammogram is read."""
    perfect = instance_of(next(iter(full_exam().values())))
    for uid in storage_classes():
        kind = facts.IMAGE_KINDS.get(uid, ImageKind.OTHER)
        if exclude(replace(perfect, sop_class_uid=uid, kind=kind), ExamPolicy()) is None:
            yield uid


def _name(uid: str) -> str:
    return UID(uid).name

"""What the summaries of a report say, against what stands in it.

Source: TID 4001, 4015, 4016; definitions of 111241 to 111245, PS3.16 annex D.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dibmg_node.dicom import codes
from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr import terms
from dibmg_node.dicom.sr.complaints import Complaint, error, shown, warning
from dibmg_node.dicom.sr.tree import Node, Tree
from dibmg_node.dicom.sr.value_sets import same
from dibmg_node.dicom.sr.values import coded

_WITH_FINDINGS: Final = (codes.ALL_WITH_FINDINGS, codes.SOME_WITH_FINDINGS)
_ALL: Final = (codes.ALL_WITH_FINDINGS, codes.ALL_WITHOUT_FINDINGS)
_RULE: Final = "TID 4001 row 1"


def check_consistency(tree: Tree) -> Iterator[Complaint]:
    """Complaints about a findings summary that the findings or the other summaries belie."""
    summary = _child(tree.root, codes.FINDINGS_SUMMARY)
    value = None if summary is None else coded(summary)
    if summary is None or value is None:
        return
    findings = [
        node
        for node in summary.walk()
        if any(same(node.concept, one) for one in (codes.SINGLE_IMAGE_FINDING, terms.COMPOSITE_FEATURE))
    ]
    if any(same(value, one) for one in _WITH_FINDINGS) and not findings:
        yield error(
            summary, "TID 4001 row 3", f"{shown(value)} and no finding", "a finding, or another summary"
        )
    elif findings and not any(same(value, one) for one in _WITH_FINDINGS):
        # geometry and nipples that are not for presentation are found in normal images too
        yield warning(
            summary, _RULE, f"{shown(value)} and {len(findings)} findings", "a summary with findings"
        )
    for concept in (codes.SUMMARY_OF_DETECTIONS, codes.SUMMARY_OF_ANALYSES):
        other = _child(tree.root, concept)
        outcome = None if other is None else coded(other)
        if outcome is not None and _contradicts(value, outcome):
            yield error(
                summary, _RULE, f"{shown(value)} beside {concept.meaning} {shown(outcome)}", "one story"
            )


def _contradicts(summary: Code, outcome: Code) -> bool:
    if any(same(summary, one) for one in _ALL):
        return same(outcome, codes.FAILED) or same(outcome, codes.PARTIALLY_SUCCEEDED)
    done = same(outcome, codes.SUCCEEDED) or same(outcome, codes.PARTIALLY_SUCCEEDED)
    return same(summary, codes.NONE_SUCCEEDED) and done


def _child(parent: Node, concept: Code) -> Node | None:
    return next((one for one in parent.children if same(one.concept, concept)), None)

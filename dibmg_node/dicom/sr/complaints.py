"""What is wrong with a report, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dibmg_node.dicom.codes import Code
from dibmg_node.dicom.sr.rows import written
from dibmg_node.dicom.sr.tree import Node


class Severity(StrEnum):
    """How much it matters."""

    ERROR = "error"
    """The standard forbids it."""
    WARNING = "warning"
    """Allowed, disputed or retired; a reader may stumble."""


@dataclass(frozen=True)
class Complaint:
    """One departure from the standard.

    Attributes:
        path: Place of the content item in the tree (1.2.3), or of the parent of one that is missing; empty
            for an attribute outside of the tree.
        rule: Row of a template, or paragraph of the standard.
    """

    severity: Severity
    path: str
    rule: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = self.path or "header"
        return f"{self.severity} {place}: {self.rule}: found {self.found}, expected {self.expected}"


def error(node: Node, rule: str, found: str, expected: str) -> Complaint:
    """A complaint that makes the report wrong."""
    return Complaint(Severity.ERROR, node.path, rule, found, expected)


def warning(node: Node, rule: str, found: str, expected: str) -> Complaint:
    """A complaint that does not."""
    return Complaint(Severity.WARNING, node.path, rule, found, expected)


def shown(code: Code | None) -> str:
    """A code as a complaint shows it."""
    return "no code" if code is None else written(code)


def told(node: Node) -> str:
    """An item in words: no value, for it may be a patient's."""
    if node.by_reference:
        return f"{node.relationship or 'no relationship'} by reference"
    name = "" if node.concept is None else f" {written(node.concept)}"
    relationship = f"{node.relationship} " if node.relationship else ""
    return f"{relationship}{node.value_type or 'no value type'}{name}"

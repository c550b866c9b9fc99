"""Every sentence that makes a node degraded or down has its heading in docs/when-status-is-red.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dibmg_node"
PAGE = (ROOT / "docs" / "when-status-is-red.md").read_text()

LISTS = frozenset({"down", "degraded"})
"""Where reasons are put, as attributes of whatever holds them, or as arguments of these names."""
TOLD_BY = {
    "one.sentence": ("domain/pause.py", "sentence"),
    "report.warnings.values()": ("services/drift.py", "warnings"),
    "one['sentence']": ("services/drift.py", "warnings"),
    "str(error)": ("tasks.py", "_translated"),
    "overlong_wait(found, settings.alarms, now)": ("health/conditions.py", "overlong_wait"),
    "overlong_wait(found, limits, now)": ("health/conditions.py", "overlong_wait"),
    "overlong_audit(found, settings.alarms, now)": ("health/conditions.py", "overlong_audit"),
    "overlong_audit(found, limits, now)": ("health/conditions.py", "overlong_audit"),
    "one.warning(now)": ("health/certificate_watch.py", "warning"),
}
"""Expressions that hold a sentence of another function: its module, its name."""


class Sentences:
    """Collects the sentences that one function puts among the reasons."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._function = function

    def all(self) -> Iterator[str]:
        """Each as a regular expression: what is filled in may be anything."""
        for node in ast.walk(self._function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "append" and _is_list(node.func.value):
                    yield from self.patterns(node.args[0])
            elif isinstance(node, ast.AugAssign) and _is_list(node.target) and not _is_list(node.value):
                yield from self.patterns(node.value)

    def of_alarms(self) -> Iterator[str]:
        """The same of the alarms that it raises."""
        for node in ast.walk(self._function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Condition":
                yield from self.patterns(node.args[2])

    def patterns(self, node: ast.expr) -> Iterator[str]:
        """What an expression may be."""
        match node:
            case ast.Constant(value=str(text)):
                yield re.escape(text)
            case ast.JoinedStr(values=parts):
                yield "".join(map(self._part, parts))
            case ast.IfExp(body=first, orelse=second):
                yield from self.patterns(first)
                yield from self.patterns(second)
            case ast.BinOp(left=first, right=second):
                for one in self.patterns(first):
                    yield from (one + rest for rest in self.patterns(second))
            case ast.List(elts=several):
                for one in several:
                    yield from self.patterns(one)
            case ast.ListComp(elt=one) | ast.DictComp(value=one):
                yield from self.patterns(one)
            case ast.Name(id=name):
                yield from self._of_name(name)
            case _ if ast.unparse(node) in TOLD_BY:
                yield from _told_by(*TOLD_BY[ast.unparse(node)])
            case _:
                pytest.fail(f"cannot tell which sentence this is: {ast.unparse(node)}; add it to TOLD_BY")

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return re.escape(str(part.value))
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name):
            begun = [one for one in self._given(part.value.id) if isinstance(one, ast.JoinedStr)]
            if begun:  # a sentence that another goes on with
                return "".join(map(self._part, begun[0].values))
        return ".+"

    def _of_name(self, name: str) -> Iterator[str]:
        given = list(self._given(name))
        assert given, f"{self._function.name}: {name} is given nowhere"
        for one in given:
            yield from self.patterns(one)

    def _given(self, name: str) -> Iterator[ast.expr]:
        for node in ast.walk(self._function):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(node, ast.Assign | ast.NamedExpr) and target and ast.unparse(target) == name:
                yield node.value


def _is_list(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_list(node.body) and _is_list(node.orelse)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in LISTS


def _told_by(module: str, name: str) -> Iterator[str]:
    """What a function returns, or raises."""
    tree = ast.parse((PACKAGE / module).read_text())
    (function,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    sentences = Sentences(function)
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr | ast.DictComp):
            yield from sentences.patterns(node.value)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from sentences.patterns(node.exc.args[0])


@cache
def reasons() -> list[str]:
    """Every sentence of the program."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if not any(name in text for name in LISTS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                found += list(Sentences(node).all())
    return sorted(set(found))


def alarm_reasons() -> list[str]:
    """Every sentence that an alarm may have."""
    tree = ast.parse((PACKAGE / "health" / "conditions.py").read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [one for function in functions for one in Sentences(function).of_alarms()]


def headings() -> list[str]:
    """Examples of them on the page."""
    return re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


def test_every_reason_of_the_program_has_its_heading_and_what_to_do() -> None:
    missing = [one for one in reasons() if not any(re.fullmatch(one, told) for told in headings())]

    assert missing == []


def test_every_alarm_has_a_heading_that_begins_with_its_sentence() -> None:
    told = [heading.removeprefix("alarm: ") for heading in headings()]

    assert [one for one in alarm_reasons() if not any(re.match(one, heading) for heading in told)] == []


def test_every_heading_is_a_reason_that_the_program_gives() -> None:
    stale = [told for told in headings() if not any(re.fullmatch(one, told) for one in reasons())]

    assert stale == []


def test_under_every_heading_stands_what_to_do() -> None:
    chapters = re.split(r"^### `.+`$", PAGE, flags=re.MULTILINE)[1:]

    assert [one for one in chapters if len(one.strip()) < 60] == []


def test_the_sentences_are_found_at_all() -> None:
    assert len(reasons()) >= 20

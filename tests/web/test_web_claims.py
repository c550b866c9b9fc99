"""What the conformance statement says of the DICOMweb server, held against its routes and its code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from starlette.routing import Mount, Route

from dibmg_node import web as web_package
from dibmg_node.conformance.web_server import ANSWERS, RESOURCES
from tests.web.conftest import WebSide

_CHOSEN_BY_NAME = frozenset({"HTTPException", "_refusal", "PlainTextResponse"})


def test_the_statement_lists_every_resource_and_no_other(web: WebSide):
    (mount,) = [r for r in web.app().routes if isinstance(r, Mount) and r.path == "/dicom-web"]

    routes = {
        (method, route.path)
        for route in mount.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }

    assert {(one.method, one.path) for one in RESOURCES} == routes


def test_the_statement_lists_every_status_that_the_code_chooses():
    folder = Path(str(web_package.__file__)).parent

    chosen = {status for path in folder.glob("*.py") if path.stem != "health" for status in _statuses(path)}

    assert chosen == {status for status, *_ in ANSWERS}


def _statuses(path: Path) -> Iterator[int]:
    """Numbers that can only be statuses: arguments of refusals and answers, values of a table of them."""
    yield 200  # what an answer is where nothing else is said
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and 200 < node.value < 600:
            yield node.value

"""What the acceptor takes from pynetdicom, stated: if this fails, read `services/negotiation.py` again.

pynetdicom is pinned to the range that passes here. Its negotiation and its A-ASSOCIATE-AC are used
below the level of its documentation, without its AE.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pynetdicom
from pydicom.uid import UID
from pynetdicom import pdu, pdu_primitives, presentation

import dibmg_node.services
from dibmg_node.dicom import facts
from dibmg_node.services.negotiation import accept
from dibmg_node.services.proposal import read_proposal
from tests.services.wire_peers import SETTINGS, associate_rq, context

MOVED = "pynetdicom's internals moved: services/negotiation.py builds on this"


def test_the_version_is_one_that_was_tested():
    assert pynetdicom.__version__.startswith("3.0."), MOVED


def test_the_negotiation_takes_and_gives_what_it_did():
    parameters = list(inspect.signature(presentation.negotiate_as_acceptor).parameters)
    assert parameters == ["rq_contexts", "ac_contexts", "roles"], MOVED

    requested = presentation.PresentationContext()
    requested.context_id = 1
    requested.abstract_syntax = UID("1.2.3")
    requested.add_transfer_syntax(UID("1.2.840.10008.1.2"))
    results, roles = presentation.negotiate_as_acceptor([requested], [], {})

    assert (results[0].context_id, results[0].result, roles) == (1, 3, []), MOVED


def test_the_primitive_has_the_fields_that_are_set():
    primitive = pdu_primitives.A_ASSOCIATE()
    for name in (
        "application_context_name",
        "called_ae_title",
        "calling_ae_title",
        "presentation_context_definition_results_list",
        "user_information",
    ):
        assert isinstance(inspect.getattr_static(type(primitive), name), property), f"{MOVED}: {name}"


def test_the_answer_is_the_one_that_the_standard_describes():
    request = associate_rq(
        context(1, facts.VERIFICATION, facts.IMPLICIT_LE),
        context(3, facts.MG_FOR_PRESENTATION, facts.IMPLICIT_LE, facts.EXPLICIT_LE),
        context(5, "1.2.3", facts.IMPLICIT_LE),
        context(7, facts.MG_FOR_PRESENTATION, "1.2.840.10008.1.2.2"),
    )

    contexts, encoded = accept(read_proposal(memoryview(request)[6:]), SETTINGS)

    answer = pdu.A_ASSOCIATE_AC()
    answer.decode(encoded)
    results = {
        item.context_id: (item.result, str(item.transfer_syntax)) for item in answer.presentation_context
    }
    user = answer.user_information
    assert encoded[10:74] == request[10:74], f"{MOVED}: reserved bytes"
    assert answer.application_context_name == "1.2.840.10008.3.1.1.1"
    assert {number: result for number, (result, _) in results.items()} == {1: 0, 3: 0, 5: 3, 7: 4}, MOVED
    assert results[3][1] == facts.EXPLICIT_LE == contexts[3].transfer_syntax_uid, MOVED
    assert sorted(contexts) == [1, 3]
    assert user.maximum_length == 131072
    assert user.implementation_class_uid == facts.IMPLEMENTATION_CLASS_UID
    assert user.implementation_version_name == facts.IMPLEMENTATION_VERSION_NAME


def test_only_the_negotiation_of_the_acceptor_and_what_this_side_asks_for_know_pynetdicom():
    folder = Path(dibmg_node.services.__file__).parent
    importing = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "pynetdicom" for name in names):
                importing.add(path.stem)

    assert importing <= {"negotiation", "scu", "cstore", "cget", "cfind", "errand", "commitment"}

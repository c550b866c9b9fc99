"""The statement as a whole: chapters of text, with the tables that stand in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Final

from pydicom.uid import UID

from dibmg_node.config import Settings
from dibmg_node.conformance import (
    associations,
    audit_events,
    content_trees,
    iods,
    markdown,
    services,
    site,
    statuses,
    terms,
    web_server,
)
from dibmg_node.dicom import facts
from dibmg_node.dicom.query import LARGEST_LIMIT, LONGEST_KEY
from dibmg_node.domain.audit import PRIVATE_SCHEME
from dibmg_node.domain.lifecycle import FIRST_PROOF_WAIT, LONGEST_RETRY
from dibmg_node.services.command import LONGEST_COMMENT
from dibmg_node.services.lookup import MOST_STUDIES
from dibmg_node.services.presence import QUERIES

_CHAPTERS: Final = (
    "cover",
    "overview",
    "introduction",
    "model",
    "services",
    "configuration",
    "details",
    "security",
    "objects",
)
_CONTENTS: Final = "@@contents@@"


def conformance_statement(settings: Settings) -> str:
    """The conformance statement of a configuration, in Markdown.

    Source: PS3.2 Annex N.
    """
    filled = _Filled(_parts(settings))
    text = "\n".join(Template(_chapter(name)).substitute(filled) for name in _CHAPTERS)
    return text.replace(_CONTENTS, markdown.contents(text))


class _Filled(dict[str, str]):
    """Parts by name, each made when it is asked for."""

    def __init__(self, parts: Mapping[str, Callable[[], str]]) -> None:
        self._parts = parts

    def __missing__(self, name: str) -> str:
        return self._parts[name]()


def _chapter(name: str) -> str:
    return files(__package__).joinpath("chapters", f"{name}.md").read_text(encoding="utf-8")


def _parts(settings: Settings) -> Mapping[str, Callable[[], str]]:
    return {
        "version": partial(version, "dibmg-node"),
        "contents": lambda: _CONTENTS,
        "content_table": services.content_table,
        "template_table": services.template_table,
        "roles_table": services.roles_table,
        "accepted_table": partial(services.accepted_table, settings),
        "syntax_table": services.syntax_table,
        "offered_table": services.offered_table,
        "fetch_table": services.fetch_table,
        "proof_table": services.proof_table,
        "report_table": statuses.report_table,
        "commitment_table": statuses.commitment_table,
        "queries": lambda: str(QUERIES),
        "first_proof_wait": lambda: f"{FIRST_PROOF_WAIT.total_seconds() / 60:g} min",
        "longest_wait": lambda: f"{LONGEST_RETRY.total_seconds() / 60:g} min",
        "plain_syntaxes": lambda: " and ".join(UID(uid).name for uid in facts.PLAIN_SYNTAXES),
        "identity_table": associations.identity_table,
        "acceptance_table": partial(associations.acceptance_table, settings),
        "initiation_table": partial(associations.initiation_table, settings),
        "rejection_table": associations.rejection_table,
        "abort_table": associations.abort_table,
        "answered_table": statuses.answered_table,
        "store_table": statuses.store_table,
        "reason_table": statuses.reason_table,
        "http_table": statuses.http_table,
        "longest_comment": lambda: str(LONGEST_COMMENT),
        "alarm": lambda: f"{settings.alarms.delivery_minutes:g} min",
        "resource_table": web_server.resource_table,
        "answer_table": web_server.answer_table,
        "search_table": web_server.search_table,
        "largest_limit": lambda: str(LARGEST_LIMIT),
        "longest_key": lambda: str(LONGEST_KEY),
        "most_studies": lambda: str(MOST_STUDIES),
        "entity_table": partial(site.entity_table, settings),
        "parameter_table": partial(site.parameter_table, settings),
        "sender_table": partial(site.sender_table, settings),
        "destination_table": partial(site.destination_table, settings),
        "port_table": partial(site.port_table, settings),
        "audit_table": audit_events.audit_table,
        "audit_scheme": lambda: PRIVATE_SCHEME,
        "security_table": partial(site.security_table, settings),
        "suite_table": site.suite_table,
        "iod_tables": iods.iod_tables,
        "received_number": lambda: str(len(iods.created_classes()) + 2),
        "received_table": iods.received_table,
        "content_tables": content_trees.content_tables,
        "written_terms": terms.written_terms,
        "received_terms": terms.received_terms,
    }

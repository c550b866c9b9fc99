"""A line of the audit trail as the XML message that audit repositories take. Source: PS3.15 A.5.1."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

from dibmg_node.domain.audit import PRIVATE_SCHEME, EventId, EventType, Role
from dibmg_node.domain.counted import counted

_APPLICATION_SERVER: Final = "4"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
_STUDY_UID: Final = ("110180", "DCM", "Study Instance UID")
_NODE_ID: Final = ("110182", "DCM", "Node ID")
_USER: Final = ("11", "RFC-3881", "User Identifier")
_PATIENT: Final = ("2", "RFC-3881", "Patient Number")
_URI: Final = ("12", "RFC-3881", "URI")
_TYPES: Final = {one.code: one for one in EventType}
_ROLES: Final = {one.code: one for one in Role}


def audit_message(line: Mapping[str, Any]) -> bytes:
    """The message, UTF-8 without an XML declaration.

    Args:
        line: Of the trail, parsed.
    """
    root = Element("AuditMessage")
    _event(root, line)
    for one in line.get("participants", ()):
        _participant(root, one)
    source = SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(line["process"]))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for study in line.get("studies", ()):
        _study(root, study)
    if patient := line.get("patient"):
        # a pseudonym is the number of nobody's record: the name says so
        _object(root, _PATIENT, patient, name="pseudonym", kind="1", role="1")
    if query := line.get("query"):
        path, _, keys = str(query).partition("?")
        if line["event"] == EventId.AUDIT_LOG_USED.code:
            detail = {"Filter": keys} if keys else None
            _object(root, _URI, path, name="Security Audit Log", kind="2", role="13", detail=detail)
        else:
            _object(root, _URI, path, query=keys, kind="2", role="24")
    alert = {"Alert Description": str(line.get("description", ""))}
    if account := line.get("account"):
        _object(root, _USER, account, name=account, kind="2", role="11", detail=alert)
    if node := line.get("node"):
        _object(root, _NODE_ID, node, name=node, kind="2", role="13", detail=alert)
    encoded: bytes = tostring(root, encoding="utf-8", xml_declaration=False)
    return encoded


def _event(root: Element, line: Mapping[str, Any]) -> None:
    told = SubElement(
        root,
        "EventIdentification",
        EventActionCode=line["action"],
        EventDateTime=line["at"],
        EventOutcomeIndicator=str(line["outcome"]),
    )
    _code(told, "EventID", (line["event"], "DCM", line["name"]))
    if kind := line.get("type"):
        scheme = _TYPES[kind].scheme if kind in _TYPES else PRIVATE_SCHEME
        _code(told, "EventTypeCode", (kind, scheme, line["type_name"]))
    sentence = line.get("description", "")
    if repeated := line.get("repeated"):
        sentence = f"{sentence} ({counted(repeated, 'time')} more before)".strip()
    if sentence:
        SubElement(told, "EventOutcomeDescription").text = _clean(sentence)


def _participant(root: Element, one: Mapping[str, Any]) -> None:
    address = one.get("address", "")
    attributes = {"UserID": _clean(one["user"]), "UserIsRequestor": str(one["requestor"]).lower()}
    if address:
        kind = "2" if _is_address(address) else "1"
        attributes |= {"NetworkAccessPointID": _clean(address), "NetworkAccessPointTypeCode": kind}
    told = SubElement(root, "ActiveParticipant", attributes)
    if role := _ROLES.get(one.get("role", "")):
        _code(told, "RoleIDCode", (role.code, role.scheme, role.meaning))


def _study(root: Element, study: Mapping[str, Any]) -> None:
    told = _object(root, _STUDY_UID, study["study_uid"], name=study["study_uid"], kind="2", role="3")
    if study["instances"]:
        description = SubElement(told, "ParticipantObjectDescription")
        for sop_class_uid, number in study["instances"].items():
            SubElement(description, "SOPClass", UID=_clean(sop_class_uid), NumberOfInstances=str(number))


def _object(
    root: Element,
    id_type: tuple[str, str, str],
    identifier: str,
    *,
    kind: str,
    role: str,
    name: str = "",
    query: str | None = None,
    detail: Mapping[str, str] | None = None,
) -> Element:
    told = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(identifier),
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _code(told, "ParticipantObjectIDTypeCode", id_type)
    if query is None:
        SubElement(told, "ParticipantObjectName").text = _clean(name)
    else:
        SubElement(told, "ParticipantObjectQuery").text = _base64(query)
    for what, value in (detail or {}).items():
        SubElement(told, "ParticipantObjectDetail", type=what, value=_base64(value))
    return told


def _code(parent: Element, name: str, code: tuple[str, str, str]) -> None:
    value, scheme, meaning = code
    SubElement(parent, name, {"csd-code": value, "codeSystemName": scheme, "originalText": meaning})


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _clean(text: object) -> str:
    return _NOT_XML.sub("?", str(text))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True

"""The site: its AE titles, senders, destinations, ports, and every parameter that can be set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.conformance.markdown import code, table
from dibmg_node.sections.destinations import DestinationSection
from dibmg_node.sections.intake import IntakeSection
from dibmg_node.sections.web import WebSection
from dibmg_node.services.tls import SUITES
from dibmg_node.wiring.exposure import is_insecure

_TLS: Final = "TLS 1.2 or newer"


def entity_table(settings: Settings) -> str:
    """Application entities, all of one AE title."""
    intake = settings.intake
    where = f"{intake.address}, TCP port {intake.port}"
    return table(
        ("Application entity", "AE title", "Where", "Services"),
        (
            (
                "INTAKE",
                code(intake.ae_title),
                where,
                "Verification SCP, Storage SCP, Storage Commitment SCU (takes reports)",
            ),
            (
                "DELIVERY",
                code(intake.ae_title),
                "initiates only",
                "Verification SCU, Storage SCU, Storage Commitment SCU, Query/Retrieve SCU (C-FIND), "
                "STOW-RS and QIDO-RS user agent",
            ),
            (
                "FETCH",
                code(intake.ae_title),
                "initiates only",
                "Query/Retrieve SCU (C-FIND, C-GET), QIDO-RS and WADO-RS user agent",
            ),
            ("WEB", "", _web(settings), "STOW-RS, QIDO-RS and WADO-RS origin server"),
        ),
    )


def sender_table(settings: Settings) -> str:
    """Who may send by C-STORE."""
    rows = [
        (code(one.ae_title), code(str(one.address)), code(one.certificate_subject or ""))
        for one in settings.sender
    ]
    return table(
        ("Calling AE title", "Address", "Subject of its certificate"),
        rows or [("any", "this machine alone (loopback)", "")],
    )


def destination_table(settings: Settings) -> str:
    """Who gets results, and whom studies can be fetched from."""
    if not settings.destination:
        return "No destination is configured."
    return table(
        ("Name", "By", "Where", "AE title", "Results", "Studies that were not read", "Finding code", "Proof"),
        (
            (
                code(one.name),
                {"cstore": "C-STORE", "stow": "STOW-RS"}[one.kind],
                code(one.url or f"{one.address}:{one.port}"),
                code(one.ae_title or ""),
                ", ".join(code(kind.value) for kind in one.results),
                "answered" if one.answer_unread else "not answered",
                code(one.finding_code.value),
                code(one.proof.value),
            )
            for one in settings.destination
        ),
    )


def security_table(settings: Settings) -> str:
    """How connections of this configuration are protected."""
    intake, web = settings.intake, settings.web
    who = "AE title and address of the sender"
    if intake.tls and intake.tls.ca:
        who += ", with a certificate of `intake.tls.ca`"
    if any(one.certificate_subject for one in settings.sender):
        who += " and the subject that the sender names"
    web_who = "client certificate" if web and web.tls and web.tls.ca else "bearer token, or loopback alone"
    rows = [
        ("DICOM association that is accepted", _encryption(intake), who),
        ("DICOMweb server", "off" if web is None else _encryption(web), web_who if web else ""),
        *((f"destination {code(one.name)}", *_protection(one)) for one in settings.destination),
    ]
    return table(("Connection", "Encryption", "Who may"), rows)


def suite_table() -> str:
    """What is agreed to in a TLS handshake, on both sides."""
    rows = [("TLS 1.3", "all that OpenSSL has for it"), ("TLS 1.2", ", ".join(code(one) for one in SUITES))]
    return table(("Version", "Cipher suites"), rows)


def port_table(settings: Settings) -> str:
    """TCP ports."""
    over = " over TLS"
    upper = "DICOM upper layer"
    rows = [("in", str(settings.intake.port), upper + (over if settings.intake.tls else ""), "INTAKE")]
    if settings.web is not None:
        rows.append(("in", str(settings.web.port), "HTTPS" if settings.web.tls else "HTTP", "WEB"))
    rows += [
        (
            "out",
            str(one.port),
            upper + (over if one.tls else ""),
            f"DELIVERY and FETCH, destination {code(one.name)}",
        )
        for one in settings.destination
        if one.port is not None
    ]
    rows += [
        ("out", code(one.url), "HTTP(S)", f"DELIVERY and FETCH, destination {code(one.name)}")
        for one in settings.destination
        if one.url
    ]
    return table(("Direction", "Port", "Protocol", "Application entity"), rows)


def parameter_table(settings: Settings) -> str:
    """Every key of the configuration with what it may be, its default and its value here."""
    return table(("Key", "May be", "Default", "Here"), _parameters(settings))


def _parameters(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    schema = Settings.model_json_schema()
    defaults, here = Settings().model_dump(mode="json"), settings.model_dump(mode="json")
    for section, told in schema["properties"].items():
        kind, repeated = _section(told, schema["$defs"])
        for key, rule in kind["properties"].items():
            default = rule.get("default") if repeated or not defaults[section] else defaults[section][key]
            value = "" if repeated or not here[section] else _value(here[section][key])
            needed = key in kind.get("required", ())
            told_default = "needed" if needed else _value(default)
            yield code(f"{section}.{key}"), _allowed(rule, schema["$defs"]), told_default, value


def _section(told: Any, definitions: Any) -> tuple[Any, bool]:
    """The schema of a section, and whether it may be there more than once."""
    if "items" in told:
        return _resolved(told["items"], definitions), True
    return _resolved(told, definitions), False


def _resolved(rule: Any, definitions: Any) -> Any:
    for one in rule.get("anyOf", [rule]):
        if "$ref" in one:
            return definitions[one["$ref"].rpartition("/")[2]]
    return rule


def _allowed(rule: Any, definitions: Any) -> str:
    if "anyOf" in rule and "$ref" not in str(rule["anyOf"]):
        return ", or ".join(_allowed(one, definitions) for one in rule["anyOf"] if one.get("type") != "null")
    resolved = _resolved(rule, definitions)
    if "enum" in resolved or "const" in resolved:
        return ", ".join(code(str(one)) for one in resolved.get("enum", [resolved.get("const")]))
    if resolved.get("type") == "array":
        return f"a list of {_allowed(resolved['items'], definitions)}"
    if resolved.get("type") == "object":
        return "a section: " + ", ".join(code(key) for key in resolved["properties"])
    bounds = [
        f"{word} {resolved[name]:g}"
        for name, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if name in resolved
    ]
    return " ".join([resolved.get("format") or resolved.get("type", ""), *bounds])


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(
        ", ".join(map(str, value))
        if isinstance(value, list | tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _web(settings: Settings) -> str:
    web = settings.web
    if web is None:
        return "off (no `[web]` in the configuration)"
    stow = "" if settings.stow.enabled else "; STOW-RS off"
    return f"{web.address}, TCP port {web.port}{stow}"


def _encryption(section: IntakeSection | WebSection) -> str:
    return _TLS if section.tls else "none: accepted by `insecure`" if is_insecure(section) else "none"


def _protection(one: DestinationSection) -> tuple[str, str]:
    encrypted = one.tls is not None or (one.url or "").startswith("https:")
    ways = {
        "bearer token": one.token_env,
        "user name and password": one.username,
        "OAuth2 client credentials": one.oauth,
        "client certificate": one.tls and one.tls.certificate,
    }
    used = [way for way, there in ways.items() if there]
    anonymous = "AE title" if one.kind == "cstore" else "anonymous"
    return (f"{_TLS}, certificate verified" if encrypted else "none", ", ".join(used) or anonymous)

"""Facts of an instance as JSON text, for the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Final

from dibmg_node.domain.study import ImageKind, Instance, Laterality, View, ViewModifier

_KNOWN: Final = frozenset(field.name for field in fields(Instance))


def dump_facts(instance: Instance) -> str:
    """Write an instance's facts."""
    return json.dumps(asdict(instance), separators=(",", ":"))


def load_facts(text: str) -> Instance:
    """Read back what `dump_facts` wrote; facts of a name that this program does not know are left out."""
    facts = json.loads(text)
    facts["kind"] = ImageKind(facts["kind"])
    facts["laterality"] = Laterality(facts["laterality"]) if facts["laterality"] else None
    facts["view"] = View(facts["view"]) if facts["view"] else None
    facts["modifiers"] = tuple(ViewModifier(modifier) for modifier in facts["modifiers"])
    for name in ("image_type", "orientation"):
        facts[name] = tuple(facts[name])
    return Instance(**{name: value for name, value in facts.items() if name in _KNOWN})

"""Takes from highdicom's copy of PS3.3 what the conformance statement says of written attributes.

`python -m tests.conformance.extract` renews the file in the package.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from dibmg_node.conformance import standard
from dibmg_node.conformance.provenance import written_attributes
from dibmg_node.conformance.specimens import specimens
from dibmg_node.domain.result import ResultKind

_USAGES = ("M", "C", "U")


def extract() -> dict[str, dict[str, list[str]]]:
    """Module and type by SOP class and path of every attribute that is written."""
    modules = {name: _index(attributes) for name, attributes in _table("module_attribute_map").items()}
    iods, classes = _table("iod_module_map"), _table("sop_class_iod_map")
    extracted = {}
    for kind in ResultKind:
        written = written_attributes(kind)
        (uid,) = {str(one.SOPClassUID) for specimen in specimens().all for one in specimen.of_kind(kind)}
        order = sorted(iods[classes[uid]], key=lambda module: _USAGES.index(module["usage"]))
        extracted[uid] = {
            "/".join(one.path): next(
                (
                    [_words(module["key"]), modules[module["key"]][one.path]]
                    for module in order
                    if one.path in modules[module["key"]]
                ),
                ["", ""],
            )
            for one in written
        }
    return extracted


def written_file() -> str:
    """JSON with one attribute a line."""
    classes = []
    for uid, attributes in extract().items():
        lines = [f"  {json.dumps(path)}: {json.dumps(told)}" for path, told in attributes.items()]
        classes.append(f" {json.dumps(uid)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(classes) + "\n}\n"


def _index(attributes: list[dict[str, Any]]) -> dict[tuple[str, ...], str]:
    return {(*one["path"], one["keyword"]): one["type"] for one in attributes}


def _table(name: str) -> Any:
    return json.loads(files("highdicom").joinpath("_standard", f"{name}.json").read_text())


def _words(key: str) -> str:
    return " ".join(
        word.upper() if word in ("sr", "sop", "sc", "voi", "lut") else word.title() for word in key.split("-")
    )


if __name__ == "__main__":
    (Path(standard.__file__).parent / standard.FILE).write_text(written_file(), encoding="utf-8")

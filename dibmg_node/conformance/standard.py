"""What the standard says of the attributes that results have: module and type.

`attribute_types.json` holds an extract of PS3.3 for the attributes that are written, and no others; a test
holds it against the tables that it was taken from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from dibmg_node.conformance.watched import AttributePath
from dibmg_node.errors import PermanentError

FILE: Final = "attribute_types.json"


class Requirement(NamedTuple):
    """What PS3.3 says of an attribute in an IOD.

    Attributes:
        module: In words; empty where no module of the IOD has the attribute.
        type: 1, 1C, 2, 2C or 3; empty likewise.
    """

    module: str
    type: str


def requirement(sop_class_uid: str, path: AttributePath) -> Requirement:
    """What PS3.3 says of an attribute.

    Raises:
        PermanentError: The extract does not know the attribute: it is older than the code that writes it.
    """
    try:
        return _types()[sop_class_uid]["/".join(path)]
    except KeyError as error:
        raise PermanentError(
            f"{FILE} has no {'/'.join(path)} of SOP class {sop_class_uid}: "
            "run python -m tests.conformance.extract"
        ) from error


@cache
def _types() -> Mapping[str, Mapping[str, Requirement]]:
    content = json.loads(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    return {
        uid: {path: Requirement(*told) for path, told in attributes.items()}
        for uid, attributes in content.items()
    }

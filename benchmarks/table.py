"""The table of `benchmarks/README.md`, out of what `benchmarks/results/` has.

python -m benchmarks.table
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import rows
from benchmarks.rounds import FOLDER
from benchmarks.row import Place, Row

README: Final = Path(__file__).parent / "README.md"
BEGIN: Final = "<!-- python -m benchmarks.table writes from here -->"
END: Final = "<!-- to here -->"
_HEAD: Final = ("figure", "measured", "limit or peer", "ratio", "aim", "met", "what separates them")
NOT_MEASURED: Final = "not measured"
_NAMES: Final = (
    "receiving",
    "decoding",
    "network",
    "one-exam",
    "one-exam-bf16",
    "day",
    "day-bf16",
    "training",
)

Found = Mapping[str, Mapping[str, Any]]
"""Contents of the JSON files, by name."""


def read_results(folder: Path = FOLDER) -> Found:
    """Those that are there."""
    paths = [folder / f"{name}.json" for name in _NAMES]
    return {path.stem: json.loads(path.read_text()) for path in paths if path.exists()}


def table(found: Found) -> Iterator[str]:
    """Lines of a Markdown table, and the machines."""
    yield "| " + " | ".join(_HEAD) + " |"
    yield "|" + "---|" * len(_HEAD)
    for row in rows():
        yield "| " + " | ".join(_cells(row, found.get(row.file, {}))) + " |"
    if found:
        yield ""
    for name, figures in found.items():
        yield f"- {name}: {_machine(figures)}"


def renewed(text: str, found: Found) -> str:
    """A document with the table of these figures between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, behind = rest.partition(END)
    return "\n".join([before + BEGIN, *table(found), END + behind])


def _cells(row: Row, figures: Mapping[str, Any]) -> Iterator[str]:
    figure, limit = _at(figures, row.figure), _at(figures, row.limit)
    ratio = _at(figures, row.ratio)
    if ratio is None and figure is not None and limit:
        ratio = figure / limit
    judged = ratio if row.aim and row.aim.of_ratio else None if figure is None else figure * row.scale
    yield row.what
    yield NOT_MEASURED if figure is None else f"{_short(figure * row.scale)} {row.unit}".strip()
    yield row.beside if limit is None else f"{row.beside}: {_short(limit * row.scale)}"
    yield "" if ratio is None else _short(ratio)
    yield "" if row.aim is None else str(row.aim)
    yield "" if row.aim is None or judged is None else "yes" if row.aim.is_met(judged) else "**no**"
    yield row.apart


def _at(figures: Mapping[str, Any], place: Place | None) -> float | None:
    """A figure; None where it was not measured."""
    found = None if place is None else reduce(lambda inner, key: (inner or {}).get(key), place, figures)
    return None if found is None else float(found)  # type: ignore[arg-type]


def _machine(figures: Mapping[str, Any]) -> str:
    one = figures["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in one["libraries"].items())
    rounds = f"{figures['rounds']} rounds, " if "rounds" in figures else ""
    cores = f"{one['cores']} cores ({' '.join(one['flags'])})"
    system = f"{one['memory_gb']} GB, Linux {one['kernel']}, load {one['load']} at the end"
    return f"{rounds}{one['processor']}, {cores}, {system}; Python {one['python']}, {libraries}"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """Renew the table."""
    README.write_text(renewed(README.read_text(), read_results()))


if __name__ == "__main__":
    main()

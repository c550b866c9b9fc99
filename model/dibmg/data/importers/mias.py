"""mini-MIAS, as published (`Info.txt`, `mdb001.pgm` …) or as a table (`findings.csv`, `images/mdb001.png` …).

`Info.txt` has one line a finding: film, background tissue (F, G, D), class, severity (B, M; none for
NORM), x, y and radius in pixels. Films are 1024 x 1024 pixels of 200 um; odd numbers are right breasts,
even ones left, and two in a row are one woman's. Its y counts from the bottom left; `findings.csv`,
which names its columns, from the top. Both count pixels, so that their centers lie half a pixel
further.

Source: Suckling J. et al. (1994), Excerpta Medica International Congress Series 1069:375-378; the notes
in `Info.txt` itself, which public code repeats; y turned by 1023 - y, as `findings.csv` has it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dibmg.data.importers.collect import Collection, worst
from dibmg.data.importers.layout_error import LayoutError
from dibmg.data.importers.names import Layout
from dibmg.data.importers.report import ImportReport
from dibmg.data.importers.tables import find_file, read_table
from dibmg.data.manifest import Circle, Feature, ImageRow, Label
from dibmg_node.domain.study import Laterality, View

_LAST_ROW: Final = 1023
_COLUMNS: Final = ("image", "density", "abnormality", "severity", "x", "y", "radius")
_FILM: Final = re.compile(r"mdb(\d{3})", re.IGNORECASE)
_FEATURES: Final = {
    "CALC": Feature.CALCIFICATION,
    "CIRC": Feature.MASS,
    "SPIC": Feature.MASS,
    "MISC": Feature.MASS,
    "ARCH": Feature.DISTORTION,
    "ASYM": Feature.ASYMMETRY,
    "NORM": None,
}
_LABELS: Final = {"M": Label.CANCER, "B": Label.BENIGN, "N": Label.NORMAL}
_NOTES: Final = (
    "Films of the 1990s, both MLO views of each woman: no CC, no age, no manufacturer, no size.",
    "Tissue (`tissue`: F, G, D) has three classes, BI-RADS density four: density stays empty.",
    "A film with several findings is one row with the circle of one: the malignant one, the largest of them.",
    "Side by film number; the lead markers in the films are mirrored.",
)
_SOURCE: Final = "Suckling J. et al. (1994), Excerpta Medica International Congress Series 1069:375-378"
_LICENSE: Final = "research purposes only; not to be rented, leased or sold (Licence.txt)"


@dataclass(frozen=True)
class _Finding:
    """One line of either table.

    Attributes:
        film: Name without suffix.
        where: Of the line, for messages.
    """

    film: str
    number: int
    tissue: str
    abnormality: str
    severity: str
    place: Circle | None
    fold: str
    where: str


def import_mias(folder: Path) -> ImportReport:
    """Films of `findings.csv`, or of `Info.txt` where there is no such table.

    Raises:
        LayoutError: There is neither, or a line is not of its form.
    """
    table, listing = find_file(folder, "findings.csv"), find_file(folder, "Info.txt")
    if table is not None:
        findings = _of_table(table)
    elif listing is not None:
        findings = _of_listing(listing)
    else:
        raise LayoutError(f"{folder}: expected Info.txt or findings.csv in it or below, found none")
    suffixes = (".png",) if table is not None else (".pgm", ".png")
    files = {
        path.stem.lower(): path
        for suffix in reversed(suffixes)
        for path in sorted(folder.rglob(f"mdb*{suffix}"))
    }
    films: dict[str, list[_Finding]] = defaultdict(list)
    for finding in findings:
        films[finding.film].append(finding)
    collection = Collection()
    for film, of_film in films.items():
        collection.add(_row(film, of_film, files.get(film, folder / f"{film}{suffixes[0]}")))
    return collection.report(Layout.MIAS, _NOTES, _SOURCE, _LICENSE)


def _of_listing(path: Path) -> Iterator[_Finding]:
    """Findings of `Info.txt`, between its explanations."""
    for number, text in enumerate(path.read_text("latin-1").splitlines(), start=1):
        words = text.split()
        if not words or not _FILM.fullmatch(words[0]):
            continue
        where = f"{path}, line {number}"
        if len(words) < 3:
            raise LayoutError(f"{where}: expected a film, its tissue and a class, found {text!r}")
        severity = "N" if words[2] == "NORM" else "".join(words[3:4])
        place = _circle(words[4:7], where, turn=True) if len(words) >= 7 and "NOTE" not in text else None
        yield _Finding(words[0].lower(), number, words[1], words[2], severity, place, "", where)


def _of_table(path: Path) -> Iterator[_Finding]:
    """Findings of `findings.csv`."""
    for line in read_table(path, _COLUMNS):
        where = f"{path}, line {line.number}"
        film = line.text("image").lower()
        if not _FILM.fullmatch(film):
            raise LayoutError(f"{where}: expected a film such as mdb001, found {film!r}")
        texts = [line.text(column) for column in ("x", "y", "radius")]
        yield _Finding(
            film,
            line.number,
            line.text("density"),
            line.text("abnormality").upper(),
            line.text("severity").upper(),
            _circle(texts, where, turn=False) if all(texts) else None,
            line.text("fold"),
            where,
        )


def _circle(texts: Iterable[str], where: str, turn: bool) -> Circle | None:
    """x, y and radius; `turn`: y counts from the bottom."""
    try:
        x, y, radius = (float(text) for text in texts)
    except ValueError as error:
        raise LayoutError(f"{where}: expected x, y and radius as numbers ({error})") from error
    return Circle(x + 0.5, (_LAST_ROW - y if turn else y) + 0.5, radius) if radius > 0 else None


def _row(film: str, findings: list[_Finding], path: Path) -> ImageRow:
    for finding in findings:
        if finding.abnormality not in _FEATURES or finding.severity not in _LABELS:
            found = f"{finding.abnormality!r} and {finding.severity!r}"
            raise LayoutError(f"{finding.where}: expected a class and a severity, found {found}")
    label = worst(_LABELS[finding.severity] for finding in findings)
    assert label is not None
    first = max(
        findings,
        key=lambda one: (_LABELS[one.severity] is Label.CANCER, one.place.radius if one.place else 0.0),
    )
    number = int(film.removeprefix("mdb"))
    patient = f"mias{(number + 1) // 2:03d}"
    features = (_FEATURES[finding.abnormality] for finding in findings)
    other = {"tissue": first.tissue, "fold": first.fold, "class": first.abnormality}
    return ImageRow(
        exam=patient,
        patient=patient,
        laterality=Laterality.RIGHT if number % 2 else Laterality.LEFT,
        view=View.MLO,
        path=path.absolute(),
        label=label,
        breast_label=label,
        features=frozenset(feature for feature in features if feature is not None),
        lesion=first.place,
        other={name: text for name, text in other.items() if text},
        line=first.number,
    )

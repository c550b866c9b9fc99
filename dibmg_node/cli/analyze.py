"""`dibmg analyze`: the node's analysis on files, without a PACS."""

from __future__ import annotations

import filecmp
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import click
from PIL import Image as Picture
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from dibmg.point_names import names_a_file
from dibmg.runtime_choice import RuntimeKind
from dibmg_node.cli.exits import EXIT_FAILED, fail
from dibmg_node.cli.options import print_json, with_config, with_json
from dibmg_node.cli.studies import score
from dibmg_node.cli.tables import console, uid_column
from dibmg_node.config import Settings
from dibmg_node.dicom.header import read_header, read_instance
from dibmg_node.dicom.picture import overlay_pixels
from dibmg_node.domain.result import ResultKind
from dibmg_node.domain.study import Instance, Laterality, Study, View
from dibmg_node.errors import InstanceRejectedError
from dibmg_node.services.images import Images, Predictor, StudyFiles
from dibmg_node.services.reading import read_study
from dibmg_node.services.reading_json import reading_json
from dibmg_node.services.writing import Wish, Writing, write_results
from dibmg_node.wiring.analyzing import build_predictor
from dibmg_node.wiring.model_check import check_model

_WRITTEN: Final = re.compile(
    rf"result\.json|({'|'.join(ResultKind)}|[{Laterality.RIGHT}{Laterality.LEFT}]-({'|'.join(View)}))"
    r"(-\d+)?\.(dcm|png)"
)
"""Names of the files that are written into a study's folder."""
_RESULT_MODALITIES: Final = frozenset({"OT", "SR", "PR"})
"""Of what is written there; an image that is read has none of them, whatever its name."""


def _kinds_of(_: click.Context, __: click.Parameter, value: str) -> tuple[ResultKind, ...]:
    """Kinds of result, separated by commas."""
    try:
        return tuple(dict.fromkeys(ResultKind(word.strip()) for word in value.split(",")))
    except ValueError as error:
        known = ", ".join(kind.value for kind in ResultKind)
        raise click.BadParameter(f"{value!r}: expected some of {known}, separated by commas") from error


@click.command(
    epilog="Example: dibmg analyze exam/ --out results/. Writes a folder for each study: result.json, "
    "cad-sr.dcm, overlays as *.dcm and *.png; measurement-sr.dcm and presentation.dcm where --results names "
    "them. Exit code 1 if no study was found."
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write."
)
@click.option(
    "--results",
    "kinds",
    callback=_kinds_of,
    default="cad-sr,overlay",
    show_default=True,
    help="Kinds of result to write: cad-sr, measurement-sr, overlay, presentation.",
)
@click.option("--weights", default=None, help="A released set or a folder, instead of the configured one.")
@click.option(
    "--operating-point",
    default=None,
    help="A name in the weights' manifest or a file of points, instead of the configured one.",
)
@click.option(
    "--runtime",
    type=click.Choice([choice.value for choice in RuntimeKind]),
    default=None,
    help="Instead of the configured one.",
)
@with_config
@with_json
def analyze(
    paths: Sequence[Path],
    out: Path,
    kinds: tuple[ResultKind, ...],
    weights: str | None,
    operating_point: str | None,
    runtime: str | None,
    settings: Settings,
    as_json: bool,
) -> None:
    """Analyze DICOM files or folders: one or several studies."""
    if weights is not None and Path(weights).is_dir():
        weights = str(Path(weights).absolute())
    if operating_point is not None and names_a_file(operating_point):
        operating_point = str(Path(operating_point).absolute())
    changes = {
        "weights": weights,
        "operating_point": operating_point,
        "runtime": RuntimeKind(runtime) if runtime else None,
    }
    chosen = {key: value for key, value in changes.items() if value is not None}
    settings = settings.model_copy(update={"model": settings.model.model_copy(update=chosen)})
    check_model(settings)
    given = [path for path in _files(paths) if path in paths or not _is_of_earlier(path, out)]
    studies, passed_over = _find_studies(given)
    for path, reason in passed_over:
        click.echo(f"{path}: passed over: {reason}", err=True)
    if not studies:
        fail("no DICOM instance found in what was given", EXIT_FAILED)
    predictor = build_predictor(settings)
    told = []
    with Progress(console=console, transient=True, disable=as_json or not console.is_terminal) as progress:
        task = progress.add_task("analyzing", total=len(studies))
        for files in studies:
            told.append(_analyze_study(files, out, kinds, predictor, settings, given))
            progress.advance(task)
    if as_json:
        print_json(told)
    else:
        _print(told, out)


def _find_studies(given: Sequence[Path]) -> tuple[list[StudyFiles], list[tuple[Path, str]]]:
    """Every study among files, and the files that are none of it."""
    found: dict[str, dict[str, tuple[Instance, Path]]] = {}
    passed_over = []
    for path in given:
        try:
            with path.open("rb") as file:
                header = read_header(file)
            syntax = str(getattr(header.file_meta, "TransferSyntaxUID", ""))
            instance = read_instance(header, syntax)
        except InstanceRejectedError as error:
            passed_over.append((path, str(error)))
            continue
        instances = found.setdefault(instance.study_uid, {})
        _, first = instances.setdefault(instance.sop_uid, (instance, path))
        if first is not path and not filecmp.cmp(first, path, shallow=False):
            reason = f"other bytes under SOP Instance UID {instance.sop_uid}, which {first} has"
            passed_over.append((path, reason))
    studies = []
    for study_uid, instances in sorted(found.items()):
        ordered = [instance for _, (instance, _) in sorted(instances.items())]
        sources = {sop_uid: path for sop_uid, (_, path) in instances.items()}
        studies.append(StudyFiles(Study(study_uid, 1, tuple(ordered)), sources))
    return studies, passed_over


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and p.name != "DICOMDIR")
        else:
            yield path


def _analyze_study(
    files: StudyFiles,
    out: Path,
    kinds: Sequence[ResultKind],
    predictor: Predictor[Any],
    settings: Settings,
    given: Sequence[Path],
) -> dict[str, object]:
    folder = out / files.study.study_uid
    folder.mkdir(parents=True, exist_ok=True)
    writing = Writing(
        [Wish(kind) for kind in kinds],
        _newest(files.study.instances),
        settings.overlay.max_side,
        settings.overlay.style,
    )
    reading = read_study(files, settings.exam_policy, Images(predictor, writing.shown), date.today())
    _remove_earlier(folder, {path.resolve() for path in given})
    names: Counter[str] = Counter()
    for written in write_results(reading, writing):
        name = str(written.result.view or written.result.kind)
        names[name] += 1
        if names[name] > 1:  # images of two polarities are two presentation states
            name = f"{name}-{names[name]}"
        (folder / f"{name}.dcm").write_bytes(written.content)
        if written.result.kind is ResultKind.OVERLAY:
            Picture.fromarray(overlay_pixels(written.content)).save(folder / f"{name}.png")
    result = reading_json(reading)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return {"folder": str(folder), "reason": reading.selection.reason, **result}


def _is_of_earlier(path: Path, out: Path) -> bool:
    """Whether an earlier run wrote a file: where `out` lies in what is read, it is no image of the study."""
    if not _WRITTEN.fullmatch(path.name) or path.resolve().parent.parent != out.resolve():
        return False
    if path.suffix != ".dcm":
        return True
    try:
        with path.open("rb") as file:
            return str(read_header(file).get("Modality", "")) in _RESULT_MODALITIES
    except InstanceRejectedError:
        return False


def _remove_earlier(folder: Path, given: Collection[Path]) -> None:
    """Remove what an earlier run wrote: beside the new results it would pass for some of them."""
    for path in folder.iterdir():
        if _WRITTEN.fullmatch(path.name) and path.resolve() not in given:
            path.unlink()


def _newest(instances: Sequence[Instance]) -> datetime:
    """Time of the newest image, in its own time zone: the same input gives the same bytes, ever."""
    stamps = sorted(instance.acquired_at for instance in instances if instance.acquired_at)
    digits = re.sub(r"[^0-9]", "", stamps[-1].partition(".")[0])[:14] if stamps else ""
    try:
        return datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return datetime(1970, 1, 1)


def _print(told: Sequence[dict[str, object]], out: Path) -> None:
    table = Table(uid_column("study"), "exam", "R", "L", "findings", "not read")
    for one in told:
        scores = one["scores"]
        values = [scores[name] for name in ("exam", "R", "L")] if isinstance(scores, dict) else [None] * 3
        findings = one["findings"]
        assert isinstance(findings, list)
        count = str(len(findings)) if one["model"] else ""
        table.add_row(str(one["study_uid"]), *map(score, values), count, escape(str(one["reason"])))
    console.print(table)
    for one in told:
        unlike = one.get("unlike_training")
        if isinstance(unlike, list) and unlike:
            console.print(
                f"{one['study_uid']}: {', '.join(unlike)} unlike the images that the model was trained on; "
                "scores and regions of such images may mean nothing"
            )
    console.print(f"written to {out}; research use only, not for diagnosis")

"""A day: a burst of exams through a whole node until the PACS has stored every result.

python -m benchmarks.day [--exams 500] [--short] [--precision f32] [--out FOLDER]
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.arguments import SHORT_SIZE, Chosen, command
from benchmarks.exams import SMALL, SYNTAXES_OF_A_DAY, templates, write_exam
from benchmarks.family import cpu_seconds_with_ended, family_cpu_seconds
from benchmarks.queue_age import Stay, ages
from benchmarks.sending import Flow, Template
from benchmarks.site import RESULTS_OF_AN_EXAM, Site, running_site
from benchmarks.watch import Watch, courses

_EXAMS, _SHORT_EXAMS = 500, 4
_MODALITIES: Final = 4
_RESULTS_MB: Final = 60
"""Of an exam: what the node keeps, compressed, and what the PACS here stores without compression."""
_SPARE: Final = 1.05


def measure(chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Both syntaxes, each at a site of its own: what one leaves on the disk is removed before the other."""
    found = {}
    size = SHORT_SIZE if chosen.short else 1600
    for syntax in SYNTAXES_OF_A_DAY:
        room = folder / syntax
        with running_site(room, chosen, size) as site:
            found[syntax] = measure_at(site, syntax, chosen, room)
        shutil.rmtree(room)
    return {"grid": SMALL, "input_size": size, "precision": chosen.precision.value, "by_syntax": found}


def measure_at(site: Site, syntax: str, chosen: Chosen, folder: Path) -> dict[str, Any]:
    """One burst, at a site that runs.

    Raises:
        RuntimeError: There is no room for so many exams, or a result was lost.
    """
    grid = (832, 640) if chosen.short else SMALL
    exams = chosen.exams or (_SHORT_EXAMS if chosen.short else _EXAMS)
    exam = templates(write_exam(folder / "exams" / syntax, syntax, grid))
    images = sum(len(image.content) for image in exam)
    _require_room(folder, exams * (images + _RESULTS_MB * 1e6))
    # from here on everything is warm
    site.send(exam, [Flow([next(site.numbers)])])
    site.wait_for_files(RESULTS_OF_AN_EXAM)
    return burst(site, exam, exams)


def burst(site: Site, exam: list[Template], exams: int) -> dict[str, Any]:
    """Send all exams as fast as the node takes them, and wait until all is delivered."""
    numbers = [next(site.numbers) for _ in range(exams)]
    flows = [Flow(numbers[one::_MODALITIES]) for one in range(min(_MODALITIES, exams))]
    there, parts = len(site.files()), site.processes()
    before = {pid: cpu_seconds_with_ended(pid) for pid in parts}
    pacs_before = family_cpu_seconds(site.pacs.pid())
    with Watch(site.processes) as watch:
        begun = time.time()
        site.send(exam, flows)
        sent = time.time()
        site.wait_for_files(there + exams * RESULTS_OF_AN_EXAM)
        studies = [site.delivered(number) for number in numbers]
    used: Counter[str] = Counter()
    for pid, part in parts.items():
        used[part] += cpu_seconds_with_ended(pid) - before[pid]
    used["PACS"] += family_cpu_seconds(site.pacs.pid()) - pacs_before
    stays = [Stay.of(study) for study in studies]
    seconds = max(stay.end for stay in stays) - begun
    memory = courses(watch.samples)
    cores = len(os.sched_getaffinity(0))
    limit = cores * exams / used["model"]
    return {
        "exams": exams,
        "exam_mb": round(sum(len(image.content) for image in exam) / 1e6, 1),
        "seconds": round(seconds, 1),
        "seconds_of_sending": round(sent - begun, 1),
        "exams_per_s": round(exams / seconds, 3),
        "limit_exams_per_s": round(limit, 3),
        "of_limit": round(exams / seconds / limit, 3),
        "cpu_s_per_exam": {part: round(value / exams, 3) for part, value in sorted(used.items())},
        "queue_age": ages(stays, begun),
        "memory": memory,
        "growth": round(memory["all"]["last_third_mb"] / memory["all"]["first_third_mb"], 3),
        **account(studies, set(site.files())),
    }


def account(studies: Sequence[Mapping[str, Any]], held: set[str]) -> dict[str, int]:
    """Compare the ledger with what the PACS holds.

    Args:
        studies: As the ledger shows them.
        held: SOP Instance UIDs at the PACS.

    Raises:
        RuntimeError: A study has not all of its results, or the PACS lacks one.
    """
    owed = [result["sop_uid"] for study in studies for result in study["results"]]
    odd = [study["study_uid"] for study in studies if len(study["results"]) != RESULTS_OF_AN_EXAM]
    lost = set(owed) - held
    if odd or lost or len(set(owed)) != len(owed):
        raise RuntimeError(
            f"{len(odd)} studies without {RESULTS_OF_AN_EXAM} results, {len(lost)} results lost, "
            f"{len(owed) - len(set(owed))} UIDs given twice"
        )
    return {"results": len(owed), "results_lost": len(lost)}


def _require_room(folder: Path, size: float) -> None:
    free = shutil.disk_usage(folder).free
    if free < size * _SPARE:
        raise RuntimeError(
            f"{free / 1e9:.0f} GB are free in {folder}, {size * _SPARE / 1e9:.0f} GB are needed: "
            "fewer --exams, or another TMPDIR"
        )


if __name__ == "__main__":
    command("day", __doc__, measure)

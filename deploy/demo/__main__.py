"""`make demo`: the node's main job on two real exams, with nothing configured and nothing to configure."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from exams import DemoExam, demo_exams, write_exam
from pacs import AE_TITLE, free_port, open_pacs
from PIL import Image
from pydicom.dataset import FileDataset
from pynetdicom import AE
from pynetdicom.presentation import build_context
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from sheet import write_sheet

from dibmg_node.config import load_settings
from dibmg_node.dicom import facts
from dibmg_node.storage.views import Views
from dibmg_node.wiring import foundation

OUT = Path("demo-out")
PATIENCE_SECONDS = 110
EXPECTED = {facts.MAMMOGRAPHY_CAD_SR: 1, facts.SECONDARY_CAPTURE: 4}
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)

CONFIGURATION = """\
[node]
data_dir = "var"
[intake]
port = {port}
reserve_gb = 0.5
[[destination]]
name = "pacs"
kind = "cstore"
address = "127.0.0.1"
port = {pacs_port}
ae_title = "{pacs_aet}"
results = ["cad-sr", "overlay"]
"""


def main() -> int:
    """Run the demonstration; 0 only if every result of every exam is in the PACS."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=False,
    )
    with progress, open_pacs((OUT / "pacs").absolute()) as pacs:
        step = progress.add_task("regrouping the films of two women into two studies")
        exams = list(demo_exams())
        files = {exam.name: write_exam(exam, OUT / "exams") for exam in exams}
        progress.update(step, total=1, completed=1)
        port = free_port()
        config = OUT / "config.toml"
        config.write_text(CONFIGURATION.format(port=port, pacs_port=pacs.port, pacs_aet=AE_TITLE))
        step = progress.add_task("starting the node (dibmg up)")
        with _node(config) as views:
            progress.update(step, total=1, completed=1)
            for exam in exams:
                step = progress.add_task(f"sending {exam.name} by C-STORE", total=len(exam.images))
                for _ in _send(exam, files[exam.name], port):
                    progress.advance(step)
            steps = {exam.study_uid: progress.add_task(f"{exam.name}: waiting") for exam in exams}
            studies = _wait(exams, views, progress, steps)
        received = {exam.study_uid: pacs.instances(exam.study_uid) for exam in exams}
        pacs_name = pacs.name
    complete = [_report(exam, studies[exam.study_uid], received[exam.study_uid], pacs_name) for exam in exams]
    console.print(f"\npictures and reports lie in {OUT.absolute()}")
    console.print("research use only, not for diagnosis; images: CBIS-DDSM, CC BY 3.0")
    return 0 if all(complete) else 1


@contextmanager
def _node(config: Path) -> Iterator[Views]:
    """The whole node, as a user starts it."""
    command = [sys.executable, "-m", "dibmg_node", "up", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            if line.strip() == "ready":
                break
            said.append(line)
        else:
            raise SystemExit(f"the node did not start: {''.join(said)}")
        try:
            yield foundation.open_node_ledger(load_settings(config)).views
        finally:
            process.terminate()
            process.wait(200)


def _send(exam: DemoExam, files: Sequence[Path], port: int) -> Iterator[None]:
    """Send an exam over one association, as a mammography unit does."""
    ae = AE(ae_title="DEMOMG")
    syntaxes = {image.file_meta.TransferSyntaxUID for image in exam.images}
    contexts = [build_context(facts.MG_FOR_PRESENTATION, syntax) for syntax in syntaxes]
    association = ae.associate("127.0.0.1", port, contexts=contexts, ae_title="DIBMG")
    if not association.is_established:
        raise SystemExit("the node does not accept the association")
    for path in files:
        status = association.send_c_store(path)
        if "Status" not in status or status.Status != 0:
            raise SystemExit(f"the node does not take the image: {status}")
        yield
    association.release()


def _wait(
    exams: Sequence[DemoExam], views: Views, progress: Progress, steps: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Wait until every study is at its end, or patience is."""
    ends = {"DELIVERED", "FAILED", "EXCLUDED"}
    studies: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for exam in exams:
            study = views.study(exam.study_uid)
            assert study is not None
            studies[exam.study_uid] = study
            stored = sum(delivery["state"] == "STORED" for delivery in study["deliveries"])
            told = f"{exam.name}: {study['state']}, {stored} results in the PACS"
            progress.update(steps[exam.study_uid], description=told)
            if study["state"] in ends:
                progress.update(steps[exam.study_uid], total=1, completed=1)
        if all(study["state"] in ends for study in studies.values()):
            break
        time.sleep(0.2)
    return studies


def _report(exam: DemoExam, study: dict[str, Any], received: Sequence[FileDataset], pacs_name: str) -> bool:
    """Print and write what came of one exam; whether everything arrived."""
    console.rule(f"{exam.name}: {exam.pathology} (pathology)")
    scores = study["scores"]
    if scores["exam"] is None:
        console.print(f"[red]{study['state']}: {study['reason']}[/]")
        return False
    told = "   ".join(f"{name} {scores[name]:.3f}" for name in ("exam", "R", "L"))
    reading = study["reading"]
    model = reading["model"]
    console.print(f"scores    {told}   ({len(reading['findings'])} findings; 0..1, no probability of cancer)")
    if unlike := ", ".join(reading["unlike_training"]):
        console.print(f"caution   {unlike} unlike the images of training: scores and marks may mean nothing")
    console.print(
        f"model     DIB-MG {model['name']} {model['version']}, {model['runtime']}: {model['trained_on']}"
    )
    console.print("times     " + _durations(study["timeline"]))
    console.print("reading   " + ", ".join(f"{step} {s:.2f} s" for step, s in reading["seconds"].items()))
    table = Table(
        "received by " + pacs_name, "view", "transfer syntax", Column("SOP Instance UID", no_wrap=True)
    )
    views = {result["sop_uid"]: result["view"] for result in study["results"]}
    folder = OUT / exam.name
    folder.mkdir()
    overlays, counts = {}, dict.fromkeys(EXPECTED, 0)
    for instance in sorted(received, key=lambda one: (one.Modality, views.get(str(one.SOPInstanceUID), ""))):
        view = views.get(str(instance.SOPInstanceUID), "")
        syntax = instance.file_meta.TransferSyntaxUID.name
        kind = instance.SOPClassUID.name.replace(" Storage", "")
        table.add_row(kind, view, syntax, str(instance.SOPInstanceUID))
        counts[str(instance.SOPClassUID)] = counts.get(str(instance.SOPClassUID), 0) + 1
        if instance.SOPClassUID == facts.SECONDARY_CAPTURE:
            overlays[view] = folder / f"{view}.png"
            Image.fromarray(instance.pixel_array).save(overlays[view])
        else:
            instance.save_as(folder / "cad-sr.dcm")
    console.print(table)
    title = f"{exam.name}   exam {scores['exam']:.3f}   R {scores['R']:.3f}   L {scores['L']:.3f}"
    subtitle = f"pathology: {exam.pathology}.  RESEARCH USE ONLY, NOT FOR DIAGNOSIS"
    sheet = OUT / f"{exam.name}.png"
    write_sheet(overlays, title, subtitle, sheet)
    console.print(f"pictures  {sheet} (contact sheet), {folder}/*.png; report {folder}/cad-sr.dcm")
    expected = {result["sop_uid"] for result in study["results"]}
    arrived = expected == {str(one.SOPInstanceUID) for one in received} and counts == EXPECTED
    if not arrived or study["state"] != "DELIVERED":
        console.print(
            f"[red]not everything arrived: {study['state']} {study['reason']}, received {counts}[/]"
        )
        return False
    console.print("[green]everything arrived[/]")
    return True


def _durations(timeline: Sequence[Mapping[str, str]]) -> str:
    """Seconds from the last image to each later step."""
    at = {entry["event"]: datetime.fromisoformat(entry["at"]) for entry in timeline}
    start = at["instance stored"]
    events = ("complete", "claimed", "reported", "all delivered")
    steps = [f"{event} {(at[event] - start).total_seconds():.1f} s" for event in events if event in at]
    return "after the last image: " + ", ".join(steps)


if __name__ == "__main__":
    sys.exit(main())

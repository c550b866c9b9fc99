"""The course of a self-test: every step with what was found, or what broke and what to do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dibmg_node.config import Settings
from dibmg_node.domain.lifecycle import StudyState
from dibmg_node.domain.pause import Part
from dibmg_node.domain.selftest import SELFTEST_DESTINATION, SelfTestStep, StepOutcome, selftest_uid
from dibmg_node.errors import DibmgError, SelfTestBrokenError, SelfTestPausedError
from dibmg_node.selftest.agreement import check_agreement, sees_lesion
from dibmg_node.selftest.arrival import check_cad_report, check_digests, check_overlays
from dibmg_node.selftest.expectation import expected_reading
from dibmg_node.selftest.own_intake import open_own_intake
from dibmg_node.selftest.specimen import Specimen, make_specimen
from dibmg_node.selftest.stop import Stop
from dibmg_node.selftest.watching import Study, Watch
from dibmg_node.services.delivery import Parcel
from dibmg_node.services.loopback_pacs import LoopbackPacs
from dibmg_node.services.selftest_gate import digest_of
from dibmg_node.storage.archive import Archive
from dibmg_node.storage.ledger import Ledger
from dibmg_node.storage.selftests import OpenSelfTest
from dibmg_node.wiring import foundation
from dibmg_node.wiring.role_choice import Role

_GRACE: Final = timedelta(minutes=2)
"""After its patience: what was being sent when it ended may still be told who asks."""
_READ: Final = frozenset({StudyState.ANALYZED, StudyState.DELIVERED, StudyState.EXCLUDED, StudyState.FAILED})
_PAUSED: Final = {SelfTestStep.STORAGE: Part.INTAKE, SelfTestStep.ANALYSIS: Part.ANALYSIS}
"""What breaks a step where an operator has paused it; C-ECHO is answered all the same."""

Tell = Callable[[StepOutcome], None]


def run_selftest(
    settings: Settings,
    ledger: Ledger,
    timeout_seconds: float,
    tell: Tell = lambda outcome: None,
    stop: Stop | None = None,
) -> Sequence[StepOutcome]:
    """Send an exam through the running node, check what comes out, and leave nothing of it.

    Args:
        settings: Of the node.
        ledger: Of the node; what came of the test stays there.
        timeout_seconds: After the exam was read here, for the rest.
        tell: Told about every step.
        stop: What may end it before its time.

    Returns:
        Every step up to the one that broke, and the removal.

    Raises:
        PermanentError: Another self-test is running.
        SelfTestPausedError: Intake or analysis is paused, or was when the test came there: it is taken back,
            since nothing was found out.
        SystemExit: It was stopped, and is taken back.
    """
    stop = stop or Stop()
    _check_pauses(ledger)
    specimen = make_specimen(selftest_uid(secrets.randbits(64)))
    with LoopbackPacs().listening() as pacs:
        now = foundation.now()
        digests = {image.sop_uid: digest_of(image.content) for image in specimen.images.values()}
        patience = timedelta(seconds=timeout_seconds + settings.model.deadline_seconds) + _GRACE
        with stop.held_back():
            ledger.selftests.register(
                OpenSelfTest(specimen.study_uid, now, now + patience, pacs.port, digests)
            )
        course = _Course(settings, ledger, specimen, pacs, timeout_seconds, tell, stop, now)
        taken_back = False
        try:
            with suppress(SelfTestBrokenError):
                course.run()
        except (KeyboardInterrupt, SystemExit, SelfTestPausedError):
            taken_back = True
            raise
        finally:
            with stop.held_back():
                with suppress(SelfTestBrokenError):
                    course.remove()
                if taken_back:  # by a person, with the node or by a pause: nothing was found out
                    ledger.selftests.cancel(specimen.study_uid)
                else:
                    ledger.selftests.end(specimen.study_uid, course.outcomes, foundation.now())
    return course.outcomes


def wipe(ledger: Ledger, archive: Archive, study_uid: str) -> int:
    """Remove what a self-test left in ledger and archive; returns the bytes of its files."""
    return ledger.selftests.wipe(study_uid, archive.remove)


def _check_pauses(ledger: Ledger) -> None:
    for part in _PAUSED.values():
        pause = ledger.pauses.find(part)
        if pause is not None:
            raise SelfTestPausedError(f"{pause.sentence}; no self-test can pass before 'dibmg resume {part}'")


@dataclass
class _Course:
    """One run; steps are noted as they end.

    Attributes:
        started_at: A pause that was over by then holds nothing up.
    """

    settings: Settings
    ledger: Ledger
    specimen: Specimen
    pacs: LoopbackPacs
    timeout_seconds: float
    tell: Tell
    stop: Stop
    started_at: datetime
    outcomes: list[StepOutcome] = field(default_factory=list)

    def run(self) -> None:
        """Every step until one breaks.

        Raises:
            SelfTestBrokenError: One did.
            SelfTestPausedError: A pause overtook one.
        """
        expected: Mapping[str, Any] = {}
        with self.step(SelfTestStep.EXPECTATION) as found:
            expected, fresh = expected_reading(self.settings, self.specimen)
            seen = "see" if sees_lesion(expected, self.specimen) else "do not see"
            how = "read here just now" if fresh else "known from an earlier reading here"
            found.append(f"score {expected['scores']['exam']:.3f}, {how}; these weights {seen} the lesion")
        deadline = time.monotonic() + self.timeout_seconds
        watch = Watch(self.settings, self.ledger, self.specimen.study_uid, deadline, self.stop)
        sender = open_own_intake(self.settings)
        with self.step(SelfTestStep.ASSOCIATION) as found:
            try:
                sender.echo()
            except DibmgError as error:
                raise SelfTestBrokenError(str(error), self._way_in()) from error
            found.append(f"{sender.who} answers C-ECHO")
        with self.step(SelfTestStep.STORAGE) as found:
            found.append(self._store())
        with self.step(SelfTestStep.COMPLETION) as found:
            watch.until(lambda study: study["state"] != StudyState.RECEIVING, Role.SWEEP)
            found.append("the four standard views are one study")
        study: Study = {}
        with self.step(SelfTestStep.ANALYSIS) as found:
            study = watch.until(lambda one: one["state"] in _READ, Role.ANALYSIS)
            found.append(self._read_by(study))
        with self.step(SelfTestStep.LESION) as found:
            found.append(check_agreement(study["reading"], expected, self.specimen))
        with self.step(SelfTestStep.DELIVERY) as found:
            study = watch.until(self._is_delivered, Role.DELIVERY)
            found.append(self._delivered(study))
        arrived = self.pacs.arrived
        with self.step(SelfTestStep.REPORT) as found:
            found.append(check_cad_report(arrived, self.specimen))
        with self.step(SelfTestStep.OVERLAYS) as found:
            found.append(check_overlays(arrived, self.specimen))
        with self.step(SelfTestStep.CHECKSUMS) as found:
            found.append(check_digests(arrived, study["results"], foundation.open_archive(self.settings)))

    def remove(self) -> None:
        """The last step, whatever came of the others.

        Raises:
            SelfTestBrokenError: It broke.
        """
        with self.step(SelfTestStep.REMOVAL) as found:
            freed = wipe(self.ledger, foundation.open_archive(self.settings), self.specimen.study_uid)
            found.append(f"{freed / 1e6:.1f} MB and every row of the study are gone again")

    @contextmanager
    def step(self, step: SelfTestStep) -> Iterator[list[str]]:
        """Note what comes of a step; the words for it are what its block appends.

        Raises:
            SelfTestBrokenError: It broke, which is noted.
            SelfTestPausedError: It broke because a pause overtook it.
            SystemExit: It was to be stopped, though it looks as if it had broken.
        """
        words: list[str] = []
        started = time.monotonic()
        try:
            yield words
        except SelfTestBrokenError as error:
            self._break(StepOutcome(step, False, time.monotonic() - started, str(error), error.remedy))
            raise
        except (DibmgError, OSError) as error:  # as where a shared archive does not answer
            remedy = f"see 'dibmg status', and the logs in {foundation.log_folder(self.settings)}"
            self._break(StepOutcome(step, False, time.monotonic() - started, str(error), remedy))
            raise SelfTestBrokenError(str(error), remedy) from error
        # whatever ends it, and be it Ctrl-C: a test that did not come to its end must not pass
        except BaseException as error:
            told = f"ended by {type(error).__name__}"
            self._note(StepOutcome(step, False, time.monotonic() - started, told, "run it again"))
            raise
        self._note(StepOutcome(step, True, time.monotonic() - started, " ".join(words)))

    def _note(self, outcome: StepOutcome) -> None:
        self.outcomes.append(outcome)
        self.tell(outcome)

    def _break(self, outcome: StepOutcome) -> None:
        """Note a step that broke, unless a pause or a stop explains it.

        Raises:
            SelfTestPausedError: A pause does.
            SystemExit: It was to be stopped.
        """
        self.outcomes.append(outcome)  # first: whatever comes of asking the ledger, this test has not passed
        self.stop.check()
        part = _PAUSED.get(outcome.step)
        study = self.ledger.views.study(self.specimen.study_uid) if part else None
        if part is not None and (study is None or study["state"] not in _READ):
            pauses = self.ledger.pauses
            pause, resumed_at = pauses.find(part), pauses.resumed_at(part)
            if pause is not None:
                raise SelfTestPausedError(f"{pause.sentence}, which overtook the self-test")
            if resumed_at is not None and resumed_at > self.started_at:
                raise SelfTestPausedError(f"{part} was paused while the self-test ran: run it again")
        self.tell(outcome)

    def _way_in(self) -> str:
        """What is to be done where the node does not let its own self-test in."""
        intake = self.settings.intake
        log = foundation.log_folder(self.settings) / f"{Role.INTAKE}.log"
        if intake.tls is not None and intake.tls.ca is not None:
            return (
                "name a certificate that intake.tls.ca trusts in selftest.certificate and selftest.key, and "
                f"see {log}; after a renewal of intake.tls.certificate send the node SIGHUP"
            )
        return f"see whether the intake runs ('dibmg status'), listens on port {intake.port}, and {log}"

    def _store(self) -> str:
        """Send the four images in one association."""
        images = self.specimen.images.values()
        parcels = [Parcel(i.sop_uid, i.sop_class_uid, i.transfer_syntax_uid, i.content) for i in images]
        settled = open_own_intake(self.settings).send(parcels)
        refused = sorted({f"{one.status} {one.comment}".strip() for one in settled if one.status != "0x0000"})
        if refused:
            log = foundation.log_folder(self.settings) / f"{Role.INTAKE}.log"
            raise SelfTestBrokenError(
                f"C-STORE was answered {', '.join(refused)}",
                f"see {log} for the reason; 0xA700 is a full disk or a ledger that cannot be written",
            )
        return f"{len(settled)} images, each answered Success"

    def _read_by(self, study: Study) -> str:
        if study["state"] in (StudyState.EXCLUDED, StudyState.FAILED) and study["scores"]["exam"] is None:
            raise SelfTestBrokenError(
                f"the study is {study['state']}: {study['reason']}",
                f"see {foundation.log_folder(self.settings)}/model.log and analysis.log, and 'dibmg doctor'",
            )
        model = study["reading"]["model"]
        return f"{model['name']} {model['version']}, {model['runtime']}, {model['precision']}"

    def _is_delivered(self, study: Study) -> bool:
        """Whether all results are settled; those that are stored are in the PACS by then."""
        return study["state"] in (StudyState.DELIVERED, StudyState.FAILED)

    def _delivered(self, study: Study) -> str:
        owed = {one["sop_uid"] for one in study["results"]}
        missing = len(owed - self.pacs.arrived.keys())
        elsewhere = {one["destination"] for one in study["deliveries"]} - {SELFTEST_DESTINATION}
        if elsewhere:
            raise SelfTestBrokenError(
                f"results of the self-test went to {', '.join(sorted(elsewhere))}",
                f"remove study {self.specimen.study_uid} there, and report this",
            )
        if missing or not owed or study["state"] != StudyState.DELIVERED:
            told = sorted({f"{one['status']} {one['comment']}".strip() for one in study["deliveries"]})
            raise SelfTestBrokenError(
                f"{missing} of {len(owed)} results did not arrive: {', '.join(told)}",
                f"see {foundation.log_folder(self.settings) / f'{Role.DELIVERY}.log'}",
            )
        return f"{len(owed)} results arrived at the loop-back PACS"

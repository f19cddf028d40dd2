"""Drive both releases of a pipeline, journal every answer, then judge."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from canary.codec import AnyRecord, evidence_digests
from canary.disk import write_whole
from canary.document import display
from canary.errors import CanaryError, ConfigError, EvidenceError
from canary.evaluate import evaluate
from canary.evidence import (
    SIGNATURE,
    RunDirectory,
    load_evidence,
    load_unfinished,
    new_run,
    read_records,
    resume,
    seal,
    write_records,
)
from canary.journal import Journal
from canary.ledger import append
from canary.pipeline import Stages
from canary.plan import Plan
from canary.protocols import Judge as AskJudge
from canary.protocols import no_judge
from canary.records import Arm, Response, Score
from canary.reporters import publish_all
from canary.reporters.sheet import saving
from canary.resumption import goes_on
from canary.run.answering import answer_open
from canary.run.drift import Kept, measure_drift
from canary.run.foresee import lacking
from canary.run.foresight import AT_MOST
from canary.run.judge import Bench
from canary.run.judged import judged_cases
from canary.run.judgements import CACHE, Judgements
from canary.run.labels import labels_for
from canary.run.learned import learned_thresholds, measured_thresholds
from canary.run.load import Loaded, Overrides, load
from canary.run.observe import observing
from canary.run.progress import Screen
from canary.run.recorded import Judged, require_known
from canary.run.scoring import Scoring
from canary.run.show import write_reports
from canary.run.trusted import trusted
from canary.run.unanswered import kept_if_answered
from canary.runners.scorer import embedding
from canary.signature import sign

_TOLD = 10
"""Of what a plan lacks, so much is said when it is run; `canary plan` says all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A sealed run."""

    path: Path
    judged: Judged
    seal: str
    """The sha256 of its manifest: kept elsewhere, it proves that the record is the one written."""


def start_run(
    pipeline: Path,
    *,
    stage: str,
    runs: Path,
    err: TextIO,
    overrides: Overrides,
    key: Any = None,
) -> Finished:
    """Run a pipeline from the beginning in a new directory under `runs`; signed where there is a key."""
    if overrides.base_ref is not None:
        runs = runs.absolute()
        with trusted(pipeline, overrides.base_ref, stage=stage, overrides=overrides) as loaded:
            run = new_run(runs, loaded.plan, loaded.golden.prompts)
            with kept_if_answered(run, err):
                _tell(run, loaded, "--base-ref begins anew: should it be cut off, run the same command again", err)
                return _finish(run, loaded, err, key)
    loaded = load(pipeline, stage=stage, overrides=overrides)
    run = new_run(runs, loaded.plan, loaded.golden.prompts)
    again = _again(run, overrides)
    with kept_if_answered(run, err), _resumable(again):
        _tell(run, loaded, f"should it be cut off: canary run --resume {again}", err)
        return _finish(run, loaded, err, key)


def _tell(run: RunDirectory, loaded: Loaded, remark: str, err: TextIO) -> None:
    """Where a run is and what its plan lacks, before anything is paid for; it starts, as harm is proven by less."""
    print(f"run: {run.path} ({remark})", file=err)
    if found := lacking(loaded):
        more = f"; {len(found) - _TOLD} more are lacking" if len(found) > _TOLD else ""
        for line in found[:_TOLD]:
            print(f"canary: lacking: {line}", file=err)
        print(f"canary: canary plan refuses such a plan: this run {AT_MOST}{more}", file=err)


def _again(run: RunDirectory, overrides: Overrides) -> str:
    """What stands behind `canary run --resume` to go on with a run as it began."""
    named = {"--policy": overrides.policy, "--labels": overrides.labels}
    options = [word for option, path in named.items() if path is not None for word in (option, str(path))]
    return shlex.join([str(run.path), *options])


def start_loaded(loaded: Loaded, *, runs: Path, err: TextIO) -> Finished:
    """Run what is resolved already; nothing else could resume it."""
    run = new_run(runs, loaded.plan, loaded.golden.prompts)
    with kept_if_answered(run, err):
        return _finish(run, loaded, err)


def resume_run(path: Path, pipeline: Path | None, *, err: TextIO, overrides: Overrides, key: Any = None) -> Finished:
    """Continue a run that was cut off; nothing that both arms answered is asked again.

    Of what its plan.json says only the stage, and whether it may stop early,
    is believed; all else is resolved anew, with the policy and labels of
    `overrides`. Raises EvidenceError when what the run asks, or what decides of
    it, has changed since.
    """
    run = RunDirectory(path)
    stored, source = resumable(run, pipeline)
    loaded = load(source, stage=stored.stage, overrides=replace(overrides, early_stop=stored.early_stopping))
    changes = resume(run, loaded.plan)
    for change in changes:
        print(f"canary: {change}", file=err)
    with _resumable(_again(run, overrides)):
        return _finish(run, replace(loaded, plan=goes_on(stored, loaded.plan, changes)), err, key)


def resumable(run: RunDirectory, pipeline: Path | None) -> tuple[Plan, Path]:
    """The plan that a run began with, and the pipeline that it goes on with; ConfigError or EvidenceError if none."""
    stored = load_unfinished(run)
    source = pipeline or (None if stored.pipeline is None else Path(stored.pipeline))
    if source is None:
        raise ConfigError(
            f"{run.path}: the run does not say which pipeline it came from; give it: canary run P --resume R"
        )
    if stored.stage not in Stages.model_fields:
        known = ", ".join(Stages.model_fields)
        raise EvidenceError(f"{run.plan}: 'stage' must be one of {known} (got {stored.stage!r}): only a run is resumed")
    if stored.base_ref is not None or stored.gate_changes:
        command = f"canary run {shlex.quote(str(source))} --base-ref REF"
        raise ConfigError(f"{run.path}: a run judged by a base ref is not resumed; start a new run: {command}")
    return stored, source


@contextmanager
def _resumable(again: str) -> Iterator[None]:
    """An interrupt that says how the run that it cut off goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(again) from None


def _finish(run: RunDirectory, loaded: Loaded, err: TextIO, key: Any = None) -> Finished:
    """Answer what is open, score, judge, write, seal, and take it out into the world."""
    screen = Screen(err)
    with embedding(loaded.pipeline, screen.say) as open_:
        _collect(run, loaded, Kept(open_, screen), screen)
    evidence = load_evidence(run, loaded.plan)
    digests = evidence_digests(evidence)
    _require_recorded(loaded.plan, digests)
    judged = Judged(verdict=evaluate(evidence, loaded.plan, digests), evidence=evidence, plan=loaded.plan)
    if saved := saving(judged.verdict.looks):
        print(saved, file=err)
    for sentence in write_reports(judged, run.path, loaded.pipeline.reporters):
        print(f"canary: {sentence}", file=err)
    sealed = seal(run)
    for sentence in (*_remember(run, judged, sealed, key), *_publish(run, judged, loaded)):
        print(f"canary: {sentence}", file=err)
    return Finished(path=run.path, judged=judged, seal=sealed)


def _collect(run: RunDirectory, loaded: Loaded, kept: Kept, screen: Screen) -> None:
    """All evidence into its files; nothing of it stays in memory, where it would be a second time."""
    with Journal.open(run.responses) as journal:
        for warning in journal.warnings:
            screen.say(f"canary: {warning}")
        run.write_plan(loaded.plan)  # which a resumed run may have been given
        scoring = _scoring(loaded, kept, _judge(run, loaded, screen))
        with observing(run.observations, screen.say) as note:
            answer_open(journal, loaded, scoring, note, screen)
    responses = read_records(Response, run.responses)
    require_known(responses, loaded.golden)
    scores = _scores(scoring, loaded, responses)
    write_records(run.scores, scores)
    name = display(loaded.pipeline.labels or "labels")
    _write_any(run.telemetry, measure_drift(kept, responses, loaded.plan, loaded.golden.prompts))
    _write_any(run.labels, labels_for(loaded.labels, responses, loaded.plan.judges, name))


def _write_any(path: Path, records: Iterable[AnyRecord]) -> None:
    """Writes a file that is there only where there is anything to write; what a cut run left there does not stay."""
    if found := tuple(records):
        write_records(path, found)
    else:
        path.unlink(missing_ok=True)


def _scoring(loaded: Loaded, kept: Kept, judge: AskJudge) -> Scoring:
    return Scoring(
        loaded.suite,
        stage=loaded.plan.stage,
        embed=kept.open,
        judge=judge,
        judged=judged_cases(loaded.suite, loaded.golden, loaded.plan.seed),
        learned=learned_thresholds(loaded.plan, loaded.golden.prompts),
    )


def _scores(scoring: Scoring, loaded: Loaded, responses: Sequence[Response]) -> tuple[Score, ...]:
    """All scores; a calibration measures thresholds by them, and scores again where one is asked for."""
    prompts = loaded.golden.prompts
    scores = scoring.of(prompts, responses)
    if loaded.plan.purpose != "calibration" or not learned_thresholds(loaded.plan, prompts):
        return scores
    return scoring.held_to(measured_thresholds(loaded.plan, prompts, scores, responses)).of(prompts, responses)


def _judge(run: RunDirectory, loaded: Loaded, screen: Screen) -> AskJudge:
    """The suite's judge, who remembers what was said in this run and in others beside it."""
    if loaded.suite.judge is None:
        return no_judge
    judgements = Judgements.open(run.judgements, run.path.parent / CACHE)
    return Bench(loaded.suite.judge, judgements, screen)


def _remember(run: RunDirectory, judged: Judged, sealed: str, key: Any) -> Iterator[str]:
    """Sign the record and enter it into the history; what went wrong, since neither is worth a verdict."""
    verdict = judged.verdict
    try:
        if key is not None:
            write_whole(run.path / SIGNATURE, [sign(verdict, sealed, key).encode()])
        if judged.plan.purpose == "gate":
            details = {"run": run.path.name, "record": sealed, "verdict": verdict.verdict.value, "why": verdict.reason}
            append(run.path.resolve().parent, "verdict", details)
    except (OSError, CanaryError) as error:
        yield f"the record is not signed or not in the history, the verdict stands: {error}"


def _publish(run: RunDirectory, judged: Judged, loaded: Loaded) -> tuple[str, ...]:
    """To wherever the pipeline says, and to the workflow that runs it: `github` is silent outside of one."""
    names = dict.fromkeys((*loaded.pipeline.reporters, "github"))
    return publish_all(names, run.path, judged.verdict, judged.evidence, judged.plan)


def _require_recorded(plan: Plan, digests: Mapping[str, str]) -> None:
    """Raise EvidenceError where a recorded release is not what was judged."""
    sides = {Arm.CANDIDATE: plan.candidate} | ({} if plan.stage == "build" else {Arm.BASELINE: plan.baseline})
    for arm, side in sides.items():
        if side.is_recorded and digests[f"{arm}_responses"] != side.digest:
            raise EvidenceError(
                f"{arm} {side.name!r}: the recorded outputs changed after the run began; start a new run"
            )

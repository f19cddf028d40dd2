"""Drive both releases of a pipeline, journal every answer, then judge."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from canary.codec import evidence_digests
from canary.errors import ConfigError, EvidenceError
from canary.evaluate import evaluate
from canary.evidence import (
    RunDirectory,
    load_evidence,
    load_plan,
    new_run,
    read_records,
    resume,
    seal,
    write_records,
)
from canary.journal import Journal, Key
from canary.plan import Plan
from canary.protocols import Answers, Pair, Runner
from canary.records import Arm, Prompt, Response
from canary.reporters import publish_all
from canary.run.drift import Kept, measure_drift
from canary.run.load import Loaded, load
from canary.run.progress import Progress
from canary.run.recorded import Judged, require_known
from canary.run.render import render
from canary.run.scoring import score_responses
from canary.run.show import write_reports
from canary.runners import RUNNERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A sealed run."""

    path: Path
    judged: Judged
    seal: str
    """The sha256 of its manifest: kept elsewhere, it proves that the record is the one written."""


def start_run(pipeline: Path, *, stage: str, runs: Path, err: TextIO) -> Finished:
    """Run a pipeline from the beginning in a new directory under `runs`."""
    loaded = load(pipeline, stage=stage)
    run = new_run(runs, loaded.plan, loaded.golden.prompts)
    print(f"run: {run.path} (should it be cut off: canary run --resume {run.path})", file=err)
    return _finish(run, loaded, err)


def start_loaded(loaded: Loaded, *, runs: Path, err: TextIO) -> Finished:
    """Run what is resolved already; nothing else could resume it."""
    return _finish(new_run(runs, loaded.plan, loaded.golden.prompts), loaded, err)


def resume_run(path: Path, pipeline: Path | None, err: TextIO) -> Finished:
    """Continue a run that was cut off; nothing that both arms answered is asked again.

    Raises EvidenceError when what the run asks has changed since.
    """
    run = RunDirectory(path)
    stored = load_plan(run)
    source = pipeline or (None if stored.pipeline is None else Path(stored.pipeline))
    if source is None:
        raise ConfigError(f"{path}: the run does not say which pipeline it came from; give it: canary run P --resume R")
    loaded = load(source, stage=stored.stage)
    for change in resume(run, loaded.plan):
        print(f"canary: {change}", file=err)
    return _finish(run, replace(loaded, plan=stored), err)


def _finish(run: RunDirectory, loaded: Loaded, err: TextIO) -> Finished:
    """Answer what is open, score, judge, write, seal."""
    with Journal.open(run.responses) as journal:
        for warning in journal.warnings:
            print(f"canary: {warning}", file=err)
        _answer(journal, loaded, err)
    responses = read_records(Response, run.responses)
    require_known(responses, loaded.golden)
    kept = Kept()
    scores = score_responses(loaded.golden.prompts, responses, loaded.suite, stage=loaded.plan.stage, embed=kept.open)
    write_records(run.scores, scores)
    if telemetry := tuple(measure_drift(kept, responses, loaded.plan)):
        write_records(run.telemetry, telemetry)
    evidence = load_evidence(run, loaded.plan)
    digests = evidence_digests(evidence)
    _require_recorded(loaded.plan, digests)
    judged = Judged(verdict=evaluate(evidence, loaded.plan, digests), evidence=evidence, plan=loaded.plan)
    for sentence in write_reports(judged, run.path, loaded.pipeline.reporters):
        print(f"canary: {sentence}", file=err)
    sealed = seal(run)
    for sentence in publish_all(loaded.pipeline.reporters, run.path, judged.verdict, evidence, loaded.plan):
        print(f"canary: {sentence}", file=err)
    return Finished(path=run.path, judged=judged, seal=sealed)


def _require_recorded(plan: Plan, digests: Mapping[str, str]) -> None:
    """Raise EvidenceError where a recorded release is not what was judged."""
    sides = {Arm.CANDIDATE: plan.candidate} | ({} if plan.stage == "build" else {Arm.BASELINE: plan.baseline})
    for arm, side in sides.items():
        if side.release.get("engine") == "replay" and digests[f"{arm}_responses"] != side.digest:
            raise EvidenceError(
                f"{arm} {side.name!r}: the recorded outputs changed after the run began; start a new run"
            )


def _answer(journal: Journal, loaded: Loaded, err: TextIO) -> None:
    total = len(loaded.golden.prompts) * loaded.suite.repeat
    open_ = total - len(journal.completed)
    if not open_:
        return
    module, _, name = RUNNERS[loaded.pipeline.runner.type].partition(":")
    runner: Runner = getattr(importlib.import_module(module), name)
    with Progress(total, done=len(journal.completed), out=err) as progress:
        runner(loaded.pipeline, _pairs(loaded, journal.completed), _writer(journal, progress))


def _writer(journal: Journal, progress: Progress) -> Callable[[Pair, Answers], None]:
    def write(pair: Pair, answers: Answers) -> None:  # noqa: ARG001 - the runner's contract
        baseline, candidate = answers
        journal.append(baseline, candidate)
        progress.advance(answers)

    return write


def _pairs(loaded: Loaded, completed: set[Key]) -> Iterator[Pair]:
    """Open pairs in a seeded order that mixes strata, first arm by coin."""
    rng = random.Random(loaded.plan.seed)
    rows = [(prompt, repeat) for prompt in loaded.golden.prompts for repeat in range(loaded.suite.repeat)]
    rng.shuffle(rows)
    for prompt, repeat in rows:
        first = rng.choice((Arm.BASELINE, Arm.CANDIDATE))
        if (prompt.id, repeat) not in completed:
            yield _pair(prompt, repeat, first, loaded)


def _pair(prompt: Prompt, repeat: int, first: Arm, loaded: Loaded) -> Pair:
    pipeline, seed = loaded.pipeline, loaded.plan.seed
    alone = loaded.plan.stage == "build"
    return Pair(
        baseline=None if alone else render(prompt, pipeline.baseline, Arm.BASELINE, repeat, seed),
        candidate=render(prompt, pipeline.candidate, Arm.CANDIDATE, repeat, seed),
        first=first,
    )

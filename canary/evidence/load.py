"""A run out of its files: what was written is what is judged, or it is said why not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from canary import manifest, resumption
from canary.codec import golden_digest, line_digests, some
from canary.errors import EvidenceError
from canary.evidence.directory import EVIDENCE, LABELS, OBSERVATIONS, TELEMETRY, RunDirectory, read_records
from canary.evidence.sealed import hashed, read_seal, unfinished
from canary.plan import PLAN_SCHEMA, Plan
from canary.records import Evidence, Label, Measurement, Observation, Prompt, Response, Score


def load_run(path: Path) -> tuple[Plan, Evidence]:
    """A finished run, checked against its own seal.

    Raises EvidenceError for everything that keeps it from being judged again.
    """
    run = RunDirectory(path)
    sealed = read_seal(run)
    names = (*EVIDENCE, TELEMETRY, LABELS, OBSERVATIONS)
    expected = {name: sealed.files[name] for name in names if name in sealed.files}
    found = {name: hashed(path / name) for name in names if (path / name).is_file()}
    problems = [f"{path}: {problem}" for problem in manifest.compare_files(expected, found)]
    if problems:
        raise EvidenceError(problems)
    plan = load_plan(run)
    return plan, load_evidence(run, plan)


def stored_digests(path: Path) -> dict[str, str]:
    """`codec.evidence_digests` of a run, from its files as they are."""
    run = RunDirectory(path)
    with run.prompts.open("rb") as prompts, run.responses.open("rb") as responses, run.scores.open("rb") as scores:
        telemetry, labels, observations = (
            path.read_bytes().splitlines(keepends=True) if path.is_file() else ()
            for path in (run.telemetry, run.labels, run.observations)
        )
        return line_digests(prompts, responses, scores, telemetry, labels, observations)


def load_plan(run: RunDirectory) -> Plan:
    """The stored plan."""
    if not run.plan.is_file():
        raise EvidenceError(f"{run.path} is no run directory: plan.json is missing")
    try:
        document = json.loads(run.plan.read_bytes())
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != PLAN_SCHEMA:
            raise EvidenceError(
                f"{run.plan}: 'schema' must be {PLAN_SCHEMA} (got {schema}); another version wrote this run"
            )
        return Plan.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise EvidenceError([f"{run.plan}: '{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in details]) from None
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{run.plan}: {error}") from None


def load_evidence(run: RunDirectory, plan: Plan) -> Evidence:
    """The records of a run whose answers and scores are all there, sealed or not."""
    missing = [name for name in EVIDENCE if not (run.path / name).is_file()]
    if missing:
        raise EvidenceError(unfinished(run, f"{', '.join(missing)} missing"))
    prompts = load_prompts(run, plan)
    responses = read_records(Response, run.responses)
    scores = read_records(Score, run.scores)
    telemetry = read_records(Measurement, run.telemetry) if run.telemetry.is_file() else ()
    labels = read_records(Label, run.labels) if run.labels.is_file() else ()
    observations = read_records(Observation, run.observations) if run.observations.is_file() else ()
    problems = [
        *_misplaced_responses(run, None if plan.traffic else prompts, responses),
        *_misplaced_scores(run.scores, "score", responses, scores),
        *_misplaced_scores(run.labels, "label", responses, labels),
        *_doubled(run.telemetry, (measurement.id for measurement in telemetry)),
        *_doubled(run.observations, ((seen.arm or "both arms", seen.replica, seen.at) for seen in observations)),
    ]
    if problems:
        raise EvidenceError(problems)
    return Evidence(
        prompts=prompts,
        responses=responses,
        scores=scores,
        telemetry=telemetry,
        labels=labels,
        observations=observations,
    )


def load_prompts(run: RunDirectory, plan: Plan) -> tuple[Prompt, ...]:
    """The stored cases, which must be the ones the plan names."""
    if not run.prompts.is_file():
        raise EvidenceError(f"{run.prompts} is missing")
    prompts = read_records(Prompt, run.prompts)
    problems = _doubled(run.prompts, (f"case '{prompt.id}'" for prompt in prompts))
    found = golden_digest(prompts)
    if found != plan.golden_sha256:
        problems.append(
            f"{run.prompts} holds other cases than plan.json: golden_sha256 {plan.golden_sha256}, found {found}"
        )
    if problems:
        raise EvidenceError(problems)
    return prompts


def _misplaced_responses(
    run: RunDirectory, prompts: Iterable[Prompt] | None, responses: tuple[Response, ...]
) -> list[str]:
    """Traffic answers no cases (None), so it can answer no wrong one."""
    ids = None if prompts is None else {prompt.id for prompt in prompts}
    unknown = [] if ids is None else sorted({response.id for response in responses} - ids)
    return [
        *some([f"{run.responses}: '{id_}' is no case of this run" for id_ in unknown]),
        *_doubled(run.responses, ((r.id, r.arm, r.repeat) for r in responses)),
    ]


def _misplaced_scores(
    path: Path, what: str, responses: Iterable[Response], scores: tuple[Score, ...] | tuple[Label, ...]
) -> list[str]:
    answered = {(r.id, r.arm, r.repeat) for r in responses}
    unknown = sorted({key for s in scores if (key := (s.id, s.arm, s.repeat)) not in answered})
    return [
        *some([f"{path}: a {what} of an answer that is not there: {_named(key)}" for key in unknown]),
        *_doubled(path, ((s.id, s.arm, s.repeat, s.metric) for s in scores)),
    ]


def _doubled(path: Path, keys: Iterable[Any]) -> list[str]:
    counts = Counter(keys)
    return some([f"{path}: {_named(key)} stands there {n} times" for key, n in counts.items() if n > 1])


def _named(key: Any) -> str:
    return key if isinstance(key, str) else " ".join(map(str, key))


def load_unfinished(run: RunDirectory) -> Plan:
    """The plan that a run began with; EvidenceError for a run that is finished."""
    if run.manifest.exists():
        raise EvidenceError(f"{run.path} is finished; judge it again with canary replay {run.path}, or start a new run")
    return load_plan(run)


def resume(run: RunDirectory, plan: Plan) -> tuple[str, ...]:
    """Whether the run can go on under this plan; what differs harmlessly.

    Raises EvidenceError naming each change that would mix two questions.
    """
    stored = load_unfinished(run)
    load_prompts(run, stored)
    changes = tuple(resumption.changes(stored, plan))
    mixing = [f"{run.path}: {sentence}; start a new run, or restore it" for sentence, is_mixing in changes if is_mixing]
    if mixing:
        raise EvidenceError(mixing)
    return tuple(sentence for sentence, _ in changes)

"""May a run be acted on? Every reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from canary.errors import EvidenceError, PromotionError
from canary.evaluate import evaluate
from canary.evidence import RunDirectory, load_run, read_seal, stored_digests
from canary.manifest import digest
from canary.plan import Plan, ReleasePlan
from canary.records import Decision, Evidence, Verdict
from canary.registry import CHAMPION, Entry, Transition
from canary.release import LiveRelease, Release
from canary.run.again import disagrees
from canary.run.resolve import EXECUTION, live_release
from canary.run.verify import verify_run

CLOCKS = timedelta(minutes=5)
"""By how much two machines' clocks may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A run that may be acted on."""

    path: Path
    plan: Plan
    verdict: Verdict
    made: datetime | None
    """When the oldest answer was given, as far as the record says; else when it was sealed."""
    record: str
    """The sha256 of its manifest."""


def read_tested(path: Path) -> Tested:
    """The run; PromotionError where its record does not verify: nobody knows then what was tested."""
    try:
        plan, evidence = load_run(path)
        found = verify_run(path)
    except EvidenceError as error:
        raise PromotionError([f"the record does not verify: {problem}" for problem in error.problems]) from None
    problems = [f"the record does not verify: {path}: {problem}" for problem in found.problems]
    digests = stored_digests(path)
    verdict = evaluate(evidence, plan, digests)
    problems += [f"the record does not verify: {problem}" for problem in disagrees(path, verdict)]
    problems += untested(plan.candidate, digests["candidate_responses"])
    if problems:
        raise PromotionError([*problems, "nothing was moved"])
    record = digest(RunDirectory(path).manifest.read_bytes())
    return Tested(path=path, plan=plan, verdict=verdict, made=_made(path, evidence), record=record)


def untested(candidate: ReleasePlan, answers: str) -> Iterator[str]:
    """Whether what would be promoted is not what was tested."""
    found = answers if candidate.is_recorded else _digest_now(candidate)
    if found is not None and found != candidate.digest:
        yield (
            f"candidate {candidate.name!r} is not what was tested: tested {candidate.digest}, found {found}; "
            "gate it again"
        )


def _digest_now(release: ReleasePlan) -> str | None:
    """The digest of a release whose weights are a folder here; None where they are not."""
    if release.origins:
        return None
    try:
        live = TypeAdapter[Any](Release).validate_python(release.release)
    except ValidationError:
        return None
    if not isinstance(live, LiveRelease) or not Path(live.model).exists():
        return None
    return live_release(live).digest


def unfit(tested: Tested, now: datetime) -> Iterator[str]:
    """Why a verdict must not be acted on."""
    plan, made, limit = tested.plan, tested.made, tested.plan.policy.promotion.max_age_h
    if tested.verdict.verdict is not Decision.PROMOTE:
        yield f"the verdict is {tested.verdict.verdict.value}: {tested.verdict.reason}"
    if plan.purpose != "gate":
        yield f"the run is a {plan.purpose}, no gate of a release"
    if plan.stage == "build":
        yield "the run asked the candidate alone (stage build): nothing compares it with the champion"
    if made is None or made > now + CLOCKS:
        yield f"nobody knows when the verdict was made (got {made or 'no time in the record'})"
    elif limit is not None and now - made > timedelta(hours=limit):
        hours = (now - made).total_seconds() / 3600
        yield f"its oldest answer is {hours:.1f} h old; 'promotion.max_age_h' of the policy allows {limit:g}"


def _made(path: Path, evidence: Evidence) -> datetime | None:
    """When the oldest answer was given, as far as the record says; else when it was sealed."""
    sealed = read_seal(RunDirectory(path)).sealed_at
    if sealed is None:
        return None
    started = [r.started_at for r in evidence.responses if r.started_at is not None]
    return min([datetime.fromisoformat(sealed), *(datetime.fromtimestamp(at, UTC) for at in started)])


def unsaid(plan: Plan, model: str | None, prompt: str | None) -> Iterator[str]:
    """Where promoting these names would not ship what was tested."""
    baseline, candidate = plan.baseline.release, plan.candidate.release
    if prompt is None:
        return
    if "prompt" not in candidate or "prompt" not in baseline:
        raise PromotionError(f"'--prompt' {prompt}: a recorded release does not say which prompt it answered to")
    if model is None:
        ignored = EXECUTION - {"model"} | {"prompt"}
        differs = sorted(k for k in candidate.keys() | baseline.keys() if candidate.get(k) != baseline.get(k))
        more = [key for key in differs if key not in ignored]
        if more:
            yield f"the candidate differs in {', '.join(more)} too, which --prompt alone does not ship: add --model"


def stale(entry: Entry, state: Sequence[Transition], tested: Tested) -> Iterator[str]:
    """Whether the champion is no longer the baseline that the candidate was tested against."""
    champion, last = entry.version_at(CHAMPION), state[-1] if state else None
    now = f"version {champion}" if champion else "no version"
    used = next((t for t in state if t.record == tested.record), None)
    if used is not None and used is not last and used.after != champion:
        yield f"{entry.name}: this very run was promoted already, at {used.at} by {used.who}, and replaced since"
    if last is not None and champion != last.after and last.record != tested.record:
        yield (
            f"{entry.name}: champion is {now}, but {last.who} made it version {last.after} at {last.at}: it was moved "
            "by hand since, or that is not finished"
        )
    if champion is None:
        return
    found, baseline = entry.identity(champion), entry.digest(tested.plan.baseline)
    if found is None and entry.holds(champion, tested.plan.baseline):
        return
    if found is None:
        yield f"{entry.name}: champion is version {champion}, of which nothing says which release it is"
    elif found not in (baseline, entry.digest(tested.plan.candidate)):
        yield (
            f"{entry.name}: the baseline {tested.plan.baseline.name!r} ({baseline[:8]}) is no longer champion, "
            f"version {champion} ({found[:8]}) is: gate the candidate against that"
        )

"""Make a tested candidate champion, or take that back: every check, then one move per name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from canary import ledger
from canary.address import holds_credentials
from canary.errors import CanaryError, ConfigError, PromotionError
from canary.registry import (
    CHAMPION,
    PREVIOUS,
    Entry,
    ModelEntry,
    PromptEntry,
    Transition,
    move,
    read_transitions,
    settle,
    standing,
)
from canary.run.fitness import Tested, read_tested, stale, unfit, unsaid
from canary.tracking import connected


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What is moved, and where it is registered."""

    model: str | None
    prompt: str | None
    uri: str | None

    def entries(self, client: Any, experiment: str) -> tuple[Entry, ...]:
        """The registered names, the model first."""
        model = () if self.model is None else (ModelEntry(client, self.model, experiment),)
        return (*model, *(() if self.prompt is None else (PromptEntry(client, self.prompt),)))


def promote(
    path: Path, names: Names, *, override: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[str]:
    """Register the tested candidate where it is not, and make it champion; sentences for whoever watches.

    Raises PromotionError with every reason to refuse. `override` stands
    against all but three: a record that does not verify, a candidate that is
    not what was tested, and another promotion that came first.
    """
    tested = read_tested(path)
    named = Names(
        model=names.model or tested.plan.registry.model,
        prompt=names.prompt or tested.plan.registry.prompt,
        uri=names.uri or tested.plan.mlflow.tracking_uri,
    )
    if named.model is None and named.prompt is None:
        raise ConfigError(
            "'--model' or '--prompt' must name what is promoted, or the pipeline's 'registry' (got neither)"
        )
    refusals = [*unfit(tested, now()), *unsaid(tested.plan, named.model, named.prompt)]
    with connected(named.uri) as tracker:
        entries = named.entries(tracker.client, tested.plan.mlflow.experiment)
        states = [read_transitions(tracker.client, entry.name) for entry in entries]
        for entry, state in zip(entries, states, strict=True):
            refusals += stale(entry, state, tested)
        if refusals and not override:
            raise PromotionError([*refusals, "nothing was moved; --override REASON is for the release owner"])
        why = override or "the gate says promote"
        for entry, state in zip(entries, states, strict=True):
            more = _uri(named) | ({"overridden": list(refusals)} if refusals else {})
            yield from _promote(entry, state, tested, why, more, now())


def _promote(
    entry: Entry, state: Sequence[Transition], tested: Tested, why: str, more: dict[str, Any], now: datetime
) -> Iterator[str]:
    """Move one name and write it down; one that was cut off after it had won is finished."""
    champion = entry.version_at(CHAMPION)
    before = champion or entry.ensure(tested.plan.baseline, tested.record)
    after = entry.ensure(tested.plan.candidate, tested.record)
    if _is_unfinished(state, tested, after, champion):
        settle(entry)
        moved = state[-1]
    elif champion == after:
        yield f"{entry.name}: version {after} is champion already"
        return
    else:
        moved = move(entry, _transition("promote", state, before, after, why, tested.record, now))
    yield f"{entry.name}: champion was version {moved.before}, is version {after} ({tested.plan.candidate.name})"
    if tested.plan.candidate.is_recorded:
        yield f"{entry.name}: version {after} is known by its recorded answers alone: see that what serves it gave them"
    yield from _written(tested.path.resolve().parent, entry, moved, more)


def _is_unfinished(state: Sequence[Transition], tested: Tested, after: str, champion: str | None) -> bool:
    """Whether this very promotion was won and then cut off before the alias moved."""
    last = state[-1] if state else None
    own = last is not None and (last.what, last.record, last.after) == ("promote", tested.record, after)
    return own and champion != after


def _uri(names: Names) -> dict[str, Any]:
    """The server, for a rollback that names none; never with credentials."""
    return {} if names.uri is None or holds_credentials(names.uri) else {"uri": names.uri}


def roll_back(names: Names, *, runs: Path, why: str) -> Iterator[str]:
    """Make the previous champion champion again; without names, of what was promoted last from here.

    Raises PromotionError where there is none, or another move came first.
    """
    named = _named(names, runs)
    with connected(named.uri) as tracker:
        for entry in named.entries(tracker.client, ""):
            state = read_transitions(tracker.client, entry.name)
            champion, previous = _back(entry, state)
            moved = move(entry, _transition("rollback", state, champion, previous, why, "", datetime.now(UTC)))
            yield f"{entry.name}: champion was version {champion}, is version {previous} again"
            yield from _written(runs, entry, moved, {})


def _back(entry: Entry, state: Sequence[Transition]) -> tuple[str, str]:
    """Champion, and the version before it: before the last promotion that stands, else where the alias points."""
    champion, last = entry.version_at(CHAMPION), standing(state)
    if last is not None and champion in (last.after, last.before):
        return last.after, last.before
    previous = None if state else entry.version_at(PREVIOUS)
    if champion is None or previous is None or champion == previous:
        raise PromotionError(f"{entry.name}: there is no earlier champion to go back to; nothing was moved")
    return champion, previous


def _named(names: Names, runs: Path) -> Names:
    """The names given, else those of the last promotion in the history, which must be as it was written."""
    if names.model or names.prompt:
        return names
    history = ledger.read(runs)
    if history.problems:
        raise PromotionError([*history.problems, "nothing was moved; say with --model or --prompt what goes back"])
    promoted = [entry for entry in history.entries if entry["what"] == "promote"]
    if not promoted:
        raise ConfigError("'--model' or '--prompt' must be given: nothing was promoted from here (got neither)")
    last = promoted[-1]
    is_model = last.get("kind") == "models"
    name = str(last["name"])
    return Names(model=name if is_model else None, prompt=None if is_model else name, uri=names.uri or last.get("uri"))


def _transition(
    what: str, state: Sequence[Transition], before: str, after: str, why: str, record: str, now: datetime
) -> Transition:
    return Transition(
        number=0,
        based_on=state[-1].number if state else 0,
        what=what,
        before=before,
        after=after,
        who=ledger.who(),
        at=f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        why=why,
        record=record,
    )


def _written(runs: Path, entry: Entry, moved: Transition, more: dict[str, Any]) -> Iterator[str]:
    """Enter a move into the history; what went wrong, since the move is done."""
    details = {
        "kind": entry.scheme,
        "name": entry.name,
        "before": moved.before,
        "after": moved.after,
        "number": moved.number,
        "why": moved.why,
        "record": moved.record,
    }
    try:
        ledger.append(runs, moved.what, details | more)
    except (OSError, CanaryError) as error:
        yield f"{entry.name}: the local history has not got it, the log of {entry.name} has: {error}"

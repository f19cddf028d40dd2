"""Who moved champion from where to where, in an order that everyone agrees on.

MLflow sets an alias without asking what it was, so two promotions at once
could both believe to have won. But it gives the versions of a registered model
consecutive numbers, each once. So every change of `support` is first written
as the next version of `support.promotions`, with the number of the change it
is based on. A change counts if it is based on the last one that counts: of two
that are based on the same one, the lower number wins, for every reader, on
every host, for good. Only then is the alias moved, and whoever moves it reads
the log once more, so that the alias ends where the last change put it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from canary.errors import PromotionError
from canary.registry.entry import CHAMPION, PREVIOUS, Entry, create_version, register_name, versions_of
from canary.tracking import text_for_mlflow

SUFFIX = ".promotions"
MOST_ROUNDS = 20
NOTICE = "Written by canary promote and canary rollback: each version is one change of champion. Do not delete any."


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of champion."""

    number: int
    """0 for one that is not written yet."""
    based_on: int
    """The change before it; 0 for the first."""
    what: str
    """`promote` or `rollback`."""
    before: str
    """Champion's version before; empty where there was none."""
    after: str
    who: str
    at: str
    why: str
    record: str
    """The sha256 of the run's record; empty for a rollback."""


def read_transitions(client: Any, name: str) -> tuple[Transition, ...]:
    """The changes of a name that count, oldest first."""
    counted: list[Transition] = []
    for version in versions_of(client, name + SUFFIX):
        found = _parsed(version)
        if found is not None and found.based_on == (counted[-1].number if counted else 0):
            counted.append(found)
    return tuple(counted)


def standing(counted: Sequence[Transition]) -> Transition | None:
    """The last promotion that no rollback took back."""
    kept: list[Transition] = []
    for transition in counted:
        if transition.what == "promote":
            kept.append(transition)
        elif kept:
            kept.pop()
    return kept[-1] if kept else None


def claim(entry: Entry, wanted: Transition) -> Transition:
    """Write a change into the log; PromotionError naming the winner where another one came first."""
    log = entry.name + SUFFIX
    register_name(entry.client, log, NOTICE)
    written = {key: str(value) for key, value in asdict(wanted).items() if key != "number"}
    tags = {f"gate.{key}": text_for_mlflow(value, 4000) for key, value in written.items()}
    source = f"{entry.scheme}:/{entry.name}/{wanted.after}"
    number = int(create_version(entry.client, log, source, tags).version)
    counted = read_transitions(entry.client, entry.name)
    own = next((transition for transition in counted if transition.number == number), None)
    if own is None:
        raise PromotionError(_lost(entry.name, wanted, counted))
    return own


def move(entry: Entry, wanted: Transition) -> Transition:
    """Write a change, and move the aliases if it counts.

    Raises PromotionError naming the winner where another change came first;
    nothing was moved then.
    """
    own = claim(entry, wanted)
    settle(entry)
    return own


def settle(entry: Entry) -> Transition | None:
    """Point the aliases where the last change that counts put them; that change."""
    settled: Transition | None = None
    for _ in range(MOST_ROUNDS):
        counted = read_transitions(entry.client, entry.name)
        last = counted[-1] if counted else None
        if last == settled:
            return last
        if last is not None:
            if last.before:
                entry.point(PREVIOUS, last.before)
            entry.point(CHAMPION, last.after)
        settled = last
    raise PromotionError(f"{entry.name}: champion is being moved faster than it can be followed; look at who does it")


def _lost(name: str, wanted: Transition, counted: tuple[Transition, ...]) -> str:
    winner = next((t for t in counted if t.based_on == wanted.based_on), None)
    if winner is None:
        return f"{name}: the log of promotions ({name}{SUFFIX}) changed meanwhile; nothing was moved, try again"
    return (
        f"{name}: another {winner.what} came first: {winner.who} made version {winner.after} champion at {winner.at}; "
        "nothing was moved, and the candidate was tested against another champion"
    )


def _parsed(version: Any) -> Transition | None:
    tags = {key.removeprefix("gate."): value for key, value in version.tags.items()}
    try:
        return Transition(
            number=int(version.version),
            based_on=int(tags["based_on"]),
            what=tags["what"],
            before=tags.get("before", ""),
            after=tags["after"],
            who=tags.get("who", ""),
            at=tags.get("at", ""),
            why=tags.get("why", ""),
            record=tags.get("record", ""),
        )
    except (KeyError, ValueError):
        return None

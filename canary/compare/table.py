"""Both arms' answers side by side, indexed by case and repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from canary.assertions.scoring import effective_failure
from canary.errors import EvidenceError
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, ErrorKind, Evidence, Prompt, Response, Scale

SERVER_FAULTS = (ErrorKind.SERVER, ErrorKind.THROTTLED)


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Cases sorted by id; row `case * repeat + k` is the k-th answer to it."""

    prompts: tuple[Prompt, ...]
    strata_names: tuple[str, ...]
    strata: NDArray[np.int64]
    """Shape (cases,): index into `strata_names` and `weights`."""
    weights: tuple[float, ...]
    clusters: NDArray[np.int64]
    """Shape (cases,)."""
    repeat: int
    index: dict[str, int]
    baseline: tuple[Response | None, ...]
    """Shape (cases * repeat,)."""
    candidate: tuple[Response | None, ...]

    @cached_property
    def served(self) -> NDArray[np.bool_]:
        """Shape (cases,): cases the baseline answered at least once without error."""
        rows = np.fromiter((self.is_served(row) for row in range(len(self.baseline))), bool, len(self.baseline))
        return np.asarray(rows.reshape(-1, self.repeat).any(axis=1))

    def is_served(self, row: int) -> bool:
        """Whether the baseline's answer of one row is there and no error."""
        response = self.baseline[row]
        return response is not None and effective_failure(self.prompts[row // self.repeat], response) is None

    def broken(self, arm: Arm) -> NDArray[np.bool_]:
        """Shape (cases,): cases on which this arm's server was at fault, even once."""
        rows = [r is not None and r.error is not None and r.error.kind in SERVER_FAULTS for r in self.answers(arm)]
        return np.asarray(np.reshape(rows, (-1, self.repeat)).any(axis=1))

    @cached_property
    def starts(self) -> NDArray[np.float64]:
        """Shape (cases * repeat,): when each pair began; -1 where no clock was recorded."""
        clocks = [
            np.fromiter((np.inf if r is None or r.started_at is None else r.started_at for r in arm), float, len(arm))
            for arm in (self.baseline, self.candidate)
        ]
        first = np.minimum(*clocks)
        return np.where(np.isfinite(first), first, -1.0)

    @cached_property
    def recorded(self) -> bool:
        """Whether scores came with the responses instead of from assertions."""
        return any(r is not None and bool(r.scores) for arm in Arm for r in self.answers(arm))

    def answers(self, arm: Arm) -> tuple[Response | None, ...]:
        """One arm's answers in row order."""
        return self.baseline if arm is Arm.BASELINE else self.candidate

    def means(self, arm: Arm, read: Callable[[Response | None], float]) -> NDArray[np.float64]:
        """Shape (cases,): one arm's mean over repeats; NaN where any is."""
        answers = self.answers(arm)
        rows = np.fromiter((read(response) for response in answers), float, len(answers))
        return np.asarray(rows.reshape(-1, self.repeat).mean(axis=1))

    def absent(self, arm: Arm) -> NDArray[np.bool_]:
        """Shape (cases,): cases this arm did not answer every time."""
        return self._absent[arm]

    @cached_property
    def _absent(self) -> dict[Arm, NDArray[np.bool_]]:
        rows = {arm: np.fromiter((r is None for r in self.answers(arm)), bool, len(self.baseline)) for arm in Arm}
        return {arm: np.asarray(of_arm.reshape(-1, self.repeat).any(axis=1)) for arm, of_arm in rows.items()}

    def selection(self, stratum: str) -> NDArray[np.bool_]:
        """Shape (cases,): the cases of one stratum, or of all of them."""
        if stratum == POOLED:
            return np.ones(len(self.prompts), dtype=bool)
        if stratum not in self.strata_names:
            return np.zeros(len(self.prompts), dtype=bool)
        return np.asarray(self.strata == self.strata_names.index(stratum))


def tabulate(evidence: Evidence, plan: Plan) -> Table:
    """Line the answers of both arms up by case."""
    prompts = tuple(sorted(evidence.prompts, key=lambda prompt: prompt.id))
    names = tuple(stratum.name for stratum in plan.strata)
    unknown = sorted({prompt.stratum for prompt in prompts} - set(names))
    if unknown:
        raise EvidenceError(f"the plan must name every stratum of its cases (it lacks {listing(unknown)})")
    index = {prompt.id: i for i, prompt in enumerate(prompts)}
    repeat = plan.suite.repeat
    clusters = {name: i for i, name in enumerate(sorted({prompt.cluster for prompt in prompts}))}
    return Table(
        prompts=prompts,
        strata_names=names,
        strata=np.array([names.index(prompt.stratum) for prompt in prompts], dtype=np.int64),
        weights=tuple(stratum.weight for stratum in plan.strata),
        clusters=np.array([clusters[prompt.cluster] for prompt in prompts], dtype=np.int64),
        repeat=repeat,
        index=index,
        baseline=_rows(evidence.responses, Arm.BASELINE, index, repeat),
        candidate=_rows(evidence.responses, Arm.CANDIDATE, index, repeat),
    )


def _rows(responses: Sequence[Response], arm: Arm, index: dict[str, int], repeat: int) -> tuple[Response | None, ...]:
    rows: list[Response | None] = [None] * (len(index) * repeat)
    for response in responses:
        if response.arm is not arm:
            continue
        case = index.get(response.id)
        if case is None or not 0 <= response.repeat < repeat:
            raise EvidenceError(_stray(response, repeat, known=case is not None))
        row = case * repeat + response.repeat
        if rows[row] is not None:
            raise EvidenceError(f"{arm}: 'id' must be unique with its repeat (got {response.id!r} twice)")
        rows[row] = response
    return tuple(rows)


def _stray(response: Response, repeat: int, *, known: bool) -> str:
    if known:
        return f"{response.arm}: 'repeat' of {response.id!r} must be below {repeat} (got {response.repeat})"
    return f"{response.arm}: 'id' must name a case of the golden set (got {response.id!r})"


def slug(stratum: str) -> str:
    """The stratum as it stands in a signal's name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", stratum)


def listing(names: Sequence[str], shown: int = 3) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(repr(name) for name in names[:shown]) + more


def absences(table: Table, chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    """One sentence per arm that left chosen cases unanswered.

    A baseline that only failed is absent too: any candidate is better than
    nothing, which does not make it fit to replace the release.
    """
    sentences = []
    if chosen.any() and not (table.served & chosen).any():
        sentences.append(f"every baseline response to {int(chosen.sum())} cases errored: nothing to compare with")
    for arm in Arm:
        cases = np.flatnonzero(table.absent(arm) & chosen)
        if cases.size:
            names = listing([table.prompts[i].id for i in cases])
            sentences.append(f"{cases.size} of {int(chosen.sum())} cases have no {arm} response: {names}")
    return tuple(sentences)


def lacking(table: Table, lacks: Callable[[Response], bool], words: str) -> Iterator[str]:
    """A sentence per arm some of whose answers lack something; an error need not have it."""
    for arm in Arm:
        answers = [response for response in table.answers(arm) if response is not None and response.error is None]
        without = sum(map(lacks, answers))
        if without:
            yield f"{without} of {len(answers)} {arm} responses {words}"


def pooled(
    table: Table,
    arms: Mapping[Arm, NDArray[np.float64]],
    *,
    kind: str,
    metric: str,
    scale: Scale,
    missing: Iterable[str],
    used: NDArray[np.bool_] | None = None,
) -> Comparison:
    """The cases of all strata together, one value a case; unless `used` says which, those that both arms have."""
    if used is None:
        used = np.isfinite(arms[Arm.BASELINE]) & np.isfinite(arms[Arm.CANDIDATE])
    return Comparison(
        name=f"{kind}/{metric}",
        kind=kind,
        stratum=POOLED,
        metric=metric,
        scale=scale,
        baseline=arms[Arm.BASELINE][used],
        candidate=arms[Arm.CANDIDATE][used],
        clusters=table.clusters[used],
        strata=np.zeros(int(used.sum()), dtype=np.int64),
        weights=(1.0,),
        repeat=table.repeat,
        recorded=table.recorded,
        missing=tuple(missing),
    )

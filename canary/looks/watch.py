"""The e-processes of one run, fed with its cases in the order they were asked.

Every blocking quality and error signal has two: one against "no worse", one
against "worse by the margin".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from canary.compare.cases import Leads, Question, leads
from canary.compare.errors import SIGNAL_OF
from canary.compare.table import slug
from canary.expression import suffices
from canary.plan import Plan
from canary.records import PASS, POOLED, Evidence, Status, Tier
from canary.signals.levels import look_levels
from canary.signals.reading import Proof
from canary.stats.sequential import (
    BettingProcess,
    e_bonferroni,
    e_holm,
    harm_bets,
    harm_values,
    safety_bets,
    safety_values,
    stratum_blocks,
)
from canary.stats.vector import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One signal's two e-processes so far."""

    name: str
    question: Question
    stratum: int | None
    """Index into the plan's strata; None is all of them."""
    harm: BettingProcess
    safe: BettingProcess
    is_known: bool = True
    """False from the first case without a value: it then says nothing any more."""

    @property
    def is_category(self) -> bool:
        """Whether it speaks of one stratum, which a loss is better blamed on than the pool."""
        return self.stratum is not None

    def advance(self, so_far: Leads, weights: Floats) -> Track:
        """With all cases so far, of which it has seen the first ones."""
        if not self.is_known:
            return self
        mine = so_far.values if self.stratum is None else so_far.values[so_far.strata == self.stratum]
        if not np.all(np.isfinite(mine)):
            return replace(self, is_known=False)
        if self.stratum is None and self.question[0] == "quality":
            mine = np.clip(stratum_blocks(mine, so_far.strata, weights), -1, 1)
        return replace(
            self,
            harm=self.harm.advance(harm_values(mine[self.harm.n :])),
            safe=self.safe.advance(safety_values(mine[self.safe.n :])),
        )


class Watch:
    """The e-processes of one run, fed with its cases in their order."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._alpha = plan, look_levels(plan)
        self._weights = np.array([stratum.weight for stratum in plan.strata])
        self._leads: dict[Question, Leads] = {}
        self.tracks = tuple(_tracks(plan))
        self.cases = 0
        self.can_promote = True
        """False once a blocking signal was seen that no look can prove: what was measured stays measured."""

    def take(self, answered: Evidence) -> None:
        """The next cases: `answered.prompts` in their order, with all their answers and scores."""
        self.feed(leads(answered, self._plan), len(answered.prompts))

    def feed(self, more: Mapping[Question, Leads], cases: int) -> None:
        """The next cases as numbers."""
        for question, found in more.items():
            known = self._leads.get(question)
            self._leads[question] = found if known is None else known.then(found)
        nothing = Leads(strata=np.empty(0, dtype=np.int64), values=np.empty(0))
        self.tracks = tuple(
            track.advance(self._leads.get(track.question, nothing), self._weights) for track in self.tracks
        )
        self.cases += cases

    def harmed(self) -> dict[str, Proof]:
        """Signals whose harm is certain, and of which it is not certain that they are inside their margin.

        By averages of e-values now, or by the largest ones so far: both are
        implied by one event, that some true null's average passes 1/alpha.
        """
        evidence = np.maximum(
            e_bonferroni([track.harm.peak for track in self.tracks]),
            e_holm([track.harm.log_e for track in self.tracks]),
        )
        bar, level = -np.log(self._alpha.rollback), self._alpha.rollback
        found = [
            (track, float(log_e))
            for track, log_e in zip(self.tracks, evidence, strict=True)
            if log_e >= bar and track.is_known and not self._is_safe(track)
        ]
        found.sort(key=lambda pair: (not pair[0].is_category and pair[0].question[0] == "quality", -pair[1]))
        return {track.name: Proof(status=Status.FAIL, log_e=log_e, alpha=level) for track, log_e in found}

    def safe(self) -> dict[str, Proof]:
        """Every signal, if each is certain to be inside its margin and none has shown harm; else none."""
        quiet = all(track.harm.peak < -np.log(self._alpha.rollback) for track in self.tracks)
        if not self.tracks or not quiet or not all(track.is_known and self._is_safe(track) for track in self.tracks):
            return {}
        level = self._alpha.promote
        ranked = sorted(self.tracks, key=lambda track: (track.safe.peak, track.name))
        return {track.name: Proof(status=Status.PASS, log_e=track.safe.peak, alpha=level) for track in ranked}

    def pooled(self, metric: str = PASS) -> Floats:
        """The metric's differences so far, one weighted mean a complete block of strata."""
        found = self._leads.get(("quality", metric))
        if found is None or not np.all(np.isfinite(found.values)):
            return np.empty(0)
        return stratum_blocks(found.values, found.strata, self._weights)

    def _is_safe(self, track: Track) -> bool:
        return bool(track.safe.peak >= -np.log(self._alpha.promote))


def _tracks(plan: Plan) -> Iterator[Track]:
    """Every blocking signal whose harm alone rolls back.

    They follow from the plan, so that their number is known before the first
    answer.
    """
    signals = [*_quality(plan), *_errors(plan)]
    decisive = [signal for signal in signals if suffices(plan.policy.composites["rollback"], signal[0])]
    alpha = look_levels(plan)
    for name, question, stratum, margin in decisive:
        yield Track(
            name=name,
            question=question,
            stratum=stratum,
            harm=harm_bets(alpha.rollback / len(decisive)),
            safe=safety_bets(margin, alpha.promote),
        )


_Named = tuple[str, Question, int | None, float]


def _quality(plan: Plan) -> Iterator[_Named]:
    rule = plan.policy.quality
    named = {metric for metric, of_metric in rule.metrics.items() if of_metric.tier is Tier.BLOCKING}
    for metric in sorted(named | ({PASS} - rule.metrics.keys())):
        yield f"quality/{POOLED}/{metric}", ("quality", metric), None, rule.margin(None)
        if [stratum.name for stratum in plan.strata] == ["default"]:
            continue
        for number, stratum in enumerate(plan.strata):
            margin = rule.margin(stratum.name)
            yield f"quality/{slug(stratum.name)}/{metric}", ("quality", metric), number, margin


def _errors(plan: Plan) -> Iterator[_Named]:
    for kind in sorted(set(SIGNAL_OF.values())):
        rule = getattr(plan.policy.errors, kind)
        if rule.tier is Tier.BLOCKING:
            yield f"errors/{kind}", ("errors", kind), None, rule.max_increase

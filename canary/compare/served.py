"""What serving adds to an answer: its share of cached tokens, and whether it kept every objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from canary.compare.apart import asked_apart, goodput_line, reason
from canary.compare.latency import came_whole, read_tpot
from canary.compare.table import SERVER_FAULTS, Table, absences, lacking, pooled
from canary.plan import Plan
from canary.policy import GoodputRule
from canary.records import POOLED, Arm, Comparison, Response, Scale

CACHE_UNSAID = "do not say how much of the prompt was cached: give 'cached_tokens' and 'input_tokens'"


def served_comparisons(table: Table, plan: Plan) -> Iterator[Comparison]:
    """The prefix cache where one was hit or the policy asks for it; goodput where it has objectives."""
    answers = [answer for arm in Arm for answer in table.answers(arm) if answer is not None]
    if any(answer.cached_tokens for answer in answers) or "cache/hit_rate" in plan.required:
        yield _comparison(table, cached_share, Scale.BOUNDED, ("cache", "hit_rate"), CACHE_UNSAID)
    rule = plan.policy.goodput
    if rule is not None:
        name = ("goodput", "requests")
        kept = _comparison(table, lambda answer: keeps_objectives(answer, rule), Scale.PASS_FAIL, name, unsaid_of(rule))
        apart = (reason(goodput_line(plan)),) if asked_apart(table, plan) else ()
        yield replace(kept, missing=(*kept.missing, *apart))


def unsaid_of(rule: GoodputRule) -> str:
    """What answers lack that goodput needs."""
    return f"lack a time that the objective needs ({', '.join(rule.objectives())})"


def cached_share(answer: Response) -> float:
    """Share of the prompt read from the cache; NaN where nobody said."""
    if answer.cached_tokens is None or not answer.input_tokens:
        return np.nan
    return min(1.0, answer.cached_tokens / answer.input_tokens)


def keeps_objectives(answer: Response, rule: GoodputRule) -> float:
    """Whether every objective was kept, as vLLM counts: between the tokens of one piece there is no time."""
    if answer.error is not None and answer.error.kind in SERVER_FAULTS:
        return 0.0
    single = came_whole(answer) or read_tpot(answer) == ()
    times = {"ttft_s": answer.ttft_s, "tpot_s": 0.0 if single else answer.tpot_s, "e2el_s": answer.total_s}
    kept = [
        np.nan if (time := times[name]) is None else float(time <= most) for name, most in rule.objectives().items()
    ]
    return float(np.prod(kept))


def _comparison(
    table: Table, read: Callable[[Response], float], scale: Scale, name: tuple[str, str], unsaid: str
) -> Comparison:
    """One value a case, paired; an answer that lacks it is missing evidence."""
    arms = {arm: table.means(arm, lambda answer: np.nan if answer is None else read(answer)) for arm in Arm}
    without = lacking(table, lambda answer: not np.isfinite(read(answer)), unsaid)
    return pooled(
        table,
        arms,
        kind=name[0],
        metric=name[1],
        scale=scale,
        missing=(*absences(table, table.selection(POOLED)), *without),
    )

"""Latency, paired by prompt and repeat: time to first token, gaps, total.

`ttft` is send to first token; `itl` pools the gaps between tokens over all
requests (vLLM's formulas); `total` is compared only on pairs whose answers are
about equally long, since a longer answer is not a slower one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from canary.compare.apart import RECORDED, asked_apart, latency_line, reason, recorded_apart
from canary.compare.table import SERVER_FAULTS, Table, absences
from canary.plan import Plan
from canary.records import POOLED, Arm, Comparison, Response, Scale

Times = Sequence[float]

FAILED: Times = (np.inf,)
"""A failed request misses every objective."""
TRAILING = 0.1
"""Of the wait for it, how much later an answer in one piece may end: a server says apart that it is done."""
MOST_WHOLE = 0.05
"""A larger share of answers that came in one piece is missing evidence: tm95 leaves out so many."""


def latency_comparisons(table: Table, plan: Plan) -> Iterator[Comparison]:
    """One comparison per latency that is recorded, or that the policy asks for.

    `latency/itl` carries one value per gap, or the mean gap of each request
    where any answer of either arm has only that; `latency/tpot` carries the
    mean gaps, for the share of slow requests.
    """
    apart = asked_apart(table, plan)
    warnings = (RECORDED,) if recorded_apart(table, plan) else ()
    for comparison in _families(table, plan):
        why = (reason(latency_line(plan, comparison.metric)),) if apart else ()
        yield replace(comparison, missing=(*comparison.missing, *why), warnings=(*comparison.warnings, *warnings))


def _families(table: Table, plan: Plan) -> Iterator[Comparison]:
    gaps = choose_gaps(answer for arm in Arm for answer in table.answers(arm))
    yield from _family(table, "ttft", read_ttft, required="latency/ttft" in plan.required)
    yield from _family(table, "itl", gaps, required="latency/itl" in plan.required)
    yield from _family(table, "tpot", read_mean_gap, required="latency/itl" in plan.required)
    yield from _family(table, "total", read_total, required="latency/total" in plan.required, same_length=True)


def read_ttft(response: Response) -> Times | None:
    """Time to first token."""
    return None if response.ttft_s is None else (response.ttft_s,)


def read_total(response: Response) -> Times | None:
    """Time to the end."""
    return None if response.total_s is None else (response.total_s,)


def choose_gaps(answers: Iterable[Response | None]) -> Callable[[Response], Times | None]:
    """A mean gap is no gap: the two must not be pooled, nor compared with each other."""
    throughout = all(answer.itl_s is not None for answer in answers if answer is not None and answer.tpot_s is not None)
    return read_gaps if throughout else read_mean_gap


def read_gaps(response: Response) -> Times | None:
    """Every gap between tokens."""
    return response.itl_s or read_tpot(response)


def read_mean_gap(response: Response) -> Times | None:
    """The longest of the mean gap between tokens, `tpot_s` and what the end makes of it.

    Of what contradicts itself the worst is believed: a tail that no gap shows
    is waited for as well.
    """
    if not response.itl_s and response.tpot_s is None:
        return read_tpot(response)
    gaps = np.fromiter(response.itl_s or (0.0,), float)
    return (max(float(np.mean(gaps)), response.tpot_s or 0.0, _spread_to_the_end(response)),)


def _spread_to_the_end(response: Response) -> float:
    """Total less time to first token, over the fewest gaps that are told; 0 where any of the three is unknown."""
    gaps = [count for count in (len(response.itl_s or ()), (response.output_tokens or 1) - 1) if count > 0]
    if response.total_s is None or response.ttft_s is None or not gaps:
        return 0.0
    return (response.total_s - response.ttft_s) / min(gaps)


def read_tpot(response: Response) -> Times | None:
    """Undefined for one token, and for one that was watched alone up to the end."""
    if response.tpot_s is not None:
        return (response.tpot_s,)
    most = 1 if response.itl_s is None else 2  # servers count the end of the answer, which nobody sees
    return () if response.output_tokens is not None and response.output_tokens <= most else None


def _family(
    table: Table, metric: str, read: Callable[[Response], Times | None], *, required: bool, same_length: bool = False
) -> Iterator[Comparison]:
    times = {arm: all_times(table.answers(arm), read) for arm in Arm}
    measured = any(value not in (None, (), FAILED) for of_arm in times.values() for value in of_arm)
    if measured or required:
        yield _comparison(table, metric, times, same_length=same_length)


def all_times(responses: Sequence[Response | None], read: Callable[[Response], Times | None]) -> list[Times | None]:
    """Of each response; one whose tokens came in one piece has no gaps, which a few may lack by chance."""
    times = [times_of(response, read) for response in responses]
    whole = [row for row, response in enumerate(responses) if times[row] is None and came_whole(response)]
    if len(whole) <= MOST_WHOLE * len(responses):
        for row in whole:
            times[row] = ()
    return times


def came_whole(response: Response | None) -> bool:
    """Whether its arrival was watched and all tokens came at once, as a busy server, or a proxy, sends them.

    It then ends where it begins: what stalls after its first token has gaps
    that somebody left out.
    """
    if response is None or response.itl_s != () or response.tpot_s is not None:
        return False
    began, ended = response.ttft_s, response.total_s
    return began is not None and ended is not None and ended <= began * (1 + TRAILING)


def times_of(response: Response | None, read: Callable[[Response], Times | None]) -> Times | None:
    """None where nothing is known, empty where undefined, inf where failed."""
    if response is None:
        return None
    if response.error is not None and response.error.kind in SERVER_FAULTS:
        return FAILED
    times = read(response)
    return () if times is None and response.error is not None else times


def _comparison(table: Table, metric: str, times: dict[Arm, list[Times | None]], *, same_length: bool) -> Comparison:
    both = [row for row in range(len(table.baseline)) if times[Arm.BASELINE][row] and times[Arm.CANDIDATE][row]]
    rows = [row for row in both if not same_length or _same_length(table.baseline[row], table.candidate[row])]
    starts = table.starts[rows]
    rows = np.asarray(rows, dtype=np.int64)[np.argsort(starts, kind="stable")].tolist()
    baseline, baseline_units = flatten([times[Arm.BASELINE][row] or () for row in rows])
    candidate, candidate_units = flatten([times[Arm.CANDIDATE][row] or () for row in rows])
    return Comparison(
        name=f"latency/{metric}",
        kind="latency",
        stratum=POOLED,
        metric=metric,
        scale=Scale.UNBOUNDED,
        baseline=baseline,
        candidate=candidate,
        clusters=table.clusters[[row // table.repeat for row in rows]],
        strata=np.zeros(len(rows), dtype=np.int64),
        weights=(1.0,),
        repeat=table.repeat,
        baseline_units=baseline_units,
        candidate_units=candidate_units,
        timed=bool(np.any(starts >= 0)),
        recorded=table.recorded,
        missing=(
            *absences(table, table.selection(POOLED)),
            *_unrecorded(table, metric, times),
            *(_unmatched(table, times, all_differ=bool(both) and not rows) if same_length else ()),
        ),
    )


def _same_length(baseline: Response | None, candidate: Response | None) -> bool:
    """Whether both answers fall into the same power-of-two bucket of tokens."""
    lengths = [r.output_tokens for r in (baseline, candidate) if r is not None and r.output_tokens]
    return len(lengths) == 2 and lengths[0].bit_length() == lengths[1].bit_length()


def flatten(times: list[Times]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All times in one array, and the row each belongs to."""
    lengths = np.fromiter((len(of_row) for of_row in times), np.int64, len(times))
    values = np.fromiter((value for of_row in times for value in of_row), float, int(lengths.sum()))
    return values, np.repeat(np.arange(len(times)), lengths)


def _unrecorded(table: Table, metric: str, times: dict[Arm, list[Times | None]]) -> tuple[str, ...]:
    sentences = []
    for arm, of_arm in times.items():
        without = [response for response, value in zip(table.answers(arm), of_arm, strict=True) if value is None]
        if without:
            whole = sum(map(came_whole, without))
            why = f"; the tokens of {whole} came in one piece, which no more than {MOST_WHOLE:.0%} may" if whole else ""
            sentences.append(f"{len(without)} of {len(of_arm)} {arm} responses carry no {metric} time{why}")
    return tuple(sentences)


def _unmatched(table: Table, times: dict[Arm, list[Times | None]], *, all_differ: bool) -> tuple[str, ...]:
    """Why totals that were recorded cannot be compared."""
    sentences = []
    for arm, of_arm in times.items():
        rows = zip(table.answers(arm), of_arm, strict=True)
        lengths = [response.output_tokens for response, value in rows if response and value not in (None, (), FAILED)]
        without = lengths.count(None)
        if without:
            sentences.append(
                f"{without} of {len(lengths)} {arm} responses carry a total time but no length: record "
                "'output_tokens', since totals are compared only between answers of about the same length"
            )
    if all_differ and not sentences:
        sentences.append("no pair's answers are of about the same length, so no totals are compared")
    return tuple(sentences)

"""Tries in, the response on record out: the last one's answer and times, everyone's costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from canary.engines.http.answer import Answer
from canary.engines.http.exchange import Try
from canary.engines.http.usage import TokenCounts
from canary.protocols import Request
from canary.records import Attempt, Failure, Response
from canary.release import Price


def respond(request: Request, tries: Sequence[Try], *, output: str, started_at: float, price: Price | None) -> Response:
    """The record of one request; `output` is the last answer's, as it may be shown."""
    last = tries[-1]
    answer, usage = last.answer, last.answer.usage or TokenCounts()
    attempts = tuple(
        Attempt(seconds=made.seconds, error=_failure(made), cost_usd=_cost(made, last, price)) for made in tries
    )
    costs = [attempt.cost_usd for attempt in attempts]
    return Response(
        id=request.id,
        arm=request.arm,
        repeat=request.repeat,
        output=output,
        error=_failure(last),
        ttft_s=None if answer.first is None else answer.first - answer.sent,
        itl_s=None if answer.first is None else tuple(answer.gaps),
        tpot_s=_tpot(answer, usage.output),
        total_s=last.seconds if answer.last is None else answer.last - answer.sent,
        input_tokens=usage.input,
        output_tokens=usage.output,
        cached_tokens=usage.cached,
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        finish_reason=answer.finish_reason,
        logprobs=answer.logprobs,
        started_at=started_at,
        guardrail=answer.guardrail,
        attempts=attempts,
    )


def _failure(made: Try) -> Failure | None:
    return Failure(kind=made.fault.kind, message=made.fault.message) if made.fault else None


def _tpot(answer: Answer, tokens: int | None) -> float | None:
    """Undefined for one token, and where all tokens came in one piece."""
    if answer.first is None or answer.last is None or not answer.gaps or tokens is None or tokens < 2:
        return None
    return (answer.last - answer.first) / (tokens - 1)


def _cost(made: Try, last: Try, price: Price | None) -> float | None:
    """US dollars that a try cost; None where nobody knows.

    One that was turned away costs nothing. One that was accepted and broke
    before its first token costs the prompt, which the last try counted.
    """
    usage = made.answer.usage
    if price is None:
        return None
    if made.status is None or made.status >= 300:
        return 0.0
    if usage is None and made is not last and last.answer.usage is not None:
        usage = replace(last.answer.usage, output=0)
    if usage is None or usage.input is None or usage.output is None:
        return None
    return price.of(usage.input, usage.output, min(usage.cached or 0, usage.input))

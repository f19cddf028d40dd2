"""The engine `openai` over real HTTP, against servers that throttle."""

from __future__ import annotations

import logging
import re
import time

import pytest

from tests.engines.conftest import Reply, Script, Seen, ask, ask_all, hello, in_turn, refuse, words

pytestmark = pytest.mark.usefixtures("short_backoff")


def bucket(per_second: float, burst: float) -> Script:
    """A script that allows so many requests a second, and tells no one how long to wait."""
    state = {"tokens": burst, "at": 0.0}

    def script(seen: Seen) -> Reply:
        state["tokens"] = min(burst, state["tokens"] + (seen.at - state["at"]) * per_second)
        state["at"] = seen.at
        if state["tokens"] < 1:
            return refuse(429, {"message": "slow down"})
        state["tokens"] -= 1
        return words("Hi")

    return script


def test_all_senders_wait_for_the_one_told() -> None:
    """After one 429, nobody sends before the time it names, and waiting is in no measured time."""
    script = in_turn(refuse(429, "x", retry_after_ms="400"), words("Hi"))
    began = time.perf_counter()
    outcome = ask_all(script, [hello(n) for n in range(2)])
    elapsed_s = time.perf_counter() - began
    first, *others = outcome.server.seen

    assert len(others) == 2
    assert min(seen.at - first.at for seen in others) >= 0.4
    for response in outcome.responses:
        assert response.error is None
        assert response.ttft_s is not None
        assert response.ttft_s <= response.attempts[-1].seconds
    assert sum(attempt.seconds for response in outcome.responses for attempt in response.attempts) <= elapsed_s - 0.4


def test_it_adapts() -> None:
    """Eight at once against a limit of 20 a second: a few are tried twice, none is lost."""
    outcome = ask_all(bucket(per_second=20, burst=10), [hello(n) for n in range(60)], at_once=8, timeout_s=20)

    assert [response.error for response in outcome.responses] == [None] * 60
    assert len(outcome.server.seen) < 75


def test_the_throttled_need_no_budget() -> None:
    """Where all of a burst are throttled, all are tried again, each in its turn."""
    left = iter([refuse(429, "x")] * 30)
    outcome = ask_all(lambda _: next(left, words("Hi")), [hello(n) for n in range(30)], at_once=30)

    assert [response.error for response in outcome.responses] == [None] * 30
    assert len(outcome.server.seen) == 60


def test_a_long_pause_is_capped() -> None:
    """A server that asks for an hour holds up the next request for no longer than the deadline."""
    script = in_turn(refuse(429, "x", retry_after="3600"), words("Hi"))
    outcome = ask_all(script, [hello(0), hello(1)], timeout_s=4)
    first, second = outcome.server.seen

    assert [response.error is None for response in outcome.responses] == [False, True]
    assert second.at - first.at < 600


def test_throttling_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Slowing down and the time spent waiting are logged."""
    with caplog.at_level(logging.INFO, logger="canary"):
        ask(refuse(429, "x", retry_after_ms="100"), words("Hi"))
    slowed, waited = caplog.messages

    assert re.search(r"throttles: at most 0\.\d+ requests/s after 0\.1 s", slowed)
    assert waited.startswith("candidate waited ")


def test_nothing_is_told_where_nobody_waited(caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint that never throttles is no news."""
    with caplog.at_level(logging.INFO, logger="canary"):
        ask_all(in_turn(words("Hi")), [hello(n) for n in range(20)], at_once=20)

    assert caplog.messages == []

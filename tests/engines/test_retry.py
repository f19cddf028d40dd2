"""When a failed request is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.engines.http.retry import BACKOFF_S, Budget, backoff_s, read_retry_after

NOON = "Wed, 21 Oct 2015 12:00:00 GMT"
NOON_S = 1445428800.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": NOON}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 11:59:00 GMT"}, 0.0),
        ({"retry-after": NOON, "date": "Wed, 21 Oct 2015 11:59:50 GMT"}, 10.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or a date, which is compared with the server's own clock where there is one."""
    assert read_retry_after(headers, NOON_S - 30) == seconds


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_is_read(text: str) -> None:
    """No header makes it fail or wait less than nothing."""
    seconds = read_retry_after({"retry-after": text, "date": text, "retry-after-ms": text}, NOON_S)

    assert seconds is None or 0 <= seconds < float("inf")


def test_budget() -> None:
    """Ten retries, and one more for every ten requests."""
    budget = Budget()
    for _ in range(20):
        budget.count_request()

    assert [budget.grant() for _ in range(14)] == [True] * 12 + [False] * 2


def test_backoff_is_random() -> None:
    """Waits are spread over the whole of the longest one."""
    waits = [backoff_s() for _ in range(200)]

    assert 0 <= min(waits) < 0.2 * BACKOFF_S
    assert 0.8 * BACKOFF_S < max(waits) <= BACKOFF_S

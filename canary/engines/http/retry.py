"""Whether and when a failed request is tried once more."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

BACKOFF_S = 1.0
"""Longest random wait before the second try, beyond what the server asks."""
SPARE_RETRIES = 10
RETRY_SHARE = 0.1


def backoff_s() -> float:
    """A random wait: those who failed together do not come back together."""
    return random.uniform(0.0, BACKOFF_S)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds the server asks to wait (0 or more); None where it does not say.

    A date is compared with the server's own clock where it sends one, else
    with `now` (seconds since the epoch).
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after", "")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    until, since = _date(asked), _date(headers.get("date", ""))
    return None if until is None else max(0.0, until - (now if since is None else since))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Budget:
    """Bounds retries to a share of requests, so that they cannot pile onto an outage."""

    def __init__(self) -> None:
        self._requests = 0
        self._retries = 0

    def count_request(self) -> None:
        """Earns a share of a retry."""
        self._requests += 1

    def grant(self) -> bool:
        """Spends one retry, if there is one."""
        if self._retries + 1 > SPARE_RETRIES + RETRY_SHARE * self._requests:
            return False
        self._retries += 1
        return True

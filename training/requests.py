"""A log as a service of the quickstart's models would have kept it: what was asked, and no answer.

    python -m training.requests        # writes pipelines/requests.jsonl

Every request is one that the models were never trained on. Routes are not asked equally often, some
requests come twice, customers ask several things in a row, and one asks with a picture.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from training.tasks import ROOT, TASKS, is_held_out

LOG = ROOT / "pipelines" / "requests.jsonl"
SEED = 4
REQUESTS = 560
RATE = 0.5
"""Requests a second."""
SHARES = {"extract": 0.24, "classify": 0.28, "arithmetic": 0.24, "tool_call": 0.24}
BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def _prompt(route: str, rng: random.Random) -> str:
    while True:
        case = TASKS[route](rng)
        if is_held_out(case):
            return case.prompt


def _body(content: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}]
    return {"model": "support", "messages": turns, "temperature": 0.2, "max_tokens": 24, "stream": True}


def requests() -> Iterator[dict[str, Any]]:
    """One line after the other."""
    rng, at, session = random.Random(SEED), BEGIN, 0
    asked: list[tuple[str, str]] = []
    for number in range(REQUESTS):
        at += timedelta(seconds=round(rng.expovariate(RATE), 3))
        session += rng.random() < 0.9
        route = rng.choices(list(SHARES), list(SHARES.values()))[0]
        again = asked and rng.random() < 0.03
        route, prompt = rng.choice(asked) if again else (route, _prompt(route, rng))
        asked.append((route, prompt))
        picture = [{"type": "image_url", "image_url": {"url": "https://example.com/receipt.png"}}]
        content: Any = [{"type": "text", "text": prompt}, *picture] if number == REQUESTS // 2 else prompt
        yield {
            "id": f"req-{number:04d}",
            "timestamp": at.isoformat(timespec="milliseconds"),
            "session": f"s{session:04d}",
            "metadata": {"route": route},
            "request": _body(content),
        }


def log_text() -> str:
    """The whole of the log."""
    return "".join(json.dumps(line) + "\n" for line in requests())


if __name__ == "__main__":
    LOG.write_text(log_text(), encoding="utf-8")

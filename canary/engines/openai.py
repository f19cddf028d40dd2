"""Any OpenAI-compatible HTTP endpoint, streamed, timed and billed per try.

What counts as what: docs/engines.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp

from canary import __version__
from canary.engines.http.endpoint import Endpoint, read_endpoint
from canary.engines.http.exchange import Try, clock, exchange
from canary.engines.http.rate import Rate, shared_rate
from canary.engines.http.respond import respond
from canary.engines.http.retry import Budget, backoff_s
from canary.engines.http.wire import find_quirk, write_body
from canary.errors import EngineError
from canary.protocols import Generate, Request
from canary.records import Arm, ErrorKind, Response
from canary.release import OpenAIRelease

_log = logging.getLogger(__name__)

CONNECT_S = 10.0
IDLE_S = 4.0
"""Kept under the five seconds after which common servers close an idle connection."""
LONGEST_MESSAGE = 500

_HINTS = {
    401: "check 'api_key'",
    403: "check 'api_key' and what it may do",
    404: "check 'base_url', 'api' and 'model'",
    429: "the account has no quota left",
}


@asynccontextmanager
async def open_release(release: OpenAIRelease, arm: Arm) -> AsyncIterator[Generate]:
    """Yields the function that asks the endpoint; nothing is sent before its first call.

    Raises ConfigError for what cannot be sent. The function raises EngineError
    when we are at fault, or when the endpoint was never there.
    """
    endpoint = read_endpoint(release)
    async with _open_client(release, endpoint) as client:
        session = _Session(release, arm, endpoint, client, shared_rate(endpoint.origin))
        try:
            yield session.answer
        finally:
            if session.waited_s:
                _log.info("%s waited %.1f s for its turn, outside all measured times", arm, session.waited_s)


def _open_client(release: OpenAIRelease, endpoint: Endpoint) -> aiohttp.ClientSession:
    """A pool as large as the runner's concurrency; no cookies, which would pin all requests to one replica."""
    own = {"user-agent": f"canary-gate/{__version__}", "accept": "text/event-stream, application/json"}
    try:
        proxy = endpoint.proxy
    except ValueError as error:
        raise EngineError(f"cannot open a client for {endpoint.url}: {error}") from None
    return aiohttp.ClientSession(
        headers={**own, "accept-encoding": "identity", "content-type": "application/json", **endpoint.headers},
        timeout=aiohttp.ClientTimeout(total=None, connect=min(CONNECT_S, release.timeout_s / 3)),
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
    )


@dataclass(slots=True)
class _Session:
    """One arm's conversation with one endpoint."""

    release: OpenAIRelease
    arm: Arm
    endpoint: Endpoint
    client: aiohttp.ClientSession
    rate: Rate
    budget: Budget = field(default_factory=Budget)
    quirks: set[str] = field(default_factory=set)
    was_reached: bool = False
    fastest_s: float | None = None
    """The quickest answer so far: no retry can be expected to be quicker."""
    waited_s: float = 0.0

    async def answer(self, request: Request) -> Response:
        """Asks once, or twice where that may help; the deadline runs from the first sending."""
        self.waited_s += await self.rate.take_turn()
        started_at, deadline = time.time(), clock() + self.release.timeout_s
        self.budget.count_request()
        tries = await self._ask(request, deadline)
        if await self._may_retry(tries[-1], deadline):
            tries += await self._ask(request, deadline)
        fault = tries[-1].fault
        if fault is not None and fault.is_unreached and not self.was_reached:
            raise EngineError(f"{self._who()} cannot be reached: {fault.message}")
        output = self.endpoint.mask_output(tries[-1].answer.output)
        return respond(request, tries, output=output, started_at=started_at, price=self.release.token_price)

    async def _ask(self, request: Request, deadline: float) -> list[Try]:
        """One try, repeated at once for each field that this server turns out not to take."""
        tries: list[Try] = []
        while True:
            known = frozenset(self.quirks)
            body = write_body(self.release, request, known)
            made = await exchange(self.client, self.endpoint.url, body, deadline)
            tries.append(made)
            self._learn(made)
            if made.fault is None or made.fault.kind is not ErrorKind.CLIENT:
                return tries
            quirk = find_quirk(self.release, made.rejection, known) if made.status in (400, 422) else None
            if quirk is None:
                raise EngineError(self._complaint(made))
            _log.info("%s does not take '%s': going on without", self._who(), quirk)
            self.quirks.add(quirk)

    def _learn(self, made: Try) -> None:
        self.was_reached = self.was_reached or made.status is not None
        if made.answer.is_complete:
            self.rate.speed_up()
            self.fastest_s = min(made.seconds, self.fastest_s or made.seconds)
        if made.fault is None:
            return
        made.fault = replace(made.fault, message=self._shown(made.fault.message))
        if made.fault.kind is ErrorKind.THROTTLED:
            pause_s = min(made.fault.retry_after_s or 0.0, self.release.timeout_s)
            self.rate.slow_down(made.answer.sent, pause_s)

    async def _may_retry(self, made: Try, deadline: float) -> bool:
        """Waits before it says yes. A fault after the first token is one that a user would have seen: it stands.

        Who was throttled needs no leave of the budget: its turn comes at the
        pace that the endpoint can bear.
        """
        fault = made.fault
        if fault is None or not fault.is_transient or made.answer.has_begun:
            return False
        latest = deadline - (self.fastest_s or 0.0)
        pause_s = backoff_s() + (fault.retry_after_s or 0.0)
        if clock() + max(pause_s, self.rate.wait_s()) >= latest:
            return False
        if fault.kind is not ErrorKind.THROTTLED and not self.budget.grant():
            return False
        await asyncio.sleep(pause_s)
        self.waited_s += pause_s + await self.rate.take_turn()
        return clock() < latest

    def _complaint(self, made: Try) -> str:
        said = made.fault.message if made.fault else ""
        hint = _HINTS.get(made.status or 0)
        return f"{self._who()} rejects our requests: {said}" + (f" ({hint})" if hint else "")

    def _who(self) -> str:
        return f"{self.arm} '{self.release.name}' at {self._shown(str(self.endpoint.url))}"

    def _shown(self, text: str) -> str:
        """On one line, without secrets, not too long."""
        line = " ".join(self.endpoint.mask(text).split())
        return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"

"""The connections that requests travel on."""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler


def open_connector(idle_s: float) -> aiohttp.TCPConnector:
    """As many connections as are wanted at once, each kept for so many idle seconds."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=idle_s)
    make = partial(_Connection, loop=asyncio.get_running_loop())
    connector._factory = make  # type: ignore[assignment]  # noqa: SLF001 - a connector takes none by its arguments
    return connector


class _Connection(ResponseHandler):
    """Tells whoever reads a body that it is broken: aiohttp's own closes itself and has them wait for more."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc_cause or exc)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc, exc_cause or exc)

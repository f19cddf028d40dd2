"""What went wrong with one try, and whose fault it is.

server          5xx, connection, timeout, a stream that is cut
client          any other 4xx, or no quota: ours; stops the run
throttled       429, 529
context_length  the prompt does not fit: a fact about the release
content_filter  the provider would not answer, or not to the end
truncated       stopped by max_tokens
refusal         declined in the field made for it
malformed       does not speak the protocol
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from canary.records import ErrorKind

_NO_QUOTA = re.compile(r"insufficient_quota|insufficient_balance|billing_hard_limit_reached")
_THROTTLED = re.compile(r"rate_?limit|too_many_requests|overloaded_error")
_FILTERED = re.compile(
    r"content_?filter|content_policy|content management policy|ResponsibleAI|data_inspection", re.IGNORECASE
)
_TOO_LONG = re.compile(
    r"context[_ ](length|size|window)|maximum context|maximum model length|too long to fit"
    r"|prompt is too long|input token count|`?max_new_tokens`? must be <=",
    re.IGNORECASE,
)
_AGAIN = frozenset({408, 409, 425})
"""4xx that say nothing about the request itself: timeout, conflict, too early."""

_FINISHES = {
    "length": ErrorKind.TRUNCATED,
    "max_tokens": ErrorKind.TRUNCATED,
    "model_length": ErrorKind.TRUNCATED,
    "content_filter": ErrorKind.CONTENT_FILTER,
    "safety": ErrorKind.CONTENT_FILTER,
    "refusal": ErrorKind.REFUSAL,
    "error": ErrorKind.SERVER,
    "abort": ErrorKind.SERVER,
    "insufficient_system_resource": ErrorKind.SERVER,
}
"""`finish_reason`s that say the answer is none; any other ends an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure, and what may be done about it."""

    kind: ErrorKind
    message: str
    is_transient: bool = False
    """Worth one more try."""
    retry_after_s: float | None = None
    """How long the server asks to be left alone."""
    is_unreached: bool = False
    """No connection was made at all."""


def server_fault(message: str) -> Fault:
    """The connection broke, the time ran out or the stream was cut."""
    return Fault(kind=ErrorKind.SERVER, message=message, is_transient=True)


def status_fault(status: int, body: str, retry_after_s: float | None = None) -> Fault:
    """What an HTTP status other than 2xx means, with the server's own words."""
    message, codes, _ = _said(body)
    kind = _kind(status, codes, message)
    again = kind is ErrorKind.THROTTLED or (kind is ErrorKind.SERVER and status != 501)
    message = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    return Fault(kind=kind, message=message, is_transient=again, retry_after_s=retry_after_s if again else None)


def stream_fault(document: Mapping[str, Any], *, has_begun: bool) -> Fault:
    """An error reported inside an answer of status 200.

    Once tokens have come, the request was acceptable: then nothing is ours.
    """
    body = json.dumps(document)
    _, codes, status = _said(body)
    fault = status_fault(status or (429 if _THROTTLED.search(codes) else 500), body)
    if has_begun and fault.kind is ErrorKind.CLIENT:
        return replace(fault, kind=ErrorKind.SERVER)
    return fault


def finish_fault(finish_reason: str | None, *, is_refused: bool) -> Fault | None:
    """What a `finish_reason` means; None where the answer stands."""
    kind = _FINISHES.get((finish_reason or "").lower())
    if is_refused and kind is not ErrorKind.CONTENT_FILTER:
        kind = ErrorKind.REFUSAL
    if kind is None:
        return None
    message = f"the answer ended with finish_reason {finish_reason!r}"
    if kind is ErrorKind.TRUNCATED:
        message += ", before it was complete: raise 'sampling.max_tokens'"
    return Fault(kind=kind, message=message, is_transient=kind is ErrorKind.SERVER)


def _kind(status: int, codes: str, message: str) -> ErrorKind:
    said = f"{codes} {message}"
    if _NO_QUOTA.search(codes):
        return ErrorKind.CLIENT
    if status in (429, 529) or (status == 413 and _THROTTLED.search(codes)):
        return ErrorKind.THROTTLED
    if status in (401, 404):
        return ErrorKind.CLIENT
    if status == 413 or _TOO_LONG.search(said):
        return ErrorKind.CONTEXT_LENGTH
    if _FILTERED.search(said) and status < 500:
        return ErrorKind.CONTENT_FILTER
    return ErrorKind.CLIENT if status < 500 and status not in _AGAIN else ErrorKind.SERVER


def _said(body: str) -> tuple[str, str, int | None]:
    """Message, codes in one string, and the status named inside the body."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body.strip(), "", None
    error = document.get("error") or document if isinstance(document, Mapping) else document
    if not isinstance(error, Mapping):
        return str(error), "", None
    inner = error.get("innererror")
    holders = (error, inner if isinstance(inner, Mapping) else {})
    codes = [holder.get(key) for holder in holders for key in ("code", "type", "status")]
    message = next((error[key] for key in ("message", "detail", "msg") if error.get(key)), error)
    text = message if isinstance(message, str) else json.dumps(message)
    return text, " ".join(str(code) for code in codes if code is not None), _status(codes)


def _status(codes: list[Any]) -> int | None:
    numbers = (int(code) for code in codes if str(code).isascii() and str(code).isdigit())
    return next((number for number in numbers if 400 <= number < 600), None)

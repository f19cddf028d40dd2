"""One answer, assembled chunk by chunk, with the moment of each token."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from canary.engines.http.filtered import RESULT, find_guardrail, merged
from canary.engines.http.usage import TokenCounts, find_usage
from canary.records import Guardrail


class MalformedError(ValueError):
    """What the server sent does not speak the protocol."""


def parse(text: str | bytes) -> Any:
    """A JSON value; raises MalformedError with the text's beginning."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the server sent something that is not JSON: {text[:200]!r}") from error


@dataclass(slots=True)
class _Call:
    """One tool call as it streams in."""

    name: str = ""
    arguments: str = ""

    def document(self) -> dict[str, Any]:
        """Arguments as JSON where they are JSON, else as they were written."""
        try:
            arguments = parse(self.arguments or "{}")
        except MalformedError:
            arguments = self.arguments
        return {"name": self.name, "arguments": arguments}


@dataclass(slots=True)
class Answer:
    """What one try has said so far; `sent` and `now` are of one steady clock.

    Only the first choice is read. Reasoning counts as a token's arrival and is
    not part of the output.
    """

    sent: float
    last: float | None = None
    """Arrival of the last chunk that carries a choice."""
    gaps: list[float] = field(default_factory=list)
    """Between consecutive chunks that carry tokens."""
    finish_reason: str | None = None
    usage: TokenCounts | None = None
    guardrail: Guardrail | None = None
    """What the provider's own filter said so far, of prompt and answer."""
    error: Mapping[str, Any] | None = None
    """The document in which the server reported an error."""
    is_done: bool = False
    """The server said that nothing more comes."""
    has_choice: bool = False
    _first: float | None = None
    _latest: float = 0.0
    _content: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _calls: dict[int, _Call] = field(default_factory=dict)
    _logprobs: list[float] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        """Whether a token has come that a user would have seen."""
        return self._first is not None

    @property
    def first(self) -> float | None:
        """Arrival of the first token; that of an empty answer is its end."""
        return self.last if self._first is None and self.is_complete else self._first

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing from the answer itself."""
        return self.has_choice and (self.is_done or self.finish_reason is not None)

    @property
    def is_refused(self) -> bool:
        """Whether the model said so in the field made for it."""
        return any(self._refusal)

    @property
    def output(self) -> str:
        """The content, else the refusal, else the tool calls as JSON."""
        text = "".join(self._content) or "".join(self._refusal)
        if not text and self._calls:
            calls = [call.document() for _, call in sorted(self._calls.items())]
            text = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
        # Halves of one character may have come in two chunks; a lone half cannot be written anywhere.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @property
    def logprobs(self) -> tuple[float, ...] | None:
        """Of the tokens written; None where any is no number."""
        return tuple(self._logprobs) if self._logprobs and all(map(math.isfinite, self._logprobs)) else None

    def hear(self, event: str, now: float) -> None:
        """Adds one event of a stream; raises MalformedError. After the last one clients listen no more."""
        if self.is_done:
            return
        if not event.startswith("{") and event.strip().upper() == "[DONE]":
            self.is_done = True
        else:
            self.add(parse(event), now, event)

    def add(self, document: Any, now: float | None, text: str | None = None) -> None:
        """Adds one chunk, or a whole answer with `now` None: its tokens have no times.

        What `text`, the document as it was sent, does not mention is not looked for.
        """
        if not isinstance(document, dict):
            raise MalformedError(f"the server sent JSON that is no object: {str(document)[:200]}")
        if text is None or RESULT in text:
            self.guardrail = merged(self.guardrail, find_guardrail(document))
        if document.get("error") or document.get("object") == "error":
            self.error = document
            return
        if text is None or "usage" in text or "timings" in text:
            self.usage = find_usage(document) or self.usage
        for choice in _listed(document, "choices"):
            if choice.get("index") in (None, 0):
                self._add_choice(choice, now)

    def _add_choice(self, choice: Mapping[str, Any], now: float | None) -> None:
        piece = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        if not isinstance(piece, dict):
            raise MalformedError(f"'delta' must be an object (got {str(piece)[:200]})")
        self.has_choice = True
        content, refusal = _text(piece.get("content")), _text(piece.get("refusal"))
        self._content.append(content)
        self._refusal.append(refusal)
        has_call = self._add_calls(piece)
        if now is not None:
            self.last = now
            if content or refusal or has_call or piece.get("reasoning_content") or piece.get("reasoning"):
                self._tick(now)
        self._logprobs += _logprobs(choice.get("logprobs"))
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason not in ("", "null"):
            self.finish_reason = reason

    def _tick(self, now: float) -> None:
        if self._first is None:
            self._first = now
        else:
            self.gaps.append(now - self._latest)
        self._latest = now

    def _add_calls(self, piece: Mapping[str, Any]) -> bool:
        if "tool_calls" not in piece and "function_call" not in piece:
            return False
        calls = list(_listed(piece, "tool_calls"))
        if isinstance(piece.get("function_call"), dict):
            calls.append({"function": piece["function_call"]})
        for position, delta in enumerate(calls):
            index = delta.get("index")
            call = self._calls.setdefault(index if isinstance(index, int) else position, _Call())
            function = delta.get("function")
            if isinstance(function, dict):
                call.name += _text(function.get("name"))
                call.arguments += _argument_text(function.get("arguments"))
        return bool(calls)


def _listed(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or any(type(each) is not dict for each in found):
        raise MalformedError(f"'{key}' must be a list of objects (got {str(found)[:200]})")
    return found


def _text(value: Any) -> str:
    """Text, or the text parts of a list of parts."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    if not isinstance(value, str):
        raise MalformedError(f"the server sent text that is no text: {str(value)[:200]}")
    return value


def _argument_text(value: Any) -> str:
    """Arguments are JSON in a string; some servers send the object itself."""
    return json.dumps(value) if isinstance(value, dict) else _text(value)


def _logprobs(found: Any) -> list[float]:
    if not isinstance(found, dict):
        return []
    tokens = found.get("content")
    listed = [each.get("logprob") for each in tokens if isinstance(each, dict)] if isinstance(tokens, list) else []
    flat = found.get("token_logprobs")
    numbers = listed or (flat if isinstance(flat, list) else [])
    return [float(each) for each in numbers if isinstance(each, int | float) and not isinstance(each, bool)]

"""One line of a request log: an OpenAI body, bare or wrapped, as a case.

Only the fields named here are read. Whatever else a line holds (headers,
keys, users, answers) is not copied.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from canary.bounds import MOST_TOKENS
from canary.case import Case
from canary.validation import problems, shown

_ROLES = {"system", "developer", "user", "assistant", "tool"}
_TURN = ("role", "content", "name", "tool_calls", "tool_call_id")
_WRAPPED = ("request", "body")
_TIMES = ("timestamp", "created", "created_at")
_IDS = ("id", "custom_id", "request_id")
_MILLISECONDS = 1e11
"""No log holds seconds of the year 5138."""

SETTINGS = (
    *("response_format", "structured_outputs", "guided_json", "tool_choice", "parallel_tool_calls", "n", "seed"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "top_k", "min_p"),
    *("reasoning_effort", "chat_template_kwargs"),
)
"""Fields of a body that change answers and that a case cannot carry."""


Drawing = tuple[float, float, int | None, tuple[str, ...]]
"""Temperature, top_p, max_tokens and stop, with the API's defaults."""


class LeftOutError(ValueError):
    """Why a request cannot be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request as it will be asked."""

    asked: Mapping[str, Any]
    """`messages` or `vars`, and `tools`."""
    id: str | None
    session: str | None
    """A digest: what a session is known by may be a secret."""
    tenant: str | None
    model: str | None
    sampling: Drawing
    settings: tuple[str, ...]
    """Names of what else it asked for."""

    @property
    def digest(self) -> str:
        """Identity of what is asked."""
        return hashlib.sha256(json.dumps(self.asked, sort_keys=True).encode()).hexdigest()


def read_request(line: Any) -> Recorded:
    """The request of a line; LeftOutError where it cannot be asked again."""
    if not isinstance(line, dict):
        raise LeftOutError(f"must be one JSON object, a request or what holds one (got {shown(line)})")
    body = _body(line)
    asked = _asked(body)
    stop = body.get("stop")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    found = Recorded(
        asked=asked,
        id=next((text for key in _IDS if (text := _text(line.get(key)))), None),
        session=_session(line.get("session")),
        tenant=_text(line.get("tenant")),
        model=_text(body.get("model")),
        sampling=(
            _number(body.get("temperature"), 1.0),
            _number(body.get("top_p"), 1.0),
            limit if isinstance(limit, int) and not isinstance(limit, bool) else None,
            (stop,) if isinstance(stop, str) else _texts(stop),
        ),
        settings=tuple(key for key in SETTINGS if body.get(key) not in (None, [], {})),
    )
    _require_case(asked)
    return found


def arrival(line: Any) -> dict[str, Any] | None:
    """When a request came, in seconds since the epoch, with its tokens; None where the line does not say."""
    if not isinstance(line, dict):
        return None
    written = next((line[key] for key in _TIMES if line.get(key) is not None), None)
    at = _seconds(written)
    return None if at is None else {"timestamp": at, **_tokens(line)}


def at_path(line: Mapping[str, Any], path: str) -> Any:
    """What a line holds at `metadata.route`; None where nothing."""
    value: Any = line
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _body(line: Any) -> Mapping[str, Any]:
    """The body itself, inside of at most two wrappers; a proxy may have logged it as text."""
    found = line
    for _ in range(3):
        if isinstance(found, str):
            found = _parsed(found)
        if not isinstance(found, dict):
            break
        if "messages" in found or "prompt" in found:
            return found
        if "input" in found:
            raise LeftOutError("asks the Responses API ('input'), which no release here speaks")
        found = next((found[key] for key in _WRAPPED if key in found), None)
    raise LeftOutError("holds neither 'messages' nor 'prompt', itself or under 'request' or 'body'")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _asked(body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("functions"):
        raise LeftOutError("declares 'functions', which came before tools")
    asked: dict[str, Any] = {}
    if body.get("messages") is not None:
        asked["messages"] = _turns(body["messages"])
        if body.get("tools"):
            asked["tools"] = _tools(body["tools"])
    else:
        asked["vars"] = {"prompt": _prompt(body.get("prompt"))}
    return asked


def _prompt(prompt: Any) -> str:
    text = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
    if not isinstance(text, str) or not text.strip():
        raise LeftOutError("must ask one text that is not blank: its 'prompt' is a batch, or tokens, or nothing")
    return text


def _turns(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise LeftOutError(f"must hold a list of chat turns as 'messages' (got {_got(messages)})")
    return [_turn(turn) for turn in messages]


def _got(messages: Any) -> str:
    return "an empty list" if messages == [] else shown(messages)


def _turn(turn: Any) -> dict[str, Any]:
    role = turn.get("role") if isinstance(turn, dict) else None
    if not isinstance(role, str) or role not in _ROLES or turn.get("function_call"):
        raise LeftOutError(f"holds a turn that is none of chat's today (role {shown(role)})")
    kept = {key: turn[key] for key in _TURN if turn.get(key) is not None}
    if isinstance(kept.get("content"), list):
        kept["content"] = [_part(part) for part in kept["content"]]
    return kept


def _part(part: Any) -> dict[str, str]:
    """Text; whatever else a turn may hold is not asked in silence without it."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        raise LeftOutError(f"holds a part that is no text (type {shown(kind)})")
    return {"type": "text", "text": part["text"]}


def _tools(tools: Any) -> list[Any]:
    kinds = [tool.get("type") if isinstance(tool, dict) else None for tool in tools] if isinstance(tools, list) else []
    other = next((kind for kind in kinds if kind != "function"), None)
    if not kinds or any(kind != "function" for kind in kinds):
        raise LeftOutError(f"declares a tool that is no function (type {shown(other)})")
    return list(tools)


def _require_case(asked: Mapping[str, Any]) -> None:
    """Whether what is written will be read again: no lone surrogate, no number beyond all bounds."""
    written = {key: asked[key] for key in ("messages", "vars") if key in asked}
    try:
        text = json.dumps({"id": "x", **written, "metadata": {"tools": asked.get("tools")}}, allow_nan=False)
        Case.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise LeftOutError(next(problem.text for problem in problems(error, Case))) from None
    except (ValueError, RecursionError):
        raise LeftOutError("holds a number that is not finite, or is nested too deep") from None


def _text(value: Any) -> str | None:
    """A short text that can be shown, or a number as one."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and 0 < len(text) <= 256 and text.isprintable() else None


def _session(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest()[:12]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _number(value: Any, default: float) -> float:
    """What no float can hold is infinite, as JSON reads 1e400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
        return found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    at = _number(value, math.nan)
    return at if 0 <= at < _MILLISECONDS else None


def _tokens(line: Mapping[str, Any]) -> dict[str, int]:
    """Tokens read and written, where the line or the answer beside it says."""
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    places = list(_usages(line))
    found = {ours: next((_count(place.get(k)) for place in places for k in (ours, theirs) if k in place), None)
             for ours, theirs in names.items()}  # fmt: skip
    return {name: count for name, count in found.items() if count is not None}


def _usages(line: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for path in ("usage", "response.usage", "response.body.usage"):
        found = at_path(line, path)
        if isinstance(found, dict):
            yield found
    yield line


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None

"""`regex`: a search with a time limit.

Patterns come from the suite, outputs from anywhere: a pattern that backtracks
without end on one output would hang the gate. The library `regex` accepts
Python's syntax and stops after a while, which `re` cannot.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from time import process_time
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator

from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Metric, Referenced, yes_or_no
from canary.assertions.reference import Text, as_text
from canary.assertions.template import is_template
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

LIMIT_S = 1.0
"""Seconds of processor time one search may take; a longer one is an abstention."""


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The pattern, ready to search; ValueError where it is no pattern."""
    regex: Any = importlib.import_module("regex")  # untyped, and only patterns pay for it
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"must be a regular expression: {error} (got {excerpt(pattern)})") from error


def search(pattern: str, text: str) -> str | None:
    """The first match anywhere in the text; TimeoutError after LIMIT_S."""
    try:
        found = compiled(pattern).search(text, timeout=LIMIT_S)
    except TimeoutError as error:
        raise TimeoutError(f"{excerpt(pattern)} searched {len(text)} characters for {LIMIT_S:g} s") from error
    return None if found is None else str(found[0])


def spans(pattern: str, text: str) -> Iterator[dict[str, str | None]]:
    """The named groups of each match in turn; TimeoutError after LIMIT_S in all."""
    end = process_time() + LIMIT_S
    try:
        for number, found in enumerate(compiled(pattern).finditer(text, timeout=LIMIT_S)):
            if number % 1024 == 0:  # the limit above is for one match
                _require_before(end)
            yield found.groupdict()
    except TimeoutError as error:
        raise TimeoutError(f"{excerpt(pattern)} read {len(text)} characters for {LIMIT_S:g} s") from error


def _require_before(end: float) -> None:
    if process_time() > end:
        raise TimeoutError


def count(pattern: str, text: str) -> int:
    """How often the pattern occurs, occurrences apart; TimeoutError after LIMIT_S in all."""
    return sum(1 for _ in spans(pattern, text))


def _as_pattern(value: Any) -> str:
    compiled(as_text(value))
    return as_text(value)


def _pattern(value: str | float) -> str | float:
    return value if is_template(value) else _as_pattern(value)


class Regex(Referenced):
    """Passes iff the pattern is found anywhere in the output.

    Python's syntax, no flags but inline ones: `(?i)`, `(?s)`. A search that
    takes longer than a second is an abstention.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "regex"
    value: Annotated[Text, AfterValidator(_pattern)]
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(_as_pattern)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Search, not full match."""
        pattern, output = self.reference(prompt), response.output
        found = search(pattern, output)
        if found is None:
            return yes_or_no(f"does not match {excerpt(pattern)} (got {excerpt(output)})", passed=False)
        return yes_or_no(f"matches {excerpt(pattern)} with {excerpt(found)}", passed=True)

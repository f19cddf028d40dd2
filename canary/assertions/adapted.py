"""`transform` and `weight`: what any assertion may be given beside its own keys.

A transform is a template over `output` and the case, or a function of the
user's own that takes output and case and gives the text to be graded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from canary.assertions.attempt import abstain, attempt
from canary.assertions.excerpt import excerpt
from canary.assertions.function import TARGET, function_at
from canary.assertions.leaf import Pairs
from canary.assertions.template import is_template, require_template, transformed
from canary.protocols import Assertion, Grade, Tools
from canary.records import Prompt, Response, Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """Another assertion, on transformed answers, with a weight."""

    positive: Assertion
    transform: str | None
    weight: float
    """What it counts in a set; 0 leaves it out of the case's `pass`."""

    @property
    def metric(self) -> str:
        """That of the other."""
        return self.positive.metric

    @property
    def scale(self) -> Scale:
        """That of the other."""
        return self.positive.scale

    def inner(self, pairs: Pairs) -> Iterator[tuple[Assertion, Pairs]]:
        """The other, with the answers that could be transformed."""
        yield self.positive, [pair for pair in self._seen(pairs) if not isinstance(pair, Grade)]

    def __call__(self, pairs: Pairs, tools: Tools) -> list[Grade]:
        """One grade per pair, in order; an answer that cannot be transformed abstains."""
        seen = self._seen(pairs)
        grades = iter(self.positive([pair for pair in seen if not isinstance(pair, Grade)], tools))
        return [pair if isinstance(pair, Grade) else next(grades) for pair in seen]

    def _seen(self, pairs: Pairs) -> Sequence[tuple[Prompt, Response] | Grade]:
        if self.transform is None:
            return pairs
        return [attempt(partial(self._pair, *pair), _abstained) for pair in pairs]

    def _pair(self, prompt: Prompt, response: Response) -> tuple[Prompt, Response] | Grade:
        text = apply(self.transform or "", prompt, response.output)
        return prompt, replace(response, output=text)


def _abstained(reason: str) -> tuple[Prompt, Response] | Grade:
    return abstain(f"transform: {reason}")


def require_transform(transform: str) -> None:
    """Raise ValueError or PluginError for what is neither a template nor a function's name."""
    if is_template(transform):
        require_template(transform)
    elif TARGET.fullmatch(transform):
        function_at(transform)
    else:
        raise ValueError(
            "must be a template over 'output', 'module:function' or 'file://path.py:function' "
            f"(got {excerpt(transform)})"
        )


def apply(transform: str, prompt: Prompt, output: str) -> str:
    """The text to be graded; TypeError where a function gives something else."""
    if is_template(transform):
        return transformed(transform, prompt, output)
    found = function_at(transform)(output, prompt)
    if not isinstance(found, str):
        raise TypeError(f"{transform} must return text (got {excerpt(found)})")
    return found

"""Which assertions each case is graded by, known before a token is spent."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeGuard

from canary.assertions.attempt import attempt
from canary.assertions.group import weight_of
from canary.assertions.leaf import leaves
from canary.assertions.lift import Referenced
from canary.assertions.spec import asks_judge, is_learned, is_structural, parse
from canary.assertions.template import has_baseline, needs_baseline, with_baseline
from canary.errors import ConfigError, GoldenSetError, UsageError
from canary.protocols import Assertion
from canary.records import Prompt, Scale

BUILD = "build"
"""The stage that applies structural assertions only."""

BY_EXPECTED: Mapping[str, Any] = {"type": "equals", "value": "{{expected}}", "metric": "exact"}
"""How a case without any assertion is graded."""

_UNEXPECTED = "; what has no reference can be held against the baseline's own answer: '{{baseline}}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One case's assertions, and which of them make up each metric."""

    assertions: tuple[Assertion, ...]
    metrics: Mapping[str, tuple[Scale, tuple[int, ...]]]
    templated: tuple[Referenced, ...]
    """Those whose reference must be filled from the case."""
    left_out: frozenset[int]
    """Places of those that are no part of `pass`: a judge decides them, or their weight is 0."""
    referring: frozenset[int]
    """Places of those that hold answers against the baseline's own."""
    by_judge_alone: bool
    """Whether nothing else grades the case, drawn for judging or not."""


def bind(
    prompts: Sequence[Prompt],
    default_specs: Sequence[Mapping[str, Any]],
    plugins: Mapping[str, type],
    stage: str,
    judged: Container[str] | None = None,
    places: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Bound]:
    """The assertions of each case, by its id; equal specs are one assertion.

    `judged` are the cases that a judge is asked about; None is all of them.
    `places` are files and lines of cases, for what is wrong with them.

    Raises, with every problem at once: ConfigError for the defaults and for a
    metric of two scales, GoldenSetError for a case's own specs, for a template
    that the case cannot fill, and for a case that nothing grades.
    """
    binder = _Binder(plugins, stage, places)
    defaults = binder.read(default_specs, "")
    if binder.problems:
        raise ConfigError(binder.problems)
    bound = {
        prompt.id: binder.bind(prompt, defaults, judged=judged is None or prompt.id in judged) for prompt in prompts
    }
    if problems := [*binder.problems, *binder.unfilled()]:
        raise GoldenSetError(problems)
    _require_one_scale(binder.combinations())
    return bound


class _Binder:
    """Reads each distinct spec once, and each distinct combination."""

    def __init__(self, plugins: Mapping[str, type], stage: str, places: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._places = places
        self._plugins = plugins
        self._stage = stage
        self._parsed: dict[str, Assertion] = {}
        self._referring: set[str] = set()
        self._bound: dict[tuple[bool, bool, tuple[str, ...]], Bound] = {}
        self._unfilled: dict[tuple[str, str], list[str]] = {}

    def read(self, specs: Sequence[Mapping[str, Any]], owner: str) -> tuple[str, ...]:
        """The specs' keys, parsed; what is wrong with them goes to `problems`."""
        keys = tuple(map(repr, specs))
        for index, key in enumerate(keys):
            if key not in self._parsed:
                self._parse(key, specs[index], f"assert[{index}]", owner)
        return keys

    def bind(self, prompt: Prompt, defaults: tuple[str, ...], *, judged: bool) -> Bound:
        """What grades the case: defaults, its own, or equality with `expected`."""
        where = self._places.get(prompt.id)
        owner = f"case {prompt.id!r}: " if where is None else f"{where}: case {prompt.id!r}: "
        keys = tuple(dict.fromkeys(defaults + self.read(prompt.asserts, owner)))
        if not keys and prompt.expected is None:
            self.problems.append(f"{owner}nothing grades it: it has neither assertions nor 'expected'")
        elif not keys:
            keys = self.read([BY_EXPECTED], owner)
        if keys and not any(weight_of(item) for key in keys if (item := self._parsed.get(key)) is not None):
            self.problems.append(f"{owner}nothing grades it: every assertion has weight 0")
        bound = self._combination(keys, set() if has_baseline(prompt) else self._referring, judged=judged)
        self._require_alone(bound, owner)
        self._require_filled(prompt, bound, owner)
        return bound

    def _combination(self, keys: tuple[str, ...], referring: set[str], *, judged: bool) -> Bound:
        place = judged, not referring.isdisjoint(keys), keys
        if place not in self._bound:
            self._bound[place] = self._combined(keys, referring, judged=judged)
        return self._bound[place]

    def combinations(self) -> Iterable[Bound]:
        """Every distinct set of assertions that some case has."""
        return self._bound.values()

    def _parse(self, key: str, spec: Mapping[str, Any], where: str, owner: str) -> None:
        if needs_baseline(spec):
            self._referring.add(key)
        try:
            self._parsed[key] = parse(spec, self._plugins, where)
        except UsageError as error:
            self.problems.extend(owner + problem for problem in error.problems)

    def _combined(self, keys: tuple[str, ...], referring: set[str], *, judged: bool) -> Bound:
        known = {key: item for key in keys if (item := self._parsed.get(key)) is not None}
        applied = {key: item for key, item in known.items() if self._applies(item, refers=key in referring)}
        kept = {key: item for key, item in applied.items() if judged or not asks_judge(item)}
        used = tuple(kept.values())
        places: dict[str, list[int]] = {}
        for place, assertion in enumerate(used):
            places.setdefault(assertion.metric, []).append(place)
        metrics = {metric: (used[found[0]].scale, tuple(found)) for metric, found in places.items()}
        return Bound(
            assertions=used,
            metrics=metrics,
            templated=tuple(leaf for item in used for leaf, _ in leaves(item) if _is_templated(leaf)),
            left_out=frozenset(place for place, item in enumerate(used) if asks_judge(item) or not weight_of(item)),
            referring=frozenset(place for place, key in enumerate(kept) if key in referring),
            by_judge_alone=bool(applied) and all(map(asks_judge, applied.values())),
        )

    def _applies(self, assertion: Assertion, *, refers: bool) -> bool:
        """Stage `build` has no baseline to hold anything against."""
        return self._stage != BUILD or (is_structural(assertion) and not refers)

    def _require_alone(self, bound: Bound, owner: str) -> None:
        self.problems.extend(
            f"{owner}metric {metric!r} has a learned threshold and must be of one assertion (got {len(places)}): give "
            "the others another 'metric'"
            for metric, (_, places) in bound.metrics.items()
            if len(places) > 1 and any(is_learned(bound.assertions[place]) for place in places)
        )

    def _require_filled(self, prompt: Prompt, bound: Bound, owner: str) -> None:
        case = with_baseline(prompt, "some answer") if bound.referring else prompt
        for assertion in bound.templated:
            problem = attempt(partial(_fill, assertion, case), str)
            if problem:
                self._unfilled.setdefault((assertion.metric, problem.removeprefix("UndefinedError: ")), []).append(
                    owner
                )

    def unfilled(self) -> Iterator[str]:
        """Each template that cases cannot fill, once, with the first of them."""
        for (metric, problem), owners in self._unfilled.items():
            more = f" (also in {len(owners) - 1} other cases)" if len(owners) > 1 else ""
            hint = _UNEXPECTED if problem == "'expected' is undefined" else ""
            yield f"{owners[0]}the value of {metric!r} cannot be filled in from the case: {problem}{more}{hint}"


def _is_templated(assertion: Assertion) -> TypeGuard[Referenced]:
    return isinstance(assertion, Referenced) and assertion.is_templated


def _fill(assertion: Referenced, prompt: Prompt) -> str:
    assertion.reference(prompt)
    return ""


def _require_one_scale(combinations: Iterable[Bound]) -> None:
    scales: dict[str, set[Scale]] = {}
    for bound in combinations:
        for assertion in bound.assertions:
            scales.setdefault(assertion.metric, set()).add(assertion.scale)
    problems = [
        f"metric {metric!r} must be of one kind (got {' and '.join(sorted(found))}): give one of them another 'metric'"
        for metric, found in sorted(scales.items())
        if len(found) > 1
    ]
    if problems:
        raise ConfigError(problems)

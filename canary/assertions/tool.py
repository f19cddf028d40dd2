"""Tool calls: valid, the right ones, in order, with the right arguments.

`trajectory:*` look at the calls of the answer itself, since a gate sees
answers and no traces.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, Field, model_validator

from canary.assertions.call import Call, calls_in
from canary.assertions.excerpt import excerpt
from canary.assertions.is_json import is_same
from canary.assertions.lift import Lifted, Metric, Referenced, Threshold, at_least, yes_or_no
from canary.assertions.reference import References, as_texts
from canary.assertions.schema import canonical, check_for
from canary.assertions.template import render
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale
from canary.written import Written


class ValidToolsCall(Lifted):
    """Passes iff the output is calls, each fitting the schema of a declared tool.

    The tools are `value`, or what the case sends: `metadata.tools`.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "is-valid-openai-tools-call"
    value: tuple[dict[str, Any], ...] | None = Field(None, min_length=1)

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Compile the schemas before any response is paid for."""
        schemas_of(self.value or ())

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Hold every call against its tool."""
        declared = self.value if self.value is not None else prompt.metadata.get("tools")
        if not isinstance(declared, Sequence) or not declared:
            raise ValueError("no tools are declared: give 'value', or 'metadata.tools' in the case")
        return self.judged(calls_in(response.output), schemas_of(declared), response.output)

    def judged(self, calls: Sequence[Call], schemas: Mapping[str, str], output: str) -> Grade:
        """A pass where there is a call and none is wrong."""
        problems = [problem for call in calls if (problem := call_problem(call, schemas))]
        if not calls:
            return yes_or_no(f"calls no tool (got {excerpt(output)})", passed=False)
        said = problems[0] if problems else f"calls {', '.join(call.name for call in calls)} as declared"
        return yes_or_no(f"{said} (got {excerpt(output)})", passed=not problems)


class ValidFunctionCall(ValidToolsCall):
    """Passes iff the output is exactly one call that fits its declared schema."""

    metric: Metric = "is-valid-function-call"

    def judged(self, calls: Sequence[Call], schemas: Mapping[str, str], output: str) -> Grade:
        """As for several, but one."""
        if len(calls) > 1:
            return yes_or_no(f"makes {len(calls)} calls, not one (got {excerpt(output)})", passed=False)
        return super().judged(calls, schemas, output)


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


def schemas_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Each tool's schema by its name; ValueError where a declaration is none."""
    found = {}
    for tool in tools:
        function = tool.get("function", tool)
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ValueError(f"must be tools, each with a function's name and parameters (got {excerpt(tool)})")  # noqa: TRY004
        parameters = function.get("parameters", function.get("input_schema", {}))
        found[function["name"]] = canonical(parameters)
        check_for(found[function["name"]])
    return found


def call_problem(call: Call, schemas: Mapping[str, str]) -> str | None:
    """What is wrong with one call."""
    if call.name not in schemas:
        return f"calls {excerpt(call.name)}, which is not declared (declared: {', '.join(schemas)})"
    if not isinstance(call.arguments, Mapping):
        return f"calls {call.name} with arguments that are no JSON object: {excerpt(call.arguments)}"
    problem = check_for(schemas[call.name])(call.arguments)
    return f"calls {call.name} against its schema: {problem}" if problem else None


def _names(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else as_texts(value)
    return [name.strip() for name in parts if name.strip()]


class ToolCallF1(Referenced):
    """F1 of the set of tools called against those wanted; order and number do not count."""

    scale: ClassVar[Scale] = Scale.BOUNDED
    metric: Metric = "tool-call-f1"
    value: References
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(_names)
    threshold: Threshold = 1.0

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Compare two sets of names."""
        wanted, called = set(self.reference(prompt)), {call.name for call in calls_in(response.output)}
        score = 2 * len(wanted & called) / (len(wanted) + len(called))
        rest = f"calling {excerpt(sorted(called))} for {excerpt(sorted(wanted))}"
        return at_least(score, self.threshold, "f1", rest)


class Wanted(Written):
    """Tools by name or glob, and how often."""

    pattern: str = Field(min_length=1)
    min: int | None = Field(1, ge=0)
    max: int | None = Field(None, ge=0)


class ToolUsed(Lifted):
    """Passes iff each tool named is called, or a glob as often as asked."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "trajectory:tool-used"
    value: Name | Names | Wanted

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Count the calls of each."""
        called = [call.name for call in calls_in(response.output)]
        names = (self.value,) if isinstance(self.value, str) else self.value
        wanted = (names,) if isinstance(names, Wanted) else tuple(Wanted(pattern=name) for name in names)
        lacking = [each for each in wanted if not _is_met(each, called)]
        said = f"not as asked: {lacking[0].pattern}" if lacking else "as asked"
        return yes_or_no(f"calls {excerpt(called)}, {said}", passed=not lacking)


def _is_met(wanted: Wanted, called: Sequence[str]) -> bool:
    times = sum(fnmatch.fnmatchcase(name, wanted.pattern) for name in called)
    return (wanted.min or 0) <= times <= (len(called) if wanted.max is None else wanted.max)


class Sequenced(Written):
    """Tools in the order wanted."""

    steps: tuple[str, ...] = Field(min_length=1)
    mode: Literal["in_order", "exact"] = "in_order"


class ToolSequence(Lifted):
    """Passes iff the tools are called in this order; others may stand between unless `exact`."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "trajectory:tool-sequence"
    value: Names | Sequenced

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Walk through the calls once."""
        asked = self.value if isinstance(self.value, Sequenced) else Sequenced(steps=self.value)
        called = [call.name for call in calls_in(response.output)]
        if asked.mode == "exact":
            passed = all(a is not None and b is not None and _fits(a, b) for a, b in zip_longest(called, asked.steps))
        else:
            rest = iter(called)
            passed = all(any(_fits(name, step) for name in rest) for step in asked.steps)
        return yes_or_no(f"calls {excerpt(called)}, asked for {excerpt(list(asked.steps))}", passed=passed)


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern)


class Arguments(Written):
    """A call wanted, by name or glob, with its arguments."""

    name: str | None = None
    pattern: str | None = None
    args: dict[str, Any] = Field(validation_alias=AliasChoices("args", "arguments"))
    mode: Literal["partial", "exact"] = "partial"
    defaults: dict[str, Any] = Field(default_factory=dict)
    ignore: str | tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_name(self) -> Arguments:
        if (self.name is None) == (self.pattern is None):
            raise ValueError("must have a name or a pattern, not both")
        return self


class ToolArgsMatch(Lifted):
    """Passes iff some call of the tool has these arguments: among others, or exactly."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "trajectory:tool-args-match"
    value: Arguments

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Hold each call of the tool against what is wanted."""
        asked, wanted = self.value, render(self.value.args, prompt)
        calls = [call for call in calls_in(response.output) if _is_named(call, asked)]
        passed = any(_agrees(call.arguments, wanted, asked) for call in calls)
        named = asked.name or asked.pattern
        found = excerpt([call.arguments for call in calls]) if calls else "no call of it"
        return yes_or_no(f"{named} wanted with {excerpt(wanted)}, {asked.mode} (got {found})", passed=passed)


def _is_named(call: Call, asked: Arguments) -> bool:
    return call.name == asked.name if asked.pattern is None else _fits(call.name, asked.pattern)


def _agrees(arguments: Any, wanted: Mapping[str, Any], asked: Arguments) -> bool:
    if not isinstance(arguments, Mapping):
        return False
    ignored = (asked.ignore,) if isinstance(asked.ignore, str) else asked.ignore
    actual = {
        key: value
        for key, value in arguments.items()
        if not any(_fits(key, glob) for glob in ignored)
        and not (key in asked.defaults and key not in wanted and is_same(value, asked.defaults[key]))
    }
    kept = {key: value for key, value in wanted.items() if not any(_fits(key, glob) for glob in ignored)}
    return is_same(actual, kept) if asked.mode == "exact" else is_part(kept, actual)


def is_part(wanted: Any, actual: Any) -> bool:
    """Whether an object holds another's keys with the same values, at every depth; lists are whole."""
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        return all(key in actual and is_part(value, actual[key]) for key, value in wanted.items())
    return is_same(wanted, actual)

"""`python`: a function of the user's own.

    - {type: python, value: "acme.checks:polite", threshold: 0.7}
    - {type: python, value: "file://checks.py:polite", scale: pass_fail}

It is called as `polite(output, case)`, `case` being the `records.Prompt`, and
returns a bool, a number in 0..1 that passes at the threshold, or a dict with
`score`, `pass` or both, and `reason`. Anything else, a number out of range, or
an exception is an abstention: never a pass.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, PlainValidator

from canary.assertions.attempt import attempt
from canary.assertions.excerpt import excerpt
from canary.assertions.lift import Lifted, Metric, Threshold, at_least
from canary.errors import PluginError
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

TARGET = re.compile(r"(file://.+\.py|(?!.*\.py:)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*")


def _target(value: str) -> str:
    if not TARGET.fullmatch(value):
        raise ValueError("must be 'module:function' or 'file://path.py:function'")
    return value


def _scale(value: Any) -> Scale:
    if value not in (Scale.PASS_FAIL, Scale.BOUNDED):
        raise ValueError("must be pass_fail or bounded")
    return Scale(value)


def imported(load: Callable[[], ModuleType], what: str) -> ModuleType:
    """The module that `load` gives; PluginError with the cause where it fails."""

    def refuse(cause: str) -> ModuleType:
        raise PluginError(f"cannot import {what}: {cause}")

    with redirect_stdout(sys.stderr):  # standard output is the gate's own
        return attempt(load, refuse)


@cache
def function_at(target: str) -> Callable[[str, Prompt], Any]:
    """The function a target names; PluginError where there is none."""
    source, _, name = target.rpartition(":")
    path = source.removeprefix("file://")
    module = _named(source) if path == source else _at_path(Path(path))
    function = getattr(module, name, None)
    if not callable(function):
        raise PluginError(f"{target!r} must name a function (got {excerpt(function)})")
    return function  # type: ignore[no-any-return]


def _named(name: str) -> ModuleType:
    return imported(lambda: importlib.import_module(name), name)


@cache
def _at_path(path: Path) -> ModuleType:
    name = f"canary_function_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"

    def load() -> ModuleType:
        module = sys.modules[name] = ModuleType(name)
        module.__file__ = str(path)
        SourceFileLoader(name, str(path)).exec_module(module)
        return module

    return imported(load, str(path))


class Function(Lifted):
    """What a user's function says of the output.

    `scale: pass_fail` promises that it only ever says yes or no, which lets
    the gate use the sharper test for such answers.
    """

    structural: ClassVar[bool] = False
    metric: Metric = "python"
    value: Annotated[str, AfterValidator(_target)]
    threshold: Threshold = 0.5
    scale: Annotated[Scale, PlainValidator(_scale)] = Scale.BOUNDED

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Import the function before any response is paid for."""
        function_at(self.value)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Call it and read its answer."""
        with redirect_stdout(sys.stderr):  # standard output is the gate's own
            answer = function_at(self.value)(response.output, prompt)
        said = answer if isinstance(answer, Mapping) else {"score": answer}
        own = said.get("pass")
        score = said.get("score", own)
        if not isinstance(own, bool | None) or not isinstance(score, Real):
            raise TypeError(f"{self.value} must return a bool, a number or score and pass (got {excerpt(answer)})")
        grade = at_least(float(score), self.threshold, self.value, _shown(said))
        passed = bool(grade.passed and own is not False)
        return Grade(value=grade.value, passed=passed, reason=grade.reason)


def _shown(said: Mapping[str, Any]) -> str:
    return f"({said['reason']})" if said.get("reason") else ""

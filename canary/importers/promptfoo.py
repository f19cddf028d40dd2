"""`promptfooconfig.yaml`: its tests as a golden set, its default assertions as a suite."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from canary.document import display, unreadable
from canary.errors import ConfigError
from canary.importers.promptfoo_assertion import Place, Reader, is_judged
from canary.importers.promptfoo_release import model_of, pipeline_of
from canary.importers.workspace import Imported
from canary.located import Located, parse

_KNOWN = {"description", "prompts", "providers", "targets", "tests", "defaultTest"}
_TEST = {"description", "vars", "assert", "threshold", "metadata"}
_DEFAULT = {"vars", "assert", "metadata", "options"}
MOST_COMBINATIONS = 10_000
"""Cases that the lists of one test may stand for."""


def read_promptfoo(path: Path) -> Imported:
    """What can be read of it; ConfigError where it is no YAML mapping."""
    try:
        located = parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        said = unreadable(error) if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{display(path)}: {said}") from None
    if located.flaws or not isinstance(located.value, dict):
        flaws = [f"{display(path)}:{flaw.line}: {flaw.text}" for flaw in located.flaws]
        raise ConfigError(flaws or f"{display(path)}: must be a mapping, as promptfooconfig.yaml is")
    return _Import(path, located).imported()


class _Import:
    """One file on its way: what is left out is noted with its line."""

    def __init__(self, path: Path, located: Located) -> None:
        self._path, self._located = path, located
        self._document: dict[str, Any] = located.value
        self._left_out: list[str] = []

    def imported(self) -> Imported:
        """Everything of the file."""
        for key in sorted(self._document.keys() - _KNOWN):
            self.note((key,), f"{key!r} has no counterpart")
        default = self._default()
        reader = Reader(self._path.parent, self.note)
        assertions = list(reader.read(default.get("assert"), ("defaultTest", "assert")))
        cases = list(self._cases(default, reader, graded=bool(assertions)))
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self._path.stem)
        return Imported(
            name=name,
            source=self._path.name,
            cases=cases,
            assertions=assertions,
            judge=self._judge(default, name) if reader.asks_judge else None,
            pipeline=pipeline_of(self._document, self._path.parent, self.note),
            left_out=self._left_out,
        )

    def _judge(self, default: Mapping[str, Any], name: str) -> dict[str, Any] | None:
        """Who graded by default, as the suite's judge."""
        options, place = default.get("options"), ("defaultTest", "options", "provider")
        written = options.get("provider") if isinstance(options, dict) else None
        if isinstance(written, dict) and "id" not in written:
            written = written.get("text")
        release = None if written is None else model_of(written, place, self.note)
        if release is None:
            self.note(place, f"assertions ask a judge: name one under 'judge' in evals/{name}.yaml, or nothing runs")
            return None
        return {"release": {"name": "judge", **release}}

    def note(self, path: tuple[str | int, ...], text: str) -> None:
        """One sentence for what is left out."""
        self._left_out.append(f"{display(self._path)}:{self._located.line(path)}: {text}")

    def _default(self) -> dict[str, Any]:
        default = self._document.get("defaultTest", {})
        if not isinstance(default, dict):
            self.note(("defaultTest",), "'defaultTest' is no mapping")
            return {}
        for key in sorted(default.keys() - _DEFAULT):
            self.note(("defaultTest", key), f"'defaultTest.{key}' has no counterpart")
        options = default.get("options") or {}
        for key in sorted(options.keys() - {"provider"} if isinstance(options, dict) else []):
            self.note(("defaultTest", "options", key), f"'defaultTest.options.{key}' has no counterpart")
        if isinstance(options, dict) and "embedding" in str(options.get("provider")):
            self.note(("defaultTest", "options", "provider"), "an embedding provider: `similar` has its own")
        return default

    def _cases(self, default: Mapping[str, Any], reader: Reader, *, graded: bool) -> Iterator[dict[str, Any]]:
        tests = self._document.get("tests", [])
        if not isinstance(tests, list):
            self.note(("tests",), "tests in another file: put them into this one")
            return
        for index, test in enumerate(tests):
            if isinstance(test, dict):
                yield from self._case(test, index, default, reader, graded=graded)
            else:
                self.note(("tests", index), "a test in another file: put it into this one")

    def _case(
        self, test: dict[str, Any], index: int, default: Mapping[str, Any], reader: Reader, *, graded: bool
    ) -> Iterator[dict[str, Any]]:
        for key in sorted(test.keys() - _TEST):
            self.note(("tests", index, key), f"'tests[{index}].{key}' has no counterpart")
        asserts = list(reader.read(test.get("assert"), ("tests", index, "assert")))
        if "threshold" in test:
            asserts = self._together(asserts, test["threshold"], ("tests", index, "threshold"))
        asserts = [reader.alone(spec, ("tests", index)) for spec in asserts]
        if not asserts and not graded:
            self.note(("tests", index), f"tests[{index}]: no assertion of it is left")
            return
        place = ("tests", index)
        metadata = self._both("metadata", default, test, place)
        if test.get("description"):
            metadata["description"] = test["description"]
        variables = self._both("vars", default, test, place)
        if math.prod(len(value) for value in variables.values() if isinstance(value, list)) > MOST_COMBINATIONS:
            self.note((*place, "vars"), f"tests[{index}]: its lists stand for more than {MOST_COMBINATIONS:,} cases")
            return
        rows = list(_combinations(variables))
        for number, row in enumerate(rows):
            case = {"id": f"{index + 1:04d}{f'-{number + 1}' if len(rows) > 1 else ''}", "vars": row}
            yield case | ({"metadata": metadata} if metadata else {}) | ({"assert": asserts} if asserts else {})

    def _together(self, asserts: list[dict[str, Any]], threshold: Any, place: Place) -> list[dict[str, Any]]:
        """As one set, what a judge decides beside it."""
        judged = [spec for spec in asserts if is_judged(spec)]
        members = [spec for spec in asserts if spec not in judged]
        if judged:
            self.note(place, "'threshold' is without what a judge decides: a judge answers for itself")
        held = [{"type": "assert-set", "threshold": threshold, "metric": "test", "assert": members}]
        return (held if members else []) + judged

    def _both(
        self, key: str, default: Mapping[str, Any], test: Mapping[str, Any], place: tuple[str | int, ...]
    ) -> dict[str, Any]:
        """A mapping of the default test under the test's own; what is none is left out."""
        merged: dict[str, Any] = {}
        for source, where in ((default, ("defaultTest", key)), (test, (*place, key))):
            found = source.get(key) or {}
            if isinstance(found, dict):
                merged |= found
            else:
                self.note(where, f"'{key}' is no mapping: put it into this file")
        return merged


def _combinations(variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A variable that is a list stands for each of its values in turn, as in promptfoo."""
    lists = [value if isinstance(value, list) else [value] for value in variables.values()]
    for values in itertools.product(*lists):
        yield dict(zip(variables, values, strict=True))

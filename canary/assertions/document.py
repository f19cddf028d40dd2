"""`contains-json`, `is-xml`, `contains-xml`: documents, alone or amid text.

Looking for a document in a text tries each place where one may begin, for a
second of processor time at most; a longer search is an abstention.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from json import JSONDecodeError
from time import process_time
from typing import Any, ClassVar
from xml.parsers import expat

from pydantic import Field

from canary.assertions.excerpt import excerpt
from canary.assertions.is_json import DECODER, IsJson
from canary.assertions.lift import Lifted, Metric, yes_or_no
from canary.assertions.pattern import LIMIT_S
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale
from canary.written import Written

_OPENING = re.compile(r"[\[{]")
_ELEMENT = re.compile(r"<(?:\?xml\b|[A-Za-z_])")


class Clock:
    """Raises TimeoutError once LIMIT_S seconds of processor time are spent."""

    def __init__(self) -> None:
        self._end = process_time() + LIMIT_S

    def check(self, what: str) -> None:
        """To be called between steps that are short themselves."""
        if process_time() > self._end:
            raise TimeoutError(f"{what} took more than {LIMIT_S:g} s")


def json_documents(text: str) -> Iterator[Any]:
    """Every object and array in the text that stands in no other, in order."""
    clock, position = Clock(), 0
    while found := _OPENING.search(text, position):
        clock.check("looking for JSON")
        try:
            document, position = DECODER.raw_decode(text, found.start())
            yield document
        except (JSONDecodeError, RecursionError, ValueError):
            position = found.start() + 1


class ContainsJson(IsJson):
    """Passes iff some object or array in the output conforms to `value`, if given."""

    metric: Metric = "contains-json"

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Try each in turn."""
        output, check, count, problem = response.output, self.reference(prompt), 0, None
        for document in json_documents(output):
            count += 1
            problem = check(document) if check else None
            if problem is None:
                return yes_or_no(f"contains JSON{' that conforms' if check else ''}: {excerpt(document)}", passed=True)
        said = f"{count} JSON documents, none conforms: {problem}" if count else "no JSON object or array"
        return yes_or_no(f"contains {said} (got {excerpt(output)})", passed=False)


class Elements(Written):
    """Paths from the root, like `order.item.price`, that must be there."""

    required_elements: tuple[str, ...] = Field((), alias="requiredElements", min_length=1)


class _Complete(Exception):  # noqa: N818 - no error: the root element is closed
    pass


class _Xml:
    """One reading of a document: well-formed or ExpatError; keeps no tree."""

    def __init__(self, required: tuple[str, ...], *, whole: bool) -> None:
        self.lacking = set(required)
        self._whole = whole
        self._deepest = max((path.count(".") + 1 for path in required), default=0)
        self._path: list[str] = []
        self._depth = self.read_to = 0
        self._data = b""
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> None:
        """Raises ExpatError or ValueError where it is no document."""
        with suppress(_Complete):
            self._data = text.encode("utf-8", "replace")
            self._parser.Parse(self._data, True)  # noqa: FBT003 - expat's own signature

    def _start(self, name: str, attributes: Any) -> None:  # noqa: ARG002 - expat's signature
        self._depth += 1
        if self._depth <= self._deepest:
            self._path.append(name)
            self.lacking.discard(".".join(self._path))

    def _end(self, name: str) -> None:  # noqa: ARG002 - expat's signature
        if self._depth <= self._deepest:
            self._path.pop()
        self._depth -= 1
        if self._depth == 0 and not self._whole:
            self.read_to = len(self._data[: self._parser.CurrentByteIndex].decode("utf-8", "replace"))
            raise _Complete

    def _doctype(self, name: str, system: Any, public: Any, has_subset: int) -> None:  # noqa: ARG002
        if has_subset:
            raise ValueError("a DTD inside a document is refused: its entities may grow without end")


def _xml(text: str, required: tuple[str, ...], *, whole: bool) -> tuple[str | None, int]:
    """What is wrong, and how many characters were well-formed."""
    reading = _Xml(required, whole=whole)
    try:
        reading.read(text)
    except (expat.ExpatError, ValueError) as error:
        return f"is not well-formed XML: {error}", 0
    problem = f"lacks the elements {excerpt(sorted(reading.lacking))}" if reading.lacking else None
    return problem, reading.read_to


class IsXml(Lifted):
    """Passes iff the whole output is well-formed XML with the required elements."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "is-xml"
    value: Elements | None = None

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Read it once, from end to end."""
        problem = self.problem(response.output)
        return yes_or_no(f"{problem or 'is well-formed XML'} (got {excerpt(response.output)})", passed=problem is None)

    @property
    def required(self) -> tuple[str, ...]:
        """The paths that must be there."""
        return self.value.required_elements if self.value else ()

    def problem(self, output: str) -> str | None:
        """None where all is well."""
        return _xml(output.strip(), self.required, whole=True)[0]


class ContainsXml(IsXml):
    """Passes iff some well-formed element in the output has the required ones."""

    metric: Metric = "contains-xml"

    def problem(self, output: str) -> str | None:
        """That of the last element tried; None as soon as one is right."""
        clock, said = Clock(), "contains no XML element"
        position = 0
        while found := _ELEMENT.search(output, position):
            clock.check("looking for XML")
            problem, read_to = _xml(output[found.start() :], self.required, whole=False)
            if problem is None:
                return None
            said, position = problem, found.start() + max(1, read_to)
        return said

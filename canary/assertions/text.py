"""Text held against text: equals, contains and its kin, starts-with.

All compare code points as they are: no stripping, no normalisation; only
`icontains` folds case. Numbers are compared as JSON writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import PlainValidator

from canary.assertions.excerpt import excerpt
from canary.assertions.is_json import decode, is_same
from canary.assertions.lift import Metric, Referenced, yes_or_no
from canary.assertions.reference import Text, Texts, as_text, as_texts
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale


def _json_value(value: Any) -> Any:
    if value is None:
        raise ValueError("must be a text or a JSON value")
    return value


class Equals(Referenced):
    """Passes iff the output is the value, character by character.

    A value that is no text is compared with the output decoded as JSON: the
    order of keys and 1 or 1.0 do not matter, `true` is not 1.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "equals"
    value: Annotated[Any, PlainValidator(_json_value)]
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(_json_value)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Compare as text, or as JSON where the reference is no text."""
        expected, output = self.reference(prompt), response.output
        if isinstance(expected, str):
            return yes_or_no(_compared(expected, output), passed=output == expected)
        try:
            same = is_same(decode(output), expected)
        except ValueError as error:
            return yes_or_no(f"{error}; wanted {excerpt(expected)} (got {excerpt(output)})", passed=False)
        said = "equals" if same else "differs from"
        return yes_or_no(f"{said} {excerpt(expected)} as JSON (got {excerpt(output)})", passed=same)


def _compared(expected: str, output: str) -> str:
    if output == expected:
        return f"equals {excerpt(expected)}"
    nearly = " only in surrounding white space" if output.strip() == expected.strip() else ""
    return f"differs from {excerpt(expected)}{nearly} (got {excerpt(output)})"


class Contains(Referenced):
    """Passes iff the value is a substring of the output."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains"
    value: Text
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_text)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Look for the reference, case-sensitively."""
        text = self.reference(prompt)
        return _search(text, response.output, found=text in response.output)


class IContains(Referenced):
    """Passes iff the value is a substring of the output when case is folded."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "icontains"
    value: Text
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_text)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Look for the reference, whatever its case."""
        text = self.reference(prompt)
        return _search(text, response.output, found=text.casefold() in response.output.casefold())


class ContainsAny(Referenced):
    """Passes iff at least one of the listed texts is in the output."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains-any"
    value: Texts
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Look for each text until one is found."""
        texts, output = self.reference(prompt), response.output
        found = next((text for text in texts if text in output), None)
        if found is None:
            return yes_or_no(f"lacks every one of {excerpt(texts)} (got {excerpt(output)})", passed=False)
        return _search(found, output, found=True)


class ContainsAll(Referenced):
    """Passes iff every listed text is in the output."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains-all"
    value: Texts
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Look for every text and name those that are missing."""
        texts, output = self.reference(prompt), response.output
        missing = [text for text in texts if text not in output]
        said = f"lacks {excerpt(missing)} of {len(texts)} texts" if missing else f"contains all of {excerpt(texts)}"
        return yes_or_no(f"{said} (got {excerpt(output)})", passed=not missing)


class StartsWith(Referenced):
    """Passes iff the output begins with the value, case-sensitively."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "starts-with"
    value: Text
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_text)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Compare the first characters."""
        text, output = self.reference(prompt), response.output
        passed = output.startswith(text)
        said = "starts" if passed else "does not start"
        return yes_or_no(f"{said} with {excerpt(text)} (got {excerpt(output)})", passed=passed)


def _search(text: str, output: str, *, found: bool) -> Grade:
    said = "contains" if found else "lacks"
    return yes_or_no(f"{said} {excerpt(text)} (got {excerpt(output)})", passed=found)


class IContainsAny(ContainsAny):
    """Passes iff at least one of the listed texts is in the output when case is folded."""

    metric: Metric = "icontains-any"

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """As `contains-any`, both sides folded."""
        texts, folded = self.reference(prompt), response.output.casefold()
        found = next((text for text in texts if text.casefold() in folded), None)
        if found is None:
            return yes_or_no(f"lacks every one of {excerpt(texts)} (got {excerpt(response.output)})", passed=False)
        return _search(found, response.output, found=True)


class IContainsAll(ContainsAll):
    """Passes iff every listed text is in the output when case is folded."""

    metric: Metric = "icontains-all"

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """As `contains-all`, both sides folded."""
        texts, folded = self.reference(prompt), response.output.casefold()
        missing = [text for text in texts if text.casefold() not in folded]
        said = f"lacks {excerpt(missing)} of {len(texts)} texts" if missing else f"contains all of {excerpt(texts)}"
        return yes_or_no(f"{said} (got {excerpt(response.output)})", passed=not missing)

"""What must be in an answer, or must not: entities, phrases, personal data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from canary.assertions.excerpt import excerpt
from canary.assertions.library import library
from canary.assertions.lift import Lifted, Metric, Referenced, yes_or_no
from canary.assertions.pattern import search, spans
from canary.assertions.reference import References, as_texts
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

_SPACE = r"[\s\u00a0-]+"


def phrase_pattern(text: str) -> str:
    """The phrase as words of their own, in any case, however its words are spaced."""
    words = [library("regex").escape(word) for word in text.split()]
    return rf"(?i)(?<!\w){_SPACE.join(words)}(?!\w)"


class ContainsEntity(Referenced):
    """Passes iff every entity is named: in any case, as whole words.

    `{name, aliases}` in place of a text counts under any of its names.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains-entity"
    value: Any
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(lambda value: [_named(item) for item in _items(value)])

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Refuse what names nothing before any response is paid for."""
        if not self.is_templated:
            type(self).shape(self.value)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Look for each under all of its names."""
        entities, output = self.reference(prompt), response.output
        missing = [names[0] for names in entities if not any(search(phrase_pattern(name), output) for name in names)]
        said = f"does not name {excerpt(missing)}" if missing else f"names all {len(entities)}"
        return yes_or_no(f"{said} (got {excerpt(output)})", passed=not missing)


def _items(value: Any) -> list[Any]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        raise ValueError("must name at least one entity")
    return items


def _named(item: Any) -> list[str]:
    if isinstance(item, dict):
        if set(item) - {"name", "aliases"} or "name" not in item:
            raise ValueError(f"must be a text or {{name, aliases}} (got {excerpt(item)})")
        return as_texts([item["name"], *item.get("aliases", [])])
    return as_texts(item)


class ForbiddenPhrases(Referenced):
    """Passes iff none of the phrases occurs: in any case, as whole words."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "forbidden-phrases"
    value: References
    shape: ClassVar[Callable[[Any], Any]] = staticmethod(as_texts)

    def grade(self, prompt: Prompt, response: Response) -> Grade:
        """Name every phrase that occurs."""
        phrases, output = self.reference(prompt), response.output
        found = [phrase for phrase in phrases if search(phrase_pattern(phrase), output)]
        said = f"says {excerpt(found)}" if found else f"says none of {len(phrases)} forbidden phrases"
        return yes_or_no(f"{said} (got {excerpt(output)})", passed=not found)


PII: dict[str, str] = {
    "email": r"(?<![\w.+-])(?P<found>[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})(?!\w)",
    "phone": r"(?<![\w.])(?P<found>\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4})(?!\w)",
    "ssn": r"(?<!\d)(?P<found>(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4})(?!\d)",
    "credit-card": r"(?<![\d-])(?P<found>\d(?:[ -]?\d){12,18})(?![\d-])",
    "iban": r"(?<!\w)(?P<found>[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?)(?!\w)",
    "ip-address": r"(?<![\d.])(?P<found>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d))(?![\d.])",
}
"""Kinds of personal data by pattern; cards and IBANs count with a right checksum only."""

Kind = Literal["email", "phone", "ssn", "credit-card", "iban", "ip-address"]


class ContainsPii(Lifted):
    """Passes iff personal data of the kinds in `value` (default: all) occurs; `not-` guards."""

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    metric: Metric = "contains-pii"
    value: tuple[Kind, ...] = Field(("email", "phone", "ssn", "credit-card", "iban", "ip-address"), min_length=1)

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """Name the kinds; what was found is not repeated in the record."""
        kinds = [kind for kind in self.value if next(pii_in(response.output, kind), None) is not None]
        said = f"holds personal data: {', '.join(kinds)}" if kinds else f"holds none of {', '.join(self.value)}"
        return yes_or_no(said, passed=bool(kinds))


def pii_in(text: str, kind: str) -> Iterator[str]:
    """Each piece of personal data of a kind; TimeoutError where the search takes too long."""
    valid = {"credit-card": is_card, "iban": is_iban}.get(kind, bool)
    for groups in spans(PII[kind], text):
        found = groups["found"] or ""
        if valid(found):
            yield found


def is_card(text: str) -> bool:
    """Whether the digits end in the right check digit (Luhn, ISO/IEC 7812)."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether the remainder by 97 is 1 (ISO 13616)."""
    compact = text.replace(" ", "")
    return len(compact) >= 15 and int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1

"""One assertion class a check, its arguments under IFEval's own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import create_model

from canary.assertions.excerpt import excerpt
from canary.assertions.ifeval import form, language, wording
from canary.assertions.ifeval.arguments import REQUIRED, Argument, read
from canary.assertions.library import require
from canary.assertions.lift import Lifted, Metric, yes_or_no
from canary.protocols import Grade
from canary.records import Prompt, Response, Scale

Check = Callable[..., bool]

CHECKS: dict[str, tuple[Check, tuple[Argument, ...]]] = {
    "keywords:existence": (wording.has_keywords, (read("keywords", list),)),
    "keywords:frequency": (
        wording.keyword_frequency,
        (read("keyword", str), read("frequency", int), read("relation", str)),
    ),
    "keywords:forbidden_words": (wording.lacks_words, (read("forbidden_words", list),)),
    "keywords:letter_frequency": (
        wording.letter_frequency,
        (read("letter", str), read("let_frequency", int), read("let_relation", str)),
    ),
    "language:response_language": (language.is_language, (read("language", str),)),
    "length_constraints:number_sentences": (
        wording.sentence_number,
        (read("num_sentences", int), read("relation", str)),
    ),
    "length_constraints:number_words": (wording.word_number, (read("num_words", int), read("relation", str))),
    "length_constraints:number_paragraphs": (form.paragraph_number, (read("num_paragraphs", int),)),
    "length_constraints:nth_paragraph_first_word": (
        form.nth_first_word,
        (read("num_paragraphs", int), read("nth_paragraph", int), read("first_word", str)),
    ),
    "detectable_content:number_placeholders": (form.has_placeholders, (read("num_placeholders", int),)),
    "detectable_content:postscript": (form.has_postscript, (read("postscript_marker", str, "P.S."),)),
    "detectable_format:number_bullet_lists": (form.bullet_number, (read("num_bullets", int),)),
    "detectable_format:constrained_response": (form.is_constrained, ()),
    "detectable_format:number_highlighted_sections": (form.has_highlights, (read("num_highlights", int),)),
    "detectable_format:multiple_sections": (
        form.has_sections,
        (read("section_spliter", str), read("num_sections", int)),
    ),
    "detectable_format:json_format": (form.is_json_block, ()),
    "detectable_format:title": (form.has_title, ()),
    "combination:two_responses": (form.is_two_responses, ()),
    "combination:repeat_prompt": (wording.repeats_prompt, (read("prompt_to_repeat", str),)),
    "startend:end_checker": (wording.ends_with, (read("end_phrase", str),)),
    "startend:quotation": (wording.is_quoted, ()),
    "change_case:capital_word_frequency": (
        wording.capital_words,
        (read("capital_frequency", int), read("capital_relation", str)),
    ),
    "change_case:english_capital": (language.is_english_capital, ()),
    "change_case:english_lowercase": (language.is_english_lowercase, ()),
    "punctuation:no_comma": (wording.has_no_comma, ()),
}
"""Each check's rule and arguments."""

DETECTED = ("language:response_language", "change_case:english_capital", "change_case:english_lowercase")
"""Checks that ask langdetect."""


class Instruction(Lifted):
    """Passes iff the response follows one instruction.

    `mode: loose` tries the response without its first line, its last, both,
    and each of these without asterisks. A blank response follows nothing.
    """

    scale: ClassVar[Scale] = Scale.PASS_FAIL
    rule: ClassVar[str] = ""
    """The check's name in CHECKS."""
    mode: Literal["strict", "loose"] = "strict"

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic's signature
        """Look for the library before any response is paid for."""
        if self.rule in DETECTED:
            require("langdetect", f"ifeval:{self.rule}")

    def grade(self, prompt: Prompt, response: Response) -> Grade:  # noqa: ARG002 - the answer alone
        """The response as it is, or any of its variants."""
        check, arguments = CHECKS[self.rule]
        asked = {argument.name: getattr(self, argument.name) for argument in arguments}
        variants = loose(response.output) if self.mode == "loose" else (response.output,)
        passed = any(variant.strip() and check(variant, **asked) for variant in variants)
        said = "follows" if passed else "does not follow"
        detail = f" {excerpt(asked)}" if asked else ""
        return yes_or_no(f"{said} {self.rule}{detail}, {self.mode} (got {excerpt(response.output)})", passed=passed)


def loose(response: str) -> tuple[str, ...]:
    """The eight variants of the loose mode."""
    lines = response.split("\n")
    cut = (response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return (*cut, *(variant.replace("*", "") for variant in cut))


def _class_of(rule: str) -> type[Instruction]:
    name = "".join(part.title() for part in rule.replace(":", "_").split("_"))
    fields: dict[str, Any] = {
        argument.name: (argument.kind, ... if argument.default is REQUIRED else argument.default)
        for argument in CHECKS[rule][1]
    }
    made: type[Instruction] = create_model(
        name,
        __base__=Instruction,
        __module__=__name__,
        __doc__=f"IFEval's `{rule}`.",
        metric=(Metric, f"ifeval.{rule.replace(':', '.')}"),
        **fields,
    )
    made.rule = rule
    return made


_CLASSES: Mapping[str, type[Instruction]] = {rule: _class_of(rule) for rule in CHECKS}
globals().update({cls.__name__: cls for cls in _CLASSES.values()})  # so that they travel between processes

IFEVAL: dict[str, type] = {f"ifeval:{rule}": cls for rule, cls in _CLASSES.items()}
"""Every check by the name users write."""

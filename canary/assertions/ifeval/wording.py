"""Rules on words and letters."""

from __future__ import annotations

from collections.abc import Sequence

from canary.assertions.pattern import count, search, spans

_WORD = r"\w+"
_CAPITALS = r"(?P<token>[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)+|[\w-]+(?=n['\u2019]t\b)|n['\u2019]t\b|['\u2019]\w+|[\w-]+)"
_ABBREVIATIONS = (
    "mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|inc|ltd|co|corp|dept|gen|col|lt|sgt|capt|rev|hon|gov|sen|rep|e\\.g|i\\.e|cf|al"
    "|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|no|vol|fig|p|pp|a\\.m|p\\.m|u\\.s|ph\\.d|approx|ave|blvd"
)
_STOP = (
    rf"(?i)(?P<before>\b(?:{_ABBREVIATIONS})|\b[a-z]|(?:^|\n)\s*\d+)?(?P<stop>[.!?]+)[\"'\u201d\u2019)\]*_]*"
    r"(?P<after>\s+\S|\s*\Z)"
)


def compares(number: int, relation: str, wanted: int) -> bool:
    """`less than` is strict."""
    return number < wanted if relation == "less than" else number >= wanted


def has_keywords(text: str, *, keywords: Sequence[str]) -> bool:
    """Each is found, as a pattern, in any case, inside words too."""
    return all(search(f"(?i){keyword}", text) is not None for keyword in keywords)


def keyword_frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """How often the pattern occurs, in any case."""
    return compares(count(f"(?i){keyword}", text), relation, frequency)


def lacks_words(text: str, *, forbidden_words: Sequence[str]) -> bool:
    """None occurs between word boundaries, in any case."""
    return all(search(rf"(?i)\b{word}\b", text) is None for word in forbidden_words)


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """How often the letter occurs once all are lower case."""
    return compares(text.lower().count(letter.lower()), let_relation, let_frequency)


def word_number(text: str, *, num_words: int, relation: str) -> bool:
    """Runs of word characters: "don't" is two."""
    return compares(count(_WORD, text), relation, num_words)


def sentence_number(text: str, *, num_sentences: int, relation: str) -> bool:
    """Sentences, roughly as a trained splitter finds them."""
    return compares(sentences(text), relation, num_sentences)


def sentences(text: str) -> int:
    """How many sentences a text has; the last needs no stop."""
    stripped, number, last = text.strip(), 0, ""
    for found in spans(_STOP, stripped):
        last = found["after"] or ""
        after = last.strip()
        is_inner = found["before"] is not None and found["stop"] == "." and bool(after)
        number += not is_inner
    return number + (1 if (stripped and last.strip()) or (not number and stripped) else 0)


def repeats_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """The prompt stands first, in any case, white space around it aside."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def ends_with(text: str, *, end_phrase: str) -> bool:
    """The phrase stands last, in any case, white space and quotation marks around it aside."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def is_quoted(text: str) -> bool:
    """Double quotation marks stand first and last."""
    stripped = text.strip()
    return len(stripped) > 1 and stripped[0] == stripped[-1] == '"'


def capital_words(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Words without a lower-case letter that have an upper-case one."""
    number = sum((found["token"] or "").isupper() for found in spans(_CAPITALS, text))
    return compares(number, capital_relation, capital_frequency)


def has_no_comma(text: str) -> bool:
    """No comma anywhere."""
    return "," not in text

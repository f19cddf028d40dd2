"""Rules on layout: paragraphs, lists, sections, titles, JSON."""

from __future__ import annotations

from canary.assertions.is_json import decode
from canary.assertions.library import library
from canary.assertions.pattern import LIMIT_S, compiled, count, search, spans

OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def escaped(text: str) -> str:
    """The pattern of exactly this text."""
    return str(library("regex").escape(text))


def _parts(pattern: str, text: str) -> list[str]:
    """The text between matches; TimeoutError where that takes too long."""
    return [part or "" for part in compiled(pattern).split(text, timeout=LIMIT_S)]


def paragraph_number(text: str, *, num_paragraphs: int) -> bool:
    """Exactly as many parts between `***`; the first and last may be blank, none between."""
    parts = _parts(r"\s?\*\*\*\s?", text)
    inner_blank = any(not part.strip() for part in parts[1:-1])
    return not inner_blank and sum(bool(part.strip()) for part in parts) == num_paragraphs


def nth_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly as many paragraphs between blank lines, one of which begins with the word."""
    parts = text.split("\n\n")
    number = sum(bool(part.strip()) for part in parts)
    if number != num_paragraphs or not 1 <= nth_paragraph <= len(parts) or not parts[nth_paragraph - 1].strip():
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    end = next((place for place, char in enumerate(word) if char in ".,?!'\""), len(word))
    return word[:end].lower() == first_word.lower()


def has_placeholders(text: str, *, num_placeholders: int) -> bool:
    """At least as many `[...]`."""
    return count(r"\[[^\n]*?\]", text) >= num_placeholders


def has_postscript(text: str, *, postscript_marker: str) -> bool:
    """A line on which the marker stands, in any case."""
    known = {"P.P.S": r"\s*p\.\s?p\.\s?s", "P.S.": r"\s*p\.\s?s\."}
    marker = known.get(postscript_marker) or escaped(postscript_marker.lower())
    return search(marker, text.lower()) is not None


def bullet_number(text: str, *, num_bullets: int) -> bool:
    """Exactly as many lines that begin with `* ` or `-`."""
    return count(r"(?m)^[^\S\n]*(?:\*[^*\n]|-)", text) == num_bullets


def is_constrained(text: str) -> bool:
    """One of the three answers occurs."""
    return any(option in text for option in OPTIONS)


def has_highlights(text: str, *, num_highlights: int) -> bool:
    """At least as many `*x*` and `**x**` together, with something between the marks."""
    single = sum(bool((found["inner"] or "").strip()) for found in spans(r"\*(?P<inner>[^\n*]*)\*", text))
    double = sum(bool((found["inner"] or "").strip()) for found in spans(r"\*\*(?P<inner>[^\n*]*)\*\*", text))
    return single + double >= num_highlights


def has_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least as many markers: the word and a number."""
    marker = escaped(section_spliter.strip())
    return count(rf"{marker}\s?\d+\s?", text) >= num_sections


def is_json_block(text: str) -> bool:
    """JSON, a fence around it aside."""
    inner = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        if inner.startswith(fence):
            inner = inner.removeprefix(fence)
            break
    try:
        decode(inner.removesuffix("```").strip())
    except ValueError:
        return False
    return True


def has_title(text: str) -> bool:
    """A title in `<<...>>` that is not blank, on one line."""
    titles = spans(r"<<(?P<title>[^\n]+)>>", text)
    return any((found["title"] or "").lstrip("<").rstrip(">").strip() for found in titles)


def is_two_responses(text: str) -> bool:
    """Two parts between `******` that differ; blank ones first and last do not count."""
    parts = text.split("******")
    if any(not part.strip() for part in parts[1:-1]):
        return False
    said = [part for part in parts if part.strip()]
    return len(said) == 2 and said[0].strip() != said[1].strip()

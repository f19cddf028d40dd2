"""Rules on the language, as langdetect finds it.

It draws lots: the seed is fixed, so that a text is always of one language.
"""

from __future__ import annotations

from canary.assertions.library import library

READ = 20_000
"""Characters of a text that are shown to the detector."""


def detected(text: str) -> str | None:
    """The ISO code; None where there is nothing to tell it by."""
    langdetect = library("langdetect")
    langdetect.DetectorFactory.seed = 0
    try:
        return str(langdetect.detect(text[:READ]))
    except langdetect.LangDetectException:
        return None


def is_language(text: str, *, language: str) -> bool:
    """The language is this one; a text without any, digits alone say, passes as in IFEval."""
    return detected(text) in (language, None)


def is_english_capital(text: str) -> bool:
    """English, without a lower-case letter."""
    return text.isupper() and detected(text) in ("en", None)


def is_english_lowercase(text: str) -> bool:
    """English, without an upper-case letter."""
    return text.islower() and detected(text) in ("en", None)

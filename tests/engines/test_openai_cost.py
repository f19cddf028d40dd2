"""The engine `openai` over real HTTP: what an answer took, and what it cost."""

from __future__ import annotations

from typing import Any

import pytest

from canary.records import ErrorKind
from tests.engines.conftest import USAGE, ask, chunk, refuse, stream, words

pytestmark = pytest.mark.usefixtures("short_backoff")


def test_one_token_has_no_tpot() -> None:
    """Time per token after the first is undefined for one token."""
    response = ask(words("Hi")).response

    assert (response.tpot_s, response.itl_s) == (None, ())


@pytest.mark.parametrize(
    ("place", "tokens"),
    [
        ({"choices": [], "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}}, (7, 2, 4)),
        ({"x_groq": {"usage": USAGE}}, (7, 2, None)),
        ({"choices": [{"delta": {}, "usage": {**USAGE, "cached_tokens": 4}}]}, (7, 2, 4)),
        ({"usage": {**USAGE, "prompt_cache_hit_tokens": 4}}, (7, 2, 4)),
        ({"usage": {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}}, (7, 2, 0)),
        ({"timings": {"prompt_n": 3, "cache_n": 4, "predicted_n": 2}}, (7, 2, 4)),
        ({"usage": {"prompt_tokens": "7", "completion_tokens": -2}}, (None, None, None)),
        ({"usage": {"prompt_tokens": 10**400, "completion_tokens": 10**12}}, (None, None, None)),
        ({"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 10**400}}}, (7, 2, None)),
    ],
)
def test_places_of_usage(place: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    """Token counts are found wherever a server puts them, and never guessed."""
    response = ask(stream(chunk(content="Hi"), chunk("stop"), place)).response

    assert (response.input_tokens, response.output_tokens, response.cached_tokens) == tokens


def test_usage_in_every_chunk() -> None:
    """The last of several counts is the count."""
    first = {**chunk(content="H"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
    last = {**chunk("stop", content="i"), "usage": USAGE}

    assert ask(stream(first, last, {"choices": [], "usage": None})).response.output_tokens == 2


def test_tokens_in_one_piece_have_no_pace() -> None:
    """Where a server sends all tokens at once, the time per token was not measured; it is not zero."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    response = ask(words("a b c d e", usage=usage)).response

    assert (response.itl_s, response.tpot_s, response.output_tokens) == ((), None, 5)


PRICE = {"input_per_million": 1.0, "output_per_million": 10.0, "cached_input_per_million": 0.5}


def test_cost() -> None:
    """(7 - 4) fresh x 1 + 4 cached x 0.5 + 2 written x 10 = 25 millionths."""
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 4}}

    assert ask(words("a", "b", usage=usage), price=PRICE).response.cost_usd == pytest.approx(25e-6)


def test_cost_without_usage_is_unknown() -> None:
    """An answer whose tokens nobody counted has no cost; nor has a release without a price."""
    assert ask(stream(chunk(content="Hi"), chunk("stop")), price=PRICE).response.cost_usd is None
    assert ask(words("Hi")).response.cost_usd is None


def test_every_try_is_billed() -> None:
    """A request turned away costs nothing; one accepted that broke before its first token costs its prompt."""
    turned_away = ask(refuse(503, "busy"), words("a", "b"), price=PRICE).response
    broken = ask(stream(chunk(role="assistant"), done=False, end="cut"), words("a", "b"), price=PRICE).response

    assert [attempt.cost_usd for attempt in turned_away.attempts] == pytest.approx([0.0, 27e-6])
    assert turned_away.cost_usd == pytest.approx(27e-6)
    assert [attempt.cost_usd for attempt in broken.attempts] == pytest.approx([7e-6, 27e-6])
    assert broken.cost_usd == pytest.approx(34e-6)


def test_cost_of_a_cut_answer_is_unknown() -> None:
    """Unless the server counted as it went."""
    counted = {**chunk(content="Hi"), "usage": {"prompt_tokens": 7, "completion_tokens": 1}}

    assert ask(stream(chunk(content="Hi"), done=False, end="cut"), price=PRICE).response.cost_usd is None
    assert ask(stream(counted, done=False, end="cut"), price=PRICE).response.cost_usd == pytest.approx(17e-6)


def test_half_a_usage_is_no_cost() -> None:
    """A server that counts only what it wrote does not say what the answer cost."""
    response = ask(words("a", usage={"completion_tokens": 1}), price=PRICE).response

    assert (response.input_tokens, response.output_tokens, response.cost_usd) == (None, 1, None)


def test_more_cached_than_read() -> None:
    """A server that counts more cached than read tokens does not make the answer cheaper than free."""
    usage = {"prompt_tokens": 4, "completion_tokens": 0, "cached_tokens": 90}

    assert ask(words("a", usage=usage), price=PRICE).response.cost_usd == pytest.approx(2e-6)


def test_truncated_answer_is_kept_and_billed() -> None:
    """An answer cut at max_tokens is an error with its output, its tokens and its cost."""
    response = ask(words("a", "b", finish="length"), price=PRICE).response

    assert response.error is not None
    assert response.error.kind is ErrorKind.TRUNCATED
    assert "raise 'sampling.max_tokens'" in response.error.message
    assert (response.output, response.output_tokens) == ("ab", 2)
    assert response.cost_usd == pytest.approx(27e-6)

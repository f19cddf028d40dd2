"""Lines: what goes in comes out."""

from __future__ import annotations

import gc
import io
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.bounds import LATEST_S, LONGEST_S, MOST_TOKENS
from canary.codec import SHOWN, Record, decode, encode
from canary.errors import EvidenceError
from canary.records import Arm, Attempt, ErrorKind, Failure, Prompt, Response, Scale, Score


def is_scalar(text: str) -> bool:
    """No two surrogates in a row that JSON would join into one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == text


TEXT = st.text(st.characters(), max_size=30).filter(is_scalar)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.lists(NUMBER, max_size=4).map(tuple)
COUNT = st.integers(0, MOST_TOKENS)
SECONDS = st.floats(0, LONGEST_S)
MOMENT = st.floats(0, LATEST_S)
MONEY = st.floats(0, 1e6)
SHARE = st.floats(0, 1)
FAILURE = st.builds(Failure, kind=st.sampled_from(ErrorKind), message=TEXT)
ATTEMPT = st.builds(Attempt, seconds=SECONDS, error=st.none() | FAILURE, cost_usd=st.none() | MONEY)
ARM = st.sampled_from(Arm)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
PROMPT = st.builds(
    Prompt,
    id=TEXT,
    digest=TEXT,
    stratum=TEXT,
    cluster=TEXT,
    vars=OBJECT,
    messages=st.none() | st.lists(OBJECT, max_size=2).map(tuple),
    expected=JSON,
    asserts=st.lists(OBJECT, max_size=2).map(tuple),
    metadata=OBJECT,
)
RESPONSE = st.builds(
    Response,
    id=TEXT,
    arm=ARM,
    output=TEXT,
    repeat=COUNT,
    error=st.none() | FAILURE,
    ttft_s=st.none() | SECONDS,
    itl_s=st.none() | st.lists(SECONDS, max_size=4).map(tuple),
    tpot_s=st.none() | SECONDS,
    total_s=st.none() | SECONDS,
    input_tokens=st.none() | COUNT,
    output_tokens=st.none() | COUNT,
    cached_tokens=st.none() | COUNT,
    cost_usd=st.none() | MONEY,
    finish_reason=st.none() | TEXT,
    logprobs=st.none() | NUMBERS,
    started_at=st.none() | MOMENT,
    session=st.none() | TEXT,
    tenant=st.none() | TEXT,
    scores=st.none() | st.dictionaries(TEXT, SHARE | st.booleans(), max_size=3),
    attempts=st.lists(ATTEMPT, max_size=2).map(tuple),
)
SCORE = st.builds(
    Score,
    id=TEXT,
    arm=ARM,
    repeat=COUNT,
    metric=TEXT,
    scale=st.sampled_from(Scale),
    value=st.none() | NUMBER,
    passed=st.none() | st.booleans(),
    reason=TEXT,
)

ANSWER = Response(id="a", arm=Arm.BASELINE, output="x")
SCORED = Score(id="a", arm=Arm.BASELINE, repeat=0, metric="m", scale=Scale.BOUNDED, value=1.0, passed=None)
CASE = Prompt(id="a", digest="d", stratum="s", cluster="a", vars={"q": "?"}, messages=None, expected="x", asserts=())


def read(kind: type[Record], lines: bytes) -> list[Record]:
    """The records of these lines."""
    return list(itertools.chain.from_iterable(decode(kind, io.BytesIO(lines), "file.jsonl")))


@given(PROMPT)
def test_prompts_survive(prompt: Prompt) -> None:
    """A prompt of any text and JSON values is read back equal, byte for byte."""
    line = encode(prompt)

    assert read(Prompt, line) == [prompt]
    assert encode(read(Prompt, line)[0]) == line


@given(RESPONSE)
def test_responses_survive(response: Response) -> None:
    """A response of any text and finite numbers is read back equal, byte for byte."""
    line = encode(response)

    assert read(Response, line) == [response]
    assert encode(read(Response, line)[0]) == line


@given(SCORE)
def test_scores_survive(score: Score) -> None:
    """A score of any text and finite number is read back equal, byte for byte."""
    line = encode(score)

    assert read(Score, line) == [score]
    assert encode(read(Score, line)[0]) == line


@given(st.lists(RESPONSE, max_size=6))
def test_one_ascii_line_each(responses: list[Response]) -> None:
    """Every record is one ASCII line, whatever line breaks its texts hold."""
    lines = b"".join(map(encode, responses))

    assert lines.isascii()
    assert len(lines.decode().splitlines()) == len(responses) == lines.count(b"\n")
    assert read(Response, lines) == responses


def test_numbers_keep_their_kind() -> None:
    """True and 1.0 stay apart in recorded scores; an integer is the float it equals."""
    response = replace(ANSWER, scores={"yes": True, "full": 1}, ttft_s=2)

    (again,) = read(Response, encode(response))

    assert again.scores == {"full": 1.0, "yes": True}
    assert [type(value) for value in again.scores.values()] == [float, bool]
    assert encode(again) == encode(response)


def test_line_of_a_response() -> None:
    """The line is the contract of recorded outputs plus the arm; what is unknown is left out."""
    failure = Failure(kind=ErrorKind.SERVER, message="503")
    response = replace(
        ANSWER,
        error=failure,
        ttft_s=0.5,
        itl_s=(0.25, 0.5),
        cost_usd=1e-7,
        attempts=(Attempt(seconds=1.0, error=failure), Attempt(seconds=0.5, cost_usd=0.0)),
    )

    assert encode(response).decode() == (
        '{"id":"a","arm":"baseline","repeat":0,"output":"x","error":{"kind":"server","message":"503"}'
        ',"ttft_s":0.5,"itl_s":[0.25,0.5],"cost_usd":1e-07,"attempts":[{"seconds":1.0'
        ',"error":{"kind":"server","message":"503"}},{"seconds":0.5,"cost_usd":0.0}]}\n'
    )


def test_abstention_is_written_out() -> None:
    """What decides is never left out: an abstention says null."""
    line = json.loads(encode(replace(SCORED, value=None)))

    assert line["value"] is None
    assert line["passed"] is None


def test_order_of_keys_in_a_case_is_kept() -> None:
    """A case's own keys keep their order, as a template may show them to the model."""
    prompt = replace(CASE, vars={"z": 1, "a": {"y": 1, "b": 2}})

    (again,) = read(Prompt, encode(prompt))

    assert list(again.vars) == ["z", "a"]
    assert list(again.vars["a"]) == ["y", "b"]


def test_ten_megabytes() -> None:
    """An output of 10 MB is one line like any other."""
    response = replace(ANSWER, output="\u2028\x00é" * 3_400_000)

    assert read(Response, encode(response) + encode(ANSWER)) == [response, ANSWER]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "broken",
    [
        lambda value: replace(SCORED, value=value),
        lambda value: replace(ANSWER, ttft_s=value),
        lambda value: replace(ANSWER, itl_s=(0.1, value)),
        lambda value: replace(ANSWER, scores={"m": value}),
        lambda value: replace(ANSWER, attempts=(Attempt(seconds=value),)),
        lambda value: replace(CASE, vars={"deep": [{"number": value}]}),
    ],
)
def test_no_nan_is_written(broken: Callable[[float], Any], value: float) -> None:
    """A number that is not finite is refused wherever it hides, naming the record."""
    with pytest.raises(EvidenceError, match=r"'a'.* cannot be written"):
        encode(broken(value))


def test_refusal_names_the_arm() -> None:
    """A record that cannot be written is named with its arm and the reason."""
    with pytest.raises(EvidenceError) as caught:
        encode(replace(SCORED, value=math.nan))

    assert str(caught.value) == "score 'a' of the baseline cannot be written: a number must be finite (got nan)"


def test_bottomless_case_is_refused() -> None:
    """A case nested too deeply to be written is an error, not a crash."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(EvidenceError, match="cannot be written"):
        encode(replace(CASE, vars={"deep": deep}))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "file.jsonl:2: Invalid JSON"),
        ("", "file.jsonl:2: a line must hold one response (got 0)"),
        ("[]", "file.jsonl:2: "),
        ('{"id":"a","arm":"baseline"}', "file.jsonl:2: 'output': Field required"),
        ('{"id":"a","arm":"control","output":"x"}', "file.jsonl:2: 'arm': Input should be 'baseline' or 'candidate'"),
        ('{"id":"a","arm":"baseline","output":"x","speed":1}', "file.jsonl:2: 'speed': "),
        (
            '{"id":"a","arm":"baseline","output":"x","ttft_s":"1"}',
            "file.jsonl:2: 'ttft_s': Input should be a valid num",
        ),
        ('{"id":"a","arm":"baseline","output":"x","ttft_s":NaN}', "file.jsonl:2: 'ttft_s': Input should be a finite n"),
        ('{"id":"a","arm":"baseline","output":"x","ttft_s":1e999}', "file.jsonl:2: 'ttft_s': Input should be a finite"),
        (
            '{"id":"a","arm":"baseline","output":"x","scores":{"m":NaN}}',
            "file.jsonl:2: 'scores.m.constrained-float': Inp",
        ),
        ('{"id":"a","arm":"baseline","output":"\\ud800","x":1}', "file.jsonl:2: 'x': Unexpected keyword argument"),
        ('{"id":"a","arm":"baseline","output":"\\ud800"}', "file.jsonl:2: the line is not as a response is written"),
        ('{"id":"a","arm":"baseline","output":"x"},{"id":"b","arm":"baseline","output":"x"}', "one response (got 2)"),
    ],
)
def test_bad_line_is_named(line: str, problem: str) -> None:
    """A bad line is an error that names file, line and field."""
    with pytest.raises(EvidenceError) as caught:
        read(Response, encode(ANSWER) + line.encode() + b"\n" + encode(replace(ANSWER, id="c")))

    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_s", "-1.0"),
        ("ttft_s", "1e308"),
        ("itl_s", "[0.1,-0.1]"),
        ("cost_usd", "-1.0"),
        ("cost_usd", "1e308"),
        ("cached_tokens", f"1{'0' * 400}"),
        ("started_at", "1e12"),
        ("repeat", "-1"),
        ("attempts", '[{"seconds":-1.0}]'),
        ("scores", '{"m":5.0}'),
    ],
)
def test_number_that_measures_nothing(field: str, value: str) -> None:
    """A number that no measurement gives is an error that names its field, not a crash of a later test."""
    line = f'{{"id":"a","arm":"baseline","output":"x","{field}":{value}}}\n'

    with pytest.raises(EvidenceError, match=rf"file.jsonl:1: '{field}.*': Input should be"):
        read(Response, line.encode())


def test_bytes_that_are_no_text() -> None:
    """A line that is not UTF-8 is named."""
    with pytest.raises(EvidenceError, match=r"file\.jsonl:1: "):
        read(Response, encode(ANSWER).replace(b"x", b"\xff"))


@pytest.mark.parametrize("number", ["NaN", "-Infinity"])
def test_nan_in_a_case_is_refused(number: str) -> None:
    """Free-form values of a case hold no NaN either."""
    with pytest.raises(EvidenceError, match=r"file\.jsonl:1: a number must be finite"):
        read(Prompt, encode(CASE).replace(b'"?"', number.encode()))


def test_the_word_nan_is_text() -> None:
    """A case that only speaks of NaN is read like any other."""
    prompt = replace(CASE, vars={"q": "Is NaN == NaN? Infinity?"})

    assert read(Prompt, encode(prompt)) == [prompt]


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_left_as_it_was(collecting: bool) -> None:  # noqa: FBT001 - it is the case
    """Reading leaves the garbage collector on or off, as the caller had it, bad lines or not."""
    was = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        read(Response, encode(ANSWER))
        with pytest.raises(EvidenceError):
            read(Response, b"{}\n")

        assert gc.isenabled() == collecting
    finally:
        (gc.enable if was else gc.disable)()


def test_torn_last_line_is_named() -> None:
    """A file without a final line break is torn."""
    with pytest.raises(EvidenceError, match=r"file\.jsonl:2: the last line is torn"):
        read(Response, encode(ANSWER) + encode(ANSWER)[:-1])


def test_many_bad_lines_are_counted() -> None:
    """The first problems are named and the rest counted."""
    with pytest.raises(EvidenceError) as caught:
        read(Response, b"{}\n" * 100)

    assert len(caught.value.problems) == SHOWN + 1
    assert caught.value.problems[-1] == "and 280 more of this kind"  # three required fields are missing on each

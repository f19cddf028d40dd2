"""Traces of arrivals: what is read, and everything that can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from canary.errors import ConfigError
from canary.run.trace import Arrival, read_trace

EXPECTED = (Arrival(0.0, 374, 44), Arrival(0.5, 396, 109), Arrival(2.0, 0, 55))
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
OURS = "timestamp,input_tokens,output_tokens\n"
FORMS = {
    "published.csv": f"{AZURE}2023-11-16 18:17:03.9799600,374,44\r\n2023-11-16 18:17:04.4799600,396,109\r\n"
    "2023-11-16 18:17:05.9799600,0,55\r\n",
    "zoned.CSV": f"{AZURE}2024-05-10 00:00:59.500000+00:00,374,44\n2024-05-10T02:01:00+02:00,396,109\n"
    "2024-05-10T00:01:01.5Z,0,55\n",
    "seconds.csv": f"\ufeffid,{OURS}a,1700000000.5,374,44\nb,1700000001,396,109\nc,1700000002.5,0,55.0\n",
    "ours.jsonl": '{"timestamp": 7, "input_tokens": 374, "output_tokens": 44, "user": "x"}\n\n'
    '{"timestamp": 7.5, "input_tokens": 396, "output_tokens": 109}\n'
    '{"timestamp": 9, "input_tokens": 0, "output_tokens": 55}\n',
    "theirs.jsonl": '{"TIMESTAMP": "2023-11-16 18:17:03", "ContextTokens": 374, "GeneratedTokens": 44}\n'
    '{"TIMESTAMP": "2023-11-16 18:17:03.5", "ContextTokens": 396, "GeneratedTokens": 109}\n'
    '{"TIMESTAMP": "2023-11-16 18:17:05", "ContextTokens": 0, "GeneratedTokens": 55}\n',
}


def written(folder: Path, name: str, text: str | bytes) -> Path:
    """A trace of that name."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", FORMS)
def test_forms(tmp_path: Path, name: str) -> None:
    """Seconds or ISO times, our names or those of Azure's traces, CSV or JSONL: times count from the first arrival."""
    read = read_trace(written(tmp_path, name, FORMS[name]), 3)

    assert [arrival[1:] for arrival in read] == [arrival[1:] for arrival in EXPECTED]
    assert [arrival.at for arrival in read] == pytest.approx([arrival.at for arrival in EXPECTED])


def test_lengths_need_not_be_there(tmp_path: Path) -> None:
    """Times alone are a load; what a log did not count is left open, row by row."""
    path = written(tmp_path, "t.csv", f"{OURS}1,2,\n2\n")

    assert read_trace(path, 2) == (Arrival(0.0, 2, None), Arrival(1.0, None, None))
    assert read_trace(written(tmp_path, "t.jsonl", '{"timestamp": 1}\n{"timestamp": 3}\n'), 2)[1].at == 2.0


def test_a_longer_trace_is_read_no_further_than_needed(tmp_path: Path) -> None:
    """What comes after the last arrival that is used may be anything."""
    path = written(tmp_path, "t.jsonl", FORMS["ours.jsonl"] + "}{ torn\n")

    assert read_trace(path, 3) == EXPECTED


ROW = {"timestamp": 1, "input_tokens": 2, "output_tokens": 3}
BAD_ROWS = {
    "timestamp: seconds up to 1e+11, or a date and time of ISO 8601 (got 'noon')": {"timestamp": "noon"},
    "timestamp: seconds up to 1e+11, or a date and time of ISO 8601 (got 1.7e+12): is it in milliseconds?": {
        "timestamp": 1700000000000
    },
    "timestamp: seconds up to 1e+11, or a date and time of ISO 8601 (got .nan)": {"timestamp": float("nan")},
    "timestamp: seconds up to 1e+11, or a date and time of ISO 8601 (got true)": {"timestamp": True},
    "timestamp: without a time zone like those above it (got 5)": {"timestamp": 5},
    "timestamp: without a time zone like those above it (got '2024-01-01T00:00:09Z')": {
        "timestamp": "2024-01-01T00:00:09Z"
    },
    "input_tokens: a whole number of tokens ≥ 0 (got -1)": {"input_tokens": -1},
    "input_tokens: a whole number of tokens ≥ 0 (got 1.5)": {"input_tokens": 1.5},
    "input_tokens: a whole number of tokens ≥ 0 (got .nan)": {"input_tokens": float("nan")},
    "output_tokens: a whole number of tokens ≥ 0 (got 'many')": {"output_tokens": "many"},
    "output_tokens: a whole number of tokens ≥ 0 (got a list)": {"output_tokens": [1]},
    "output_tokens: a whole number of tokens ≥ 0 (got 1e+300)": {"output_tokens": 1e300},
}


def test_a_trace_in_milliseconds_is_one_mistake(tmp_path: Path) -> None:
    """Every line of it is wrong in the same way, which is said once."""
    lines = [json.dumps(ROW | {"timestamp": 1_780_000_000_000 + 300 * number}) for number in range(90)]
    path = written(tmp_path, "t.jsonl", "\n".join(lines))

    with pytest.raises(ConfigError) as refused:
        read_trace(path, 90)

    assert len(refused.value.problems) == 1
    assert str(refused.value).endswith("(got 1.8e+12): is it in milliseconds? (also on lines 2-90)")


@pytest.mark.parametrize(("said", "changed"), BAD_ROWS.items(), ids=list(BAD_ROWS))
def test_bad_values(tmp_path: Path, said: str, changed: dict[str, object]) -> None:
    """Each bad field is named with its line, what it must be and what it is."""
    first = ROW | {"timestamp": "2024-01-01 00:00:01"}
    second = ROW | {"timestamp": "2024-01-01 00:00:02"} | changed
    path = written(tmp_path, "t.jsonl", f"{json.dumps(first)}\n{json.dumps(second)}\n")
    name, _, must = said.partition(": ")

    with pytest.raises(ConfigError) as refused:
        read_trace(path, 2)

    assert str(refused.value) == f"{path}:2: '{name}' must be {must}"


BAD_FILES: dict[str, tuple[str, str | bytes]] = {
    "must hold an arrival for each of the 2 requests of an arm (got 0): give a longer trace, or ask fewer cases "
    "('stages: {staging: {cases: ...}}')": ("t.jsonl", ""),
    "must hold an arrival for each of the 2 requests of an arm (got 1)": ("t.jsonl", json.dumps(ROW)),
    "'timestamp' must be in seconds: the first 2 arrivals came at one moment": ("t.jsonl", f"{json.dumps(ROW)}\n" * 2),
    "1: is not valid JSON": ("t.jsonl", '{"timestamp": 1, "input_to'),
    "1: must be one JSON object, {…} (got a list)": ("t.jsonl", "[1]"),
    "1: the key 'timestamp' stands twice in one object": ("t.jsonl", '{"timestamp": 1, "timestamp": 2}'),
    "1: 'timestamp' is missing": ("t.jsonl", '{"input_tokens": 2, "output_tokens": 3}'),
    "2: 'timestamp' must not be before the one above it: sort the trace by time": (
        "t.jsonl", f'{json.dumps(ROW)}\n{json.dumps(ROW | {"timestamp": 0.5})}\n'
    ),
    "is not UTF-8 text (byte 0xff)": ("t.jsonl", b"\xff"),
    "1: must have the columns timestamp, input_tokens, output_tokens, or TIMESTAMP, ContextTokens, GeneratedTokens "
    "(got 'time', 'tokens')": ("t.csv", "time,tokens\n1,2\n"),
    "GeneratedTokens (got nothing)": ("t.csv", ""),
    "1: must name a column once (got 'timestamp' twice)": ("t.csv", "timestamp,a,timestamp\n1,2,3\n"),
    "2: 'timestamp' is missing": ("t.csv", f"{OURS},2,3\n"),
    "is no CSV file: ": ("t.csv", f'{OURS}"1"x,2,3\n'),
}  # fmt: skip


@pytest.mark.parametrize("said", BAD_FILES)
def test_bad_files(tmp_path: Path, said: str) -> None:
    """Empty, short, torn, doubled, unsorted, of other columns: one sentence that names the file."""
    path = written(tmp_path, *BAD_FILES[said])

    with pytest.raises(ConfigError) as refused:
        read_trace(path, 2)

    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder and nothing at all are told apart."""
    for path, said in ((tmp_path, "is a folder, not a file"), (tmp_path / "none.csv", "does not exist")):
        with pytest.raises(ConfigError, match=said):
            read_trace(path, 2)


def test_every_bad_line_is_told_and_not_all_of_a_million(tmp_path: Path) -> None:
    """Lines that share a mistake share a sentence; of many mistakes the first ones are told."""
    rows = [json.dumps(ROW | {"input_tokens": -n}) for n in range(1, 40)]
    path = written(tmp_path, "t.jsonl", "\n".join([*rows, "{}", "{}"]))

    with pytest.raises(ConfigError) as refused:
        read_trace(path, 100)

    assert len(refused.value.problems) == 21
    assert refused.value.problems[-1] == "and 20 more of this kind"

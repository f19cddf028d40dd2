"""Recorded outputs: what is read, and every way they are refused."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from canary.engines.replay import open_release, read_responses
from canary.errors import EvidenceError
from canary.protocols import Request
from canary.records import Arm, Attempt, ErrorKind, Failure, Guardrail, Response
from canary.release import ReplayRelease

SECONDS = "a number of seconds ≥ 0 and ≤ 86400"
CLASS = "the name of a class, 1 to 100 letters, digits, or any of _ . -"
CLASSES = f"a list, each {CLASS}"
KINDS = "server, client, throttled, truncated, refusal, content_filter, context_length, malformed"


def write(folder: Path, *lines: dict[str, Any] | str | bytes, end: bytes = b"\n") -> Path:
    """A file of the lines; dictionaries become JSON."""
    path = folder / "out.jsonl"
    encoded = [line if isinstance(line, bytes) else text(line).encode() for line in lines]
    path.write_bytes(end.join(encoded) + end)
    return path


def text(line: dict[str, Any] | str) -> str:
    """The line as it stands in the file."""
    return line if isinstance(line, str) else json.dumps(line)


def problems(path: Path) -> list[str]:
    """What reading the file complains of, without the path."""
    with pytest.raises(EvidenceError) as caught:
        read_responses(path, Arm.BASELINE)
    return [problem.removeprefix(f"{path}:").strip() for problem in caught.value.problems]


class TestRead:
    """What is accepted, and as what."""

    def test_id_and_output_are_enough(self, tmp_path: Path) -> None:
        """The shortest line is a success with nothing else recorded."""
        path = write(tmp_path, {"id": "a", "output": "yes"})

        assert (Response(id="a", arm=Arm.BASELINE, output="yes"),) == read_responses(path, Arm.BASELINE)

    def test_every_field(self, tmp_path: Path) -> None:
        """Each optional key arrives in the field of its name."""
        line = {
            "id": "a", "repeat": 2, "output": "yes", "error": {"kind": "refusal", "message": "no"},
            "ttft_s": 0.5, "itl_s": [0.1, 0], "tpot_s": 0.05, "total_s": 1, "input_tokens": 7, "output_tokens": 3,
            "cached_tokens": 0, "cost_usd": 0.25, "finish_reason": "stop", "logprobs": [-0.5, -1],
            "started_at": 1.75e9, "session": "s", "tenant": "t", "scores": {"f1": 0.5, "exact": True, "rank": 1},
            "guardrail": {"classes": ["hate"], "seconds": 0.12},
            "attempts": [{"seconds": 0.4, "error": {"kind": "throttled"}, "cost_usd": None}, {"seconds": 0.6}],
        }  # fmt: skip
        expected = Response(
            id="a", arm=Arm.CANDIDATE, repeat=2, output="yes", error=Failure(kind=ErrorKind.REFUSAL, message="no"),
            ttft_s=0.5, itl_s=(0.1, 0.0), tpot_s=0.05, total_s=1.0, input_tokens=7, output_tokens=3,
            cached_tokens=0, cost_usd=0.25, finish_reason="stop", logprobs=(-0.5, -1.0),
            started_at=1.75e9, session="s", tenant="t", scores={"f1": 0.5, "exact": True, "rank": 1.0},
            guardrail=Guardrail(classes=("hate",), seconds=0.12),
            attempts=(
                Attempt(seconds=0.4, error=Failure(kind=ErrorKind.THROTTLED, message="")), Attempt(seconds=0.6),
            ),
        )  # fmt: skip
        (response,) = read_responses(write(tmp_path, line), Arm.CANDIDATE)

        assert expected == response
        assert response.scores is not None
        assert {"f1": float, "exact": bool, "rank": float} == {k: type(v) for k, v in response.scores.items()}

    def test_null_is_not_recorded(self, tmp_path: Path) -> None:
        """A null optional key means the same as its absence."""
        path = write(tmp_path, {"id": "a", "output": "", "ttft_s": None, "error": None, "scores": None})

        assert (Response(id="a", arm=Arm.BASELINE, output=""),) == read_responses(path, Arm.BASELINE)

    def test_integer_ids_are_text(self, tmp_path: Path) -> None:
        """Integer ids are read as their decimal text."""
        path = write(tmp_path, {"id": 12, "output": "x"}, {"id": -3, "output": "x"})

        assert [response.id for response in read_responses(path, Arm.BASELINE)] == ["12", "-3"]

    def test_output_may_be_absent_under_an_error(self, tmp_path: Path) -> None:
        """A failed response needs no output; a partial one is kept."""
        error = {"kind": "server", "message": "503"}
        path = write(tmp_path, {"id": "a", "error": error}, {"id": "b", "output": "par", "error": error})

        assert [response.output for response in read_responses(path, Arm.BASELINE)] == ["", "par"]

    def test_own_journal(self, tmp_path: Path) -> None:
        """Of lines that name their arm only the wanted arm's are kept."""
        lines = [{"id": "a", "arm": arm, "output": arm} for arm in Arm]
        (response,) = read_responses(write(tmp_path, *lines), Arm.CANDIDATE)

        assert (response.arm, response.output) == (Arm.CANDIDATE, "candidate")

    def test_encodings_of_other_systems(self, tmp_path: Path) -> None:
        """A byte order mark, CRLF line ends and blank lines are read over."""
        path = write(tmp_path, b'\xef\xbb\xbf{"id": "a", "output": "x"}', "", {"id": "b", "output": "y"}, end=b"\r\n")

        assert [response.id for response in read_responses(path, Arm.BASELINE)] == ["a", "b"]

    def test_last_line_without_newline(self, tmp_path: Path) -> None:
        """A whole record at the end of the file needs no line end."""
        path = tmp_path / "out.jsonl"
        path.write_text('{"id": "a", "output": "x"}')

        assert len(read_responses(path, Arm.BASELINE)) == 1

    def test_only_newlines_end_lines(self, tmp_path: Path) -> None:
        """Other Unicode line separators are part of the output."""
        path = write(tmp_path, '{"id": "a", "output": "x\u2028y\u0085z"}')

        assert [response.output for response in read_responses(path, Arm.BASELINE)] == ["x\u2028y\u0085z"]


class TestRefuse:
    """What is refused, and in which words."""

    @pytest.mark.parametrize(
        ("field", "problem"),
        [
            ('"guardrail": {}', "'guardrail.classes' is missing"),
            ('"guardrail": "no"', '\'guardrail\' must be an object {classes, seconds} (got "no")'),
            ('"guardrail": {"classes": "hate"}', f'\'guardrail.classes\' must be {CLASSES} (got "hate")'),
            ('"guardrail": {"classes": ["a b"]}', f'\'guardrail.classes[0]\' must be {CLASS} (got "a b")'),
            ('"guardrail": {"classes": [], "seconds": -1}', f"'guardrail.seconds' must be {SECONDS} (got -1)"),
            ('"guardrail": {"classes": [], "second": 1}',
             "unknown key 'guardrail.second' (did you mean 'seconds'?)"),
            ('"ttft_s": -1', f"'ttft_s' must be {SECONDS} (got -1)"),
            ('"total_s": NaN', f"'total_s' must be {SECONDS} (got NaN)"),
            ('"total_s": Infinity', f"'total_s' must be {SECONDS} (got Infinity)"),
            ('"total_s": 1e999', f"'total_s' must be {SECONDS} (got Infinity)"),
            ('"total_s": 1e6', f"'total_s' must be {SECONDS} (got 1000000.0)"),
            ('"tpot_s": "0.1"', f"'tpot_s' must be {SECONDS} (got \"0.1\")"),
            ('"tpot_s": true', f"'tpot_s' must be {SECONDS} (got true)"),
            ('"itl_s": 0.1', f"'itl_s' must be a list, each {SECONDS} (got 0.1)"),
            ('"itl_s": [0.1, -0.1]', f"'itl_s[1]' must be {SECONDS} (got -0.1)"),
            ('"logprobs": [-1, -Infinity]', "'logprobs[1]' must be a finite number (got -Infinity)"),
            ('"started_at": 1.75e12', "'started_at' must be seconds since 1970 (got 1750000000000.0)"),
            ('"input_tokens": 1.5', "'input_tokens' must be a whole number ≥ 0 (got 1.5)"),
            ('"repeat": -1', "'repeat' must be a whole number ≥ 0 (got -1)"),
            ('"cost_usd": -0.1', "'cost_usd' must be a number of US dollars ≥ 0 (got -0.1)"),
            ('"session": 3', "'session' must be text (got 3)"),
            ('"scores": {"f1": 1.01}', "'scores.f1' must be a number from 0 to 1, or true or false (got 1.01)"),
            ('"scores": {"f1": NaN}', "'scores.f1' must be a number from 0 to 1, or true or false (got NaN)"),
            ('"scores": {"f1": "1"}', "'scores.f1' must be a number from 0 to 1, or true or false (got \"1\")"),
            ('"scores": 1', "'scores' must be an object {metric: number from 0 to 1, or true or false} (got 1)"),
            ('"arm": "control"', "'arm' must be baseline or candidate (got \"control\")"),
            ('"error": "timeout"', "'error' must be an object {kind, message} (got \"timeout\")"),
            ('"error": {"kind": "oops"}', f"'error.kind' must be one of {KINDS} (got \"oops\")"),
            ('"error": {"message": "x"}', "'error.kind' is missing"),
            ('"error": {"kind": "server", "msg": ""}', "unknown key 'error.msg' (did you mean 'message'?)"),
            ('"ttft": 0.1', "unknown key 'ttft' (did you mean 'ttft_s'?)"),
            ('"attempts": [{"seconds": -2}]', f"'attempts[0].seconds' must be {SECONDS} (got -2)"),
            ('"attempts": [{"second": 2, "seconds": 2}]',
             "unknown key 'attempts[0].second' (did you mean 'seconds'?)"),
        ],
    )  # fmt: skip
    def test_field(self, tmp_path: Path, field: str, problem: str) -> None:
        """A bad field is named with what it must be and what it is."""
        path = write(tmp_path, {"id": "good", "output": ""}, f'{{"id": "a", "output": "x", {field}}}')

        assert [f"2: {problem}"] == problems(path)

    @pytest.mark.parametrize("bad", ["", True, None, 1.5, 2**64])
    def test_id(self, tmp_path: Path, bad: Any) -> None:
        """An id is a text or a whole number of sane size."""
        path = write(tmp_path, {"id": bad, "output": "x"})

        assert [f"1: 'id' must be a non-empty text or a whole number (got {json.dumps(bad)})"] == problems(path)

    def test_far_off_key(self, tmp_path: Path) -> None:
        """A key like no other is answered with the valid ones."""
        (problem,) = problems(write(tmp_path, {"id": "a", "output": "x", "qqq\x1b[31m": 1}))

        assert problem.startswith("1: unknown key 'qqq\\u001b[31m' (valid: id, arm, repeat, output, error, ttft_s,")

    def test_all_problems_at_once(self, tmp_path: Path) -> None:
        """Every problem of every line is told, in the order of the file."""
        path = write(tmp_path, {"output": 3, "ttft_s": -1}, {"id": "a", "output": "x"}, "[1]", "nope", {"id": "b"})
        expected = [
            "1: 'id' is missing",
            "1: 'output' must be text (got 3)",
            f"1: 'ttft_s' must be {SECONDS} (got -1)",
            "3: a line must be a JSON object (got [1])",
            "4: must be a JSON object: expected ident at column 2",
            "5: 'output' is missing, and no 'error' says why",
        ]

        assert expected == problems(path)

    def test_duplicate(self, tmp_path: Path) -> None:
        """The same id and repeat twice is refused, with the first line."""
        path = write(tmp_path, {"id": 1, "output": "x"}, {"id": "1", "repeat": 1, "output": "x"}, {"id": "1"})

        assert problems(path)[0] == "3: 'id' \"1\" with 'repeat' 0 is already on line 1"

    def test_same_id_in_both_arms(self, tmp_path: Path) -> None:
        """One id in two arms is no duplicate, two of an unwanted arm are not ours."""
        lines = [{"id": "a", "arm": "baseline", "output": "x"}, {"id": "a", "arm": "candidate", "output": "y"}]

        assert len(read_responses(write(tmp_path, *lines), Arm.BASELINE)) == 1

    def test_some_lines_without_arm(self, tmp_path: Path) -> None:
        """Lines that name no arm among lines that do belong to nobody."""
        path = write(tmp_path, {"id": "a", "arm": "baseline", "output": "x"}, {"id": "b", "output": "y"})

        assert problems(path) == ["2: 'arm' is missing, though other lines have it"]

    def test_missing_arm(self, tmp_path: Path) -> None:
        """A journal of the other arm alone holds nothing to read."""
        path = write(tmp_path, {"id": "a", "arm": "candidate", "output": "x"})

        assert problems(path) == ["no line of arm 'baseline'"]

    def test_empty_file(self, tmp_path: Path) -> None:
        """A file without a line is refused."""
        assert problems(write(tmp_path, "", "")) == ["no responses: the file is empty"]

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        assert problems(tmp_path / "gone") == ["cannot be read: No such file or directory"]

    def test_folder(self, tmp_path: Path) -> None:
        """A folder is no file."""
        assert problems(tmp_path) == ["cannot be read: Is a directory"]

    def test_invalid_utf8(self, tmp_path: Path) -> None:
        """A byte that is not UTF-8 is named with its column."""
        path = write(tmp_path, b'{"id": "\xff", "output": ""}')

        assert problems(path) == ["1: must be UTF-8 (got byte 0xff at column 9)"]

    def test_half_a_surrogate(self, tmp_path: Path) -> None:
        """An escape that no text can hold is refused, not passed on."""
        (problem,) = problems(write(tmp_path, r'{"id": "a", "output": "\ud800"}'))

        assert problem.startswith("1: must be a JSON object: ")

    @pytest.mark.parametrize("torn", [b'{"id": "b", "out', b'{"id": "b', b'{"id": "b"', b'{"id":'])
    def test_line_torn_in_the_middle(self, tmp_path: Path, torn: bytes) -> None:
        """A line that was cut off is named as that, not as what its line break does to a parser."""
        path = write(tmp_path, torn + b'\n{"id": "c", "output": "x"}\n')

        assert problems(path) == ["1: is cut off: the line ends in the middle of a response"]

    @pytest.mark.parametrize("tail", [b'{"id": "b", "out', b'{"id": "b', b'{"id": "b"', b'{"id": "\xc3'])
    def test_torn_last_line(self, tmp_path: Path, tail: bytes) -> None:
        """A last line that was cut off is refused as torn."""
        path = write(tmp_path, {"id": "a", "output": "x"})
        path.write_bytes(path.read_bytes() + tail)
        (problem,) = problems(path)

        assert problem.startswith("2: the last line is torn")
        assert problem.endswith("its writer was cut off")


class TestOpen:
    """The engine over a file."""

    def test_looks_up_id_and_repeat(self, tmp_path: Path) -> None:
        """A request is answered by its recorded response, else by None."""
        path = write(tmp_path, {"id": "a", "output": "x"}, {"id": "a", "repeat": 1, "output": "y"})
        release = ReplayRelease(engine="replay", name="v1", responses=str(path))

        async def outputs() -> list[str | None]:
            async with open_release(release, Arm.BASELINE) as generate:
                answers = [await generate(request) for request in (ask("a", 0), ask("a", 1), ask("b", 0))]
            return [answer.output if answer else None for answer in answers]

        assert asyncio.run(outputs()) == ["x", "y", None]

    def test_refuses_on_opening(self, tmp_path: Path) -> None:
        """A bad file is refused before anything is asked."""
        release = ReplayRelease(engine="replay", name="v1", responses=str(tmp_path / "gone"))

        async def opened() -> None:
            async with open_release(release, Arm.BASELINE):
                pytest.fail("opened")

        with pytest.raises(EvidenceError, match="No such file"):
            asyncio.run(opened())


def ask(id_: str, repeat: int) -> Request:
    """A request of the baseline."""
    return Request(id=id_, arm=Arm.BASELINE, repeat=repeat, messages=None, text="", seed=0)


def test_every_key_of_a_line_is_documented(tmp_path: Path) -> None:
    """The table of docs/engines.md names the keys that a line may have, all of them and no other."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    section = page.partition("\n## Recorded outputs")[2].partition("\n## ")[0]
    keys = {key for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    (problem,) = problems(write(tmp_path, {"id": "a", "output": "x", "zzz": 1}))

    assert keys == set(problem.partition("(valid: ")[2].removesuffix(")").split(", "))

"""Requests that production recorded, read into cases that nobody knows the answer to."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.cli import main
from canary.config import load_pipeline, load_suite
from canary.golden import load_golden_sets
from canary.run.trace import read_trace

Log = Callable[..., Path]
HI = [{"role": "user", "content": "hi"}]


def run(*argv: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    return main(["import", "requests", *argv], out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """A log in the working folder: objects as JSON, text as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def make(*lines: Any, name: str = "log.jsonl") -> Path:
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        Path(name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        return Path(name)

    return make


def cases(name: str = "log") -> list[dict[str, Any]]:
    """The cases written."""
    return [json.loads(line) for line in Path(f"golden_sets/{name}/prompts.jsonl").read_text().splitlines()]


def chat(text: str, **more: Any) -> dict[str, Any]:
    """A request body."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize(
    "line",
    [
        chat("hi"),
        {"request": chat("hi")},
        {"body": chat("hi")},
        {"custom_id": "7", "method": "POST", "url": "/v1/chat/completions", "body": chat("hi")},
        {"request": {"method": "POST", "headers": {"authorization": "Bearer sk-1"}, "body": chat("hi")}},
        {"request": json.dumps(chat("hi")), "status": 200},
    ],
)
def test_a_body_is_found_where_logs_put_it(log: Log, line: dict[str, Any]) -> None:
    """Bare, wrapped, as OpenAI's batches write it, as a proxy does; nothing of the wrapper is kept but the id."""
    status, out, err = run(str(log(line)))

    assert (status, out.split(";")[0]) == (0, "1 cases imported"), err
    (case,) = cases()
    assert case["messages"] == HI
    assert case.keys() == {"id", "messages"}
    assert case["id"] == ("7" if "custom_id" in line else case["id"])
    written = "".join(path.read_text() for path in Path().rglob("*") if path.is_file() and path.name != "log.jsonl")
    assert "sk-1" not in written


@pytest.mark.parametrize(
    "more", [{"stop": 5}, {"stop": {"a": 1}}, {"temperature": 10**400}, {"top_p": -(10**400)}, {"max_tokens": 10**400}]
)
def test_settings_that_are_none_cost_no_request(log: Log, more: dict[str, Any]) -> None:
    """What a client may have sent and no server can have taken is left to the release."""
    status, _, err = run(str(log(chat("hi", model="m", **more))))

    assert (status, len(cases())) == (0, 1), err
    assert load_pipeline(Path("pipelines/log.yaml")).baseline.model_dump()["sampling"]["stop"] == ()


def test_completions_and_tools_are_asked_too(log: Log) -> None:
    """A text is the case's `prompt`; tools stand where engines and assertions look for them."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    run(str(log({"prompt": "Once"}, {"prompt": ["upon"]}, chat("a time", tools=[tool]))))
    first, second, third = cases()

    assert (first["vars"], second["vars"]) == ({"prompt": "Once"}, {"prompt": "upon"})
    assert third["metadata"] == {"tools": [tool]}


def test_what_is_written_is_a_workspace(log: Log) -> None:
    """Golden set, suite and pipeline load as they are; the arms are one release until their owner says otherwise."""
    asked = {"temperature": 0.7, "max_tokens": 50, "stop": "\n"}
    status, out, _ = run(str(log(*(chat(f"q{i}", stratum="a" if i % 3 else "b", **asked) for i in range(30)))))

    assert status == 0
    assert "evals/log.yaml" in out
    assert "pipelines/log.yaml" in out
    assert out.splitlines()[-1] == (
        "next: say what the candidate is in pipelines/log.yaml, then canary plan pipelines/log.yaml --stage shadow"
    )
    suite = load_suite(Path("evals/log.yaml"))
    assert (suite.repeat, suite.assertions[0]["value"]) == (2, "{{baseline}}")
    golden = load_golden_sets([Path(path) for path in suite.golden_sets], suite)
    assert golden.strata == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    assert golden.sources[0].sensitivity == "confidential"
    pipeline = load_pipeline(Path("pipelines/log.yaml"))
    for side in (pipeline.baseline, pipeline.candidate):
        assert side.model_dump(include={"model", "sampling"}) == {
            "model": "m",
            "sampling": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 50, "stop": ("\n",), "seed": None},
        }


def test_repeats_are_asked_once_and_weigh_on(log: Log) -> None:
    """Equal requests are one case that says how often it came; the stratum weighs what production asked."""
    lines = [chat("hi", stratum="chat", user=f"u{i}", temperature=i) for i in range(3)] + [chat("x", stratum="code")]
    status, _, err = run(str(log(*lines)))

    assert status == 0
    assert "2 of 4 requests repeat another, and are asked once with it" in err
    assert [case.get("metadata") for case in cases()] == [{"stratum": "chat", "requests": 3}, {"stratum": "code"}]
    manifest = yaml.safe_load(Path("golden_sets/log/manifest.yaml").read_text())
    assert manifest["strata"] == {"chat": {"weight": 0.75}, "code": {"weight": 0.25}}


def test_settings_that_do_not_travel_are_counted(log: Log) -> None:
    """How many requests were sampled otherwise, and what else of them is not asked."""
    form = {"type": "json_object"}
    lines = [chat("a", max_tokens=9), chat("b", max_tokens=9), chat("c", temperature=0.2), chat("d", top_p=None)]
    status, _, err = run(str(log(*lines, chat("e", max_tokens=9, response_format=form, n=2, logit_bias={}))))

    assert status == 0
    assert "2 of 5 requests were sampled otherwise than the pipeline's releases are" in err
    assert "'response_format' of 1 requests is not asked" in err
    assert "'n' of 1 requests is not asked" in err
    assert "logit_bias" not in err


def test_settings_that_no_release_can_have_are_not_written(log: Log) -> None:
    """The pipeline loads all the same."""
    _, _, err = run(str(log(chat("a", temperature=9, max_tokens=-1))))

    assert "1 of 1 requests were sampled otherwise" in err
    assert load_pipeline(Path("pipelines/log.yaml")).baseline.model_dump()["sampling"]["max_tokens"] == 256


@pytest.mark.parametrize(
    ("chats", "api", "words"), [(0, "completions", ""), (1, "chat", "2 of 3 requests are prompts")]
)
def test_completions_stay_completions_where_all_are(log: Log, chats: int, api: str, words: str) -> None:
    """A release speaks one API, and chat cannot be asked as completions."""
    _, _, err = run(str(log({"prompt": "a", "model": "m"}, {"prompt": "b", "tools": []}, *[chat("c")] * chats)))

    assert load_pipeline(Path("pipelines/log.yaml")).baseline.model_dump()["api"] == api
    assert words in err


def test_nobody_can_flood_the_terminal(log: Log) -> None:
    """A reason for each line is cut, and escapes in them are shown, not sent."""
    kinds = [f"\x1b[31m{number}" for number in range(500)]
    lines = [{"messages": [{"role": "user", "content": [{"type": kind}]}]} for kind in kinds]
    status, _, err = run(str(log(chat("fine"), *lines)))

    assert status == 3
    assert len(err.splitlines()) < 60
    assert "of this kind" in err
    assert "\x1b" not in err


def test_sessions_stand_together_and_are_not_named(log: Log) -> None:
    """Turns of one session are one cluster, under a digest: a session's key may be somebody's password."""
    lines = [chat("a", session="Bearer sk-2"), chat("b", session="Bearer sk-2"), chat("c", session="x", tenant="shop")]
    run(str(log(*lines)))
    first, second, third = (case["metadata"] for case in cases())

    assert first["cluster"] == second["cluster"] != third["cluster"]
    assert third["tenant"] == "shop"
    assert "sk-2" not in Path("golden_sets/log/prompts.jsonl").read_text()


def test_arrivals_are_a_trace(log: Log) -> None:
    """Of every request, asked again or not, in the order of the clock, with tokens where they are known."""
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    lines = [
        chat("b", timestamp="2026-01-01T00:00:02Z", usage={"prompt_tokens": 5, "completion_tokens": 7}),
        chat("a", created=1767225601.5, response={"body": {"usage": {"prompt_tokens": 3}}}),
        {"messages": image, "timestamp": "2026-01-01T00:00:03+00:00", "input_tokens": 9, "output_tokens": True},
    ]
    status, _, _ = run(str(log(*lines)))

    assert status == 3
    rows = [json.loads(line) for line in Path("golden_sets/log/trace.jsonl").read_text().splitlines()]
    assert rows == [
        {"timestamp": 1767225601.5, "input_tokens": 3},
        {"timestamp": 1767225602.0, "input_tokens": 5, "output_tokens": 7},
        {"timestamp": 1767225603.0, "input_tokens": 9},
    ]


def test_a_trace_can_be_replayed(log: Log) -> None:
    """What reads traces takes it, whatever clock the lines were written by."""
    run(str(log(chat("b", created=1767225602), chat("a", timestamp="2026-01-01T00:00:01", input_tokens=4))))

    first, second = read_trace(Path("golden_sets/log/trace.jsonl"), 2)
    assert (first.at, first.input_tokens, second.at, second.input_tokens) == (0.0, 4, 1.0, None)


@pytest.mark.parametrize("when", [None, "yesterday", 1767225601000, -1, True, float("nan"), 10**400])
def test_half_a_trace_is_none(log: Log, when: object) -> None:
    """A line without a time, or with one that is none, is named: with holes it would be less load than there was."""
    status, _, err = run(str(log(chat("a", timestamp=1.0), chat("b", timestamp=when))))

    assert status == 0
    assert "no trace of arrivals is written: 1 lines, line 2 first, have no 'timestamp'" in err
    assert not Path("golden_sets/log/trace.jsonl").exists()


def test_strata_are_named_by_what_a_line_holds(log: Log) -> None:
    """`--strata-by` takes any path; what is no name stands under `other`, and odd characters become dashes."""
    routes = ["search", "a b", "all", None, {"x": 1}]
    lines = [chat(f"{i}", metadata={"route": route}) for i, route in enumerate(routes)]
    status, _, err = run(str(log(*lines)), "--strata-by", "metadata.route")

    assert status == 0
    assert [case["metadata"]["stratum"] for case in cases()] == ["search", "a-b", "other", "other", "other"]
    assert "3 of 5 requests name no stratum, and stand under 'other'" in err


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("metadata.nothing", "'--strata-by' must name what requests hold as text or a whole number"),
        ("id", "'--strata-by' must name a kind of request, of which there are at most 50: 'id' has 60 values"),
    ],
)
def test_a_path_that_names_no_kind_is_an_error(log: Log, by: str, message: str) -> None:
    """Nothing is written for it."""
    status, _, err = run(str(log(*(chat(f"{i}", id=f"r{i}") for i in range(60)))), "--strata-by", by)

    assert (status, Path("golden_sets").exists()) == (2, False)
    assert message in err


def test_a_sample_hears_every_stratum(log: Log) -> None:
    """Ten of a rare one, shares of the others; the same seed draws the same requests, whatever their order."""
    lines = [chat(f"{i}", stratum="rare" if i % 20 == 0 else "often") for i in range(400)]
    log(*lines)
    log(*reversed(lines), name="log2.jsonl")
    assert "60 of 400 distinct requests were drawn" not in run("log.jsonl", "--sample", "60")[2]
    run("log2.jsonl", "--sample", "60")
    drawn, other = cases(), cases("log2")

    assert [case["metadata"]["stratum"] for case in drawn].count("rare") == 10
    assert len(drawn) == 10 + 57
    assert sorted(case["id"] for case in drawn) == sorted(case["id"] for case in other)
    manifest = yaml.safe_load(Path("golden_sets/log/manifest.yaml").read_text())
    assert manifest["strata"]["rare"]["weight"] == pytest.approx(0.05)


@pytest.mark.parametrize("number", ["0", "-3", "x", "1.5"])
def test_a_sample_is_a_whole_number(log: Log, number: str) -> None:
    """Anything else is a usage error."""
    assert run(str(log(chat("a"))), f"--sample={number}")[0] == 2


LEFT_OUT = [
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part that is no text (type 'image_url')"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "no text (type 'input_audio')"),
    ({"messages": [{"role": "user", "content": ["hi"]}]}, "a part that is no text (type null)"),
    ({"messages": [{"role": "function", "content": "1"}]}, "none of chat's today (role 'function')"),
    ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "none of chat's today"),
    ({"messages": ["hi"]}, "none of chat's today"),
    ({"messages": []}, "a list of chat turns as 'messages' (got an empty list)"),
    ({"messages": "hi"}, "a list of chat turns"),
    ({"messages": [{"role": "user", "content": 5}]}, "content"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, ""),
    ({"messages": [{**HI[0], "tool_calls": [float("inf")]}]}, "a number that is not finite"),
    ({"messages": HI, "functions": [{"name": "f"}]}, "'functions', which came before tools"),
    ({"messages": HI, "tools": [{"type": "web_search"}]}, "a tool that is no function (type 'web_search')"),
    ({"messages": HI, "tools": "all"}, "a tool that is no function"),
    ({"prompt": ["a", "b"]}, "a batch, or tokens, or nothing"),
    ({"prompt": [1, 2]}, "a batch, or tokens, or nothing"),
    ({"prompt": " "}, "a batch, or tokens, or nothing"),
    ({"prompt": None}, "a batch, or tokens, or nothing"),
    ({"input": "hi"}, "the Responses API"),
    ({"url": "/v1/embeddings", "body": {"model": "e"}}, "neither 'messages' nor 'prompt'"),
    ({"request": "GET /"}, "neither 'messages' nor 'prompt'"),
    ({"request": {"request": {"request": {"request": {"messages": HI}}}}}, "neither 'messages' nor 'prompt'"),
    ({}, "neither 'messages' nor 'prompt'"),
    (["a"], "must be one JSON object, a request or what holds one (got a list)"),
    (None, "must be one JSON object, a request or what holds one (got null)"),
]


@pytest.mark.parametrize(("line", "message"), LEFT_OUT)
def test_what_cannot_be_asked_again_is_listed(log: Log, line: Any, message: str) -> None:
    """By its line, once for all that share the reason; the others are imported, and the exit status says so."""
    status, out, err = run(str(log(chat("fine"), line, line)))

    assert status == 3, err
    assert out.startswith("1 cases imported")
    (said,) = [text for text in err.splitlines() if "left out" in text]
    assert said.startswith("canary: left out: log.jsonl:2: ")
    assert message in said
    assert said.endswith("(and 1 other lines)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"messages": [{"role": "user", "content": "hi"}]}\n{"messages": [{"ro', "log.jsonl:2: is cut off"),
        ('{"messages": [{"ro\n', "log.jsonl:1: is cut off: the line ends in the middle of a request"),
        ('{"messages": [\r\n', "log.jsonl:1: is cut off: the line ends in the middle of a request"),
        ('{"messages": }\n', "log.jsonl:1: is not valid JSON"),
        ("[" * 100_000 + "\n", "log.jsonl:1: is not valid JSON"),
        ('["a"]\n', "log.jsonl:1: must be one JSON object"),
        ("", "holds no case that can be imported"),
        ("\n\n", "holds no case that can be imported"),
        ('{"input": "x"}\n', "log.jsonl:1: asks the Responses API"),
    ],
)
def test_a_broken_file_writes_nothing(log: Log, content: str, message: str) -> None:
    """The first broken line is named; a torn last one says that the file was cut."""
    log(name="log.jsonl").write_text(content)
    status, _, err = run("log.jsonl")

    assert status == 2
    assert message in err
    assert not Path("golden_sets").exists()


def test_files_that_cannot_be_read_are_named(log: Log) -> None:
    """Missing, a folder, no text."""
    log(name="log.jsonl").write_bytes(b'{"prompt": "\xff"}\n')
    Path("folder.jsonl").mkdir()

    for name, message in (("log.jsonl", "byte 0xff"), ("folder.jsonl", "is a folder"), ("no.jsonl", "does not exist")):
        status, _, err = run(name)
        assert status == 2
        assert message in err


def test_ids_that_are_taken_or_cannot_be_shown_are_replaced(log: Log) -> None:
    """By what is asked, so that the same log gives the same ids; the golden set loads."""
    names = ["a", "a", "\x1b[31m", "x" * 300, 7, None, {"a": 1}]
    run(str(log(*(chat(f"{i}", id=name) for i, name in enumerate(names)))))
    suite = load_suite(Path("evals/log.yaml"))

    assert len(load_golden_sets(["golden_sets/log"], suite).prompts) == len(names)
    assert [case["id"] for case in cases()][::4] == ["a", "7"]
    assert all(case["id"].isprintable() and len(case["id"]) <= 16 for case in cases())


def test_nothing_is_overwritten(log: Log) -> None:
    """A second import of the same name stops before it writes."""
    run(str(log(chat("a"))))
    status, _, err = run(str(log(chat("b"))))

    assert status == 2
    assert "is there already" in err
    assert cases()[0]["messages"][0]["content"] == "a"


def test_a_log_without_a_model_has_no_pipeline(log: Log) -> None:
    """Nobody could say which release that was."""
    _, out, _ = run(str(log({"messages": HI})))

    assert "pipelines" not in out
    assert not Path("pipelines").exists()

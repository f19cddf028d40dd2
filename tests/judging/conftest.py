"""A judge that speaks OpenAI's protocol over real HTTP, and a workspace that asks it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.jsonl import write_jsonl

Say = Callable[[dict[str, Any]], "str | int | bytes"]
"""A request's body in; words out, or an HTTP status, or a body as it is sent."""

Canary = Callable[..., Any]


def verdict(word: str, reason: str = "so") -> str:
    """A verdict as it must be written."""
    return json.dumps({"reason": reason, "verdict": word})


def outside(body: Mapping[str, Any]) -> str:
    """What a judge reads outside of all quotations."""
    system, user = (turn["content"] for turn in body["messages"])
    mark = re.search(r"between the marks (\w+)", system)
    assert mark
    quoted = re.compile(rf"^<(\w+) {mark[1]}>\n.*?\n</\1 {mark[1]}>$", re.DOTALL | re.MULTILINE)
    return f"{system}\n{quoted.sub('[data]', user)}"


def answer_in(body: Mapping[str, Any]) -> str:
    """The answer that is quoted."""
    found = re.search(r"<answer (\w+)>\n(.*)\n</answer \1>", body["messages"][1]["content"], re.DOTALL)
    assert found
    return found[2]


@dataclass
class JudgeServer:
    """Says what `say` says and keeps what it was asked."""

    say: Say
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """One request at a time, as many at once as are sent."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None: ...

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.asked.append(body)
                said = server.say(body)
                status = said if isinstance(said, int) else 200
                sent = said if isinstance(said, bytes) else json.dumps(_document(said)).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        return Handler


def _document(said: str | int) -> dict[str, Any]:
    if isinstance(said, int):
        return {"error": {"message": f"status {said}"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}


class _Http(ThreadingHTTPServer):
    """Has room for all who come at once: a call that finds none is made again after a second or three."""

    daemon_threads = True
    request_queue_size = 128


@pytest.fixture
def judge_server() -> Iterator[Callable[[Say], JudgeServer]]:
    """Start one: `judge_server(lambda body: verdict("yes"))`."""
    running: list[_Http] = []

    def start(say: Say) -> JudgeServer:
        judge = JudgeServer(say)
        http = _Http(("127.0.0.1", 0), judge.handler())
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(http)
        judge.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        return judge

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


@dataclass
class Workspace:
    """A pipeline over recorded outputs of 120 cases in two strata, whose answers a judge reads."""

    folder: Path
    canary: Canary
    url: str

    def write(
        self,
        *,
        asserts: str = '[{type: llm-rubric, value: "is polite", metric: polite}]',
        outputs: Callable[[str, int], str] = lambda _, number: str(number),
        own: Callable[[int], list[dict[str, Any]]] = lambda number: [{"type": "equals", "value": str(number)}],
        policy: str = "version: 1\n",
        judge: str = "",
    ) -> None:
        """Every file of the workspace; the default is two equal releases."""
        cases = [
            {
                "id": f"c{i}",
                "vars": {"prompt": f"say {i}"},
                "metadata": {"stratum": "ab"[i % 2]},
                "assert": own(i),
            }
            for i in range(120)
        ]
        self._lines("golden/prompts.jsonl", cases)
        for arm, name in (("v1", "baseline"), ("v2", "candidate")):
            self._lines(f"{arm}.jsonl", [{"id": f"c{i}", "output": outputs(name, i)} for i in range(120)])
        (self.folder / "policy.yaml").write_text(policy)
        (self.folder / "suite.yaml").write_text(
            f"golden_sets: [golden]\nassert: {asserts}\njudge:\n  release: {{name: strict, engine: openai, model: m, "
            f'base_url: "{self.url}", timeout_s: 60, sampling: {{max_tokens: 100}}, '
            f"price: {{input_per_million: 10, output_per_million: 10}}}}\n{judge}"
        )
        (self.folder / "pipeline.yaml").write_text(
            "suite: suite.yaml\npolicy: policy.yaml\n"
            "baseline: {name: v1, engine: replay, responses: v1.jsonl}\n"
            "candidate: {name: v2, engine: replay, responses: v2.jsonl}\n"
        )

    def _lines(self, name: str, rows: list[dict[str, Any]]) -> None:
        write_jsonl(self.folder / name, rows)

    def run(self, *options: object) -> Any:
        """`canary run` on the pipeline, into `runs/`."""
        return self.canary("run", self.folder / "pipeline.yaml", "--runs", self.folder / "runs", "--json", *options)

    @property
    def newest(self) -> Path:
        """The newest run's folder."""
        return max(path for path in (self.folder / "runs").iterdir() if path.is_dir())

    def last(self, name: str) -> list[dict[str, Any]]:
        """The lines of one file of the newest run."""
        return [json.loads(line) for line in (self.newest / name).read_text().splitlines()]


@pytest.fixture
def workspace(tmp_path: Path, canary: Canary) -> Callable[[str], Workspace]:
    """A workspace whose judge is at a URL: `workspace(server.url)`."""
    return lambda url: Workspace(tmp_path, canary, url)


Start = Callable[[Say], JudgeServer]
Make = Callable[[str], Workspace]

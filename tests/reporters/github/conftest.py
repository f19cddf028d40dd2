"""GitHub's REST API as far as a comment needs it, over real HTTP; and its events."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

SHA = "a" * 40
REPOSITORY = "acme/shop"
BOT = {"login": "github-actions[bot]", "type": "Bot", "id": 41898282}


class GitHub:
    """One pull request, number 7, and what is said on it."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.failures: list[tuple[int, dict[str, str]]] = []
        """Answered first, one request each, in order."""
        self.url = ""
        self.head = SHA
        self.rival = ""
        """What another run of the gate says a moment before our own comment."""

    def say(self, login: str, body: str, kind: str = "User") -> dict[str, Any]:
        """A comment by somebody."""
        user = {"login": login, "type": kind, "id": len(self.comments) + 1, "url": f"{self.url}/users/x"}
        id_ = len(self.comments) + 1
        comment = {"id": id_, "body": body, "user": user, "url": f"{self.url}/repos/{REPOSITORY}/issues/comments/{id_}"}
        self.comments.append(comment)
        return comment

    def by_bot(self) -> list[dict[str, Any]]:
        """What the workflow's own user has said."""
        return [comment for comment in self.comments if comment["user"]["type"] == "Bot"]

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Status, document and headers of one request."""
        self.requests.append(f"{method} {target}")
        if self.failures:
            status, headers = self.failures.pop(0)
            return status, {"message": "no"}, headers
        url = urlsplit(target)
        path = url.path.removeprefix(f"/repos/{REPOSITORY}")
        if path == "/issues/7/comments" and method == "GET":
            return self._page(url.query)
        if path == "/issues/7/comments":
            if self.rival:
                self.say(str(BOT["login"]), self.rival, "Bot")
            return 201, self.say(BOT["login"], body["body"], "Bot"), {}  # type: ignore[arg-type]
        if found := re.fullmatch(r"/issues/comments/(\d+)", path):
            return self._comment(method, int(found[1]), body)
        pull = {"number": 7, "state": "open", "head": {"sha": self.head}, "url": f"{self.url}/repos/x/pulls/7"}
        documents: dict[str, Any] = {
            "/issues/7": {"number": 7, "url": f"{self.url}/repos/{REPOSITORY}/issues/7"},
            "/pulls/7": pull,
            "/pulls": [pull] if "contributor%3Apatch" in url.query else [],
        }
        if path in documents:
            return 200, documents[path], {}
        return (403 if path == "/user" else 404), {"message": "Resource not accessible by integration"}, {}

    def _page(self, query: str) -> tuple[int, Any, dict[str, str]]:
        asked = {key: int(values[0]) for key, values in parse_qs(query).items() if values[0].isdigit()}
        size, page = asked.get("per_page", 30), asked.get("page", 1)
        more = page * size < len(self.comments)
        link = f"<{self.url}/repos/{REPOSITORY}/issues/7/comments?per_page={size}&page={page + 1}>"
        return 200, self.comments[(page - 1) * size : page * size], {"Link": f'{link}; rel="next"'} if more else {}

    def _comment(self, method: str, id_: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        comment = next(comment for comment in self.comments if comment["id"] == id_)
        if method == "DELETE":
            self.comments.remove(comment)
            return 204, None, {}
        comment["body"] = body["body"]
        return 200, comment, {}


@pytest.fixture
def github() -> Iterator[GitHub]:
    """The API on a free port of this machine."""
    service = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, document, headers = service.answer(self.command, self.path, json.loads(data) if data else {})
            answer = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - the names http.server asks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield service
    server.shutdown()
    thread.join()
    server.server_close()


def pull(source: str) -> dict[str, Any]:
    """A pull_request payload."""
    head = {"sha": SHA, "ref": "patch", "repo": {"full_name": source}}
    base = {"sha": "b" * 40, "repo": {"full_name": REPOSITORY}}
    return {"action": "synchronize", "number": 7, "pull_request": {"number": 7, "head": head, "base": base}}


EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "push": ("push", {"ref": "refs/heads/main", "before": "0" * 40, "after": SHA}),
    "pull_request": ("pull_request", pull(REPOSITORY)),
    "fork": ("pull_request", pull("contributor/shop")),
    "workflow_dispatch": ("workflow_dispatch", {"ref": "refs/heads/main", "inputs": None}),
    "merge_group": ("merge_group", {"merge_group": {"head_sha": SHA, "base_sha": "b" * 40}}),
    "workflow_run": (
        "workflow_run",
        {
            "workflow_run": {
                "id": 1,
                "head_sha": SHA,
                "head_branch": "patch",
                "pull_requests": [],
                "head_repository": {"full_name": "contributor/shop", "owner": {"login": "contributor"}},
            }
        },
    ),
}
"""Name and payload, after the shapes GitHub documents."""

Environment = Callable[..., dict[str, str]]


@pytest.fixture
def environment(tmp_path: Path, github: GitHub) -> Environment:
    """The variables a runner sets for an event."""

    def make(event: str, run_id: int = 100) -> dict[str, str]:
        name, payload = EVENTS[event]
        for file in ("event.json", "summary.md", "output"):
            (tmp_path / file).touch()
        (tmp_path / "event.json").write_text(json.dumps(payload))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": github.url,
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_SHA": SHA,
            "GITHUB_RUN_ID": str(run_id),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
        }

    return make

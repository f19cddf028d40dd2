"""What is told in confidence stands in no file, message or field of MLflow."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from canary.tracking import redact, without_credentials
from tests.tracking.conftest import Desk, Server

PLANTED = {
    "PROVIDER_KEY": "sk-planted-api-key-111",
    "GATEWAY_TOKEN": "planted-header-token-222",
    "MLFLOW_TRACKING_PASSWORD": "planted-password-444",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret-555",
}


class _Model(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that answers, and quotes the caller's key in its errors."""

    def do_POST(self) -> None:
        """One chat completion; every fifth call is refused in words that repeat the key."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        if asked.endswith("3?"):
            self._send(500, {"error": {"message": f"key {self.headers['Authorization']} {self.headers['X-Token']}"}})
            return
        words = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        if body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            chunk = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
            self.wfile.write(f"data: {json.dumps(words | chunk)}\n\ndata: [DONE]\n\n".encode())
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        self._send(200, words | {"choices": [choice]})

    def _send(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_no_secret_is_written(
    server: Server,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A live run and its publication, with secrets in the environment, headers and addresses: grep finds none."""
    for name, secret in PLANTED.items():
        monkeypatch.setenv(name, secret)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Model) as model:
        threading.Thread(target=model.serve_forever, daemon=True).start()
        release = {
            "engine": "openai",
            "model": "m",
            "base_url": f"http://127.0.0.1:{model.server_port}/v1",
            "api_key": "${PROVIDER_KEY}",
            "headers": {"X-Token": "${GATEWAY_TOKEN}"},
            "prompt": [{"role": "user", "content": "{{q}}"}],
        }
        # the address with the user and password in it comes from the environment, as for a server behind a proxy
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url.replace("http://", "http://ann:planted-url-password-666@"))
        desk.write("g.jsonl", [{"id": f"c{i}", "vars": {"q": f"{i}?"}, "expected": "x"} for i in range(12)])
        (desk.folder / "s.yaml").write_text("golden_sets: [g.jsonl]\n")
        pipeline = {
            "suite": "s.yaml",
            "baseline": release | {"name": "v1"},
            "candidate": release | {"name": "v2"},
            "reporters": ["terminal", "json", "markdown", "mlflow"],
            "mlflow": {"experiment": "secrets"},
        }
        (desk.folder / "p.yaml").write_text(json.dumps(pipeline))
        ran = desk.canary("run", desk.folder / "p.yaml", "--runs", desk.folder / "runs", "--fail-on", "never")
        assert ran.status == 0, ran.err
        model.shutdown()
    (run,) = (desk.folder / "runs").iterdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:planted-url-password-666@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    failed = desk.canary("log", run)

    secrets = [*PLANTED.values(), "planted-url-password-666"]
    written = contents(desk.folder) | contents(Path(server.store.removeprefix("sqlite:///")).parent)
    printed = capfd.readouterr()
    said = f"{ran.out}{ran.err}{failed.out}{failed.err}{printed.out}{printed.err}{caplog.text}"
    assert len(server.traces("secrets")) == 24
    assert any(b"c0:0:baseline" in data for path, data in written.items() if path.suffix == ".db")
    assert [(path, secret) for path, data in written.items() for secret in secrets if secret.encode() in data] == []
    assert [secret for secret in secrets if secret in said] == []
    assert (failed.status, "http://127.0.0.1:9" in failed.err) == (4, True)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder; what a server removes as it is read, like SQLite's journal, is none."""
    found = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[path] = path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql://ann:secret@host/db?password=secret", "postgresql://host/db"),
        ("https://host/x?token=secret", "https://host/x"),
        ("sqlite:////tmp/m.db", "sqlite:////tmp/m.db"),
        ("http://[::secret", "(an address that is none)"),
    ],
)
def test_addresses_are_shown_without_credentials(uri: str, shown: str) -> None:
    """What is shown of an address holds no user, password or query."""
    assert without_credentials(uri) == shown
    assert "secret" not in redact(f"could not reach {uri}", uri, {})


def test_secrets_of_the_environment_are_redacted() -> None:
    """A message that quotes them loses them, encoded or not."""
    told = redact("pw p%40ss or p@ss, tok-1234", "http://u:p%40ss@h", {"MY_TOKEN": "tok-1234"})

    assert told == "pw *** or ***, ***"

"""Speaks as a vLLM server does: health, completions, and a real server's metrics with its own counts."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

METRICS = (Path(__file__).parent / "metrics.txt").read_text()
COUNTED = 'vllm:generation_tokens_total{engine="0",model_name="m"} '


class Handler(BaseHTTPRequestHandler):
    """Answers every prompt with one token."""

    tokens = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Health, or metrics."""
        said = METRICS.replace(f"{COUNTED}4.0", f"{COUNTED}{float(self.tokens)}") if self.path == "/metrics" else ""
        self._send(said.encode(), "text/plain")

    def do_POST(self) -> None:
        """A completion, streamed."""
        self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            type(self).tokens += 1
        documents = (
            {"choices": [{"index": 0, "text": "yes", "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        )
        lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
        self._send("".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()

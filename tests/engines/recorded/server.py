"""Speaks as a vLLM server does: health, completions for who has its key, and a real server's metrics with its counts.

A prompt that says "poison" ends it, one that says "stun" kills its engine only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

METRICS = (Path(__file__).parent / "metrics.txt").read_text()
COUNTED = 'vllm:generation_tokens_total{engine="0",model_name="m"} '


class Handler(BaseHTTPRequestHandler):
    """Answers every prompt with one token."""

    tokens = 0
    is_dead = False
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Health, metrics, or whether the key fits."""
        if not self._is_let_in():
            return
        said = METRICS.replace(f"{COUNTED}4.0", f"{COUNTED}{float(self.tokens)}") if self.path == "/metrics" else ""
        self._send(said.encode(), "text/plain", 503 if self.is_dead else 200)

    def do_POST(self) -> None:
        """A completion, streamed."""
        asked = self.rfile.read(int(self.headers["content-length"]))
        if not self._is_let_in():
            return
        if b"poison" in asked:
            print("RuntimeError: it was poisoned", file=sys.stderr, flush=True)
            os._exit(3)
        type(self).is_dead = self.is_dead or b"stun" in asked
        if self.is_dead:
            self._send(b'{"error": {"message": "EngineCore died"}}', "application/json", 500)
            return
        with self.lock:
            type(self).tokens += 1
        documents = (
            {"choices": [{"index": 0, "text": "yes", "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        )
        lines = [f"data: {json.dumps(document)}\n\n" for document in documents]
        self._send("".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")

    def _is_let_in(self) -> bool:
        """As vLLM has it: all may ask how it is."""
        fits = self.headers["authorization"] == f"Bearer {os.environ.get('VLLM_API_KEY')}"
        if fits or not self.path.startswith("/v1"):
            return True
        self._send(b'{"error": "Unauthorized"}', "application/json", 401)
        return False

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()

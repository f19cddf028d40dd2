"""promptfoo's prompts and providers as the two releases of a pipeline, where that can be said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from canary.importers.promptfoo_assertion import Note

_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_tokens", "stop": "stop", "seed": "seed"}


def pipeline_of(document: Mapping[str, Any], folder: Path, note: Note) -> dict[str, Any] | None:
    """Baseline the first prompt and provider, candidate the second of what there are two of."""
    key = "providers" if "providers" in document else "targets"
    prompts = [
        _prompt(written, ("prompts", i), folder, note) for i, written in enumerate(_list(document.get("prompts")))
    ]
    models = [model_of(written, (key, i), note) for i, written in enumerate(_list(document.get(key)))]
    pairs = [(prompt, model) for prompt in prompts for model in models if prompt is not None and model is not None]
    if not pairs:
        return None
    if len(pairs) > 2:
        note((key,), f"{len(pairs)} pairs of prompt and provider: the pipeline compares the first two")
    releases = [{**model, "prompt": prompt} for prompt, model in (pairs * 2)[:2]]
    return {arm: {"name": arm, **each} for arm, each in zip(("baseline", "candidate"), releases, strict=True)}


def _list(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [] if written is None else [written]


def _prompt(written: Any, place: tuple[str | int, ...], folder: Path, note: Note) -> Any:
    text = written.get("raw", written.get("id")) if isinstance(written, Mapping) else written
    if not isinstance(text, str):
        note(place, "a prompt that is no text")
        return None
    if text.startswith("file://"):
        path = folder / text.removeprefix("file://")
        if path.suffix not in {".txt", ".md", ".json"} or not path.is_file():
            note(place, f"a prompt that is no text file: {text}")
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            note(place, f"a prompt that cannot be read as UTF-8 text: {path}")
            return None
    try:
        turns = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return turns if isinstance(turns, list) and turns else text


def model_of(written: Any, place: tuple[str | int, ...], note: Note) -> dict[str, Any] | None:
    """A provider as a release without name and prompt; None, and a note, where it has no counterpart."""
    name = written.get("id") if isinstance(written, Mapping) else written
    config = (written.get("config") or {}) if isinstance(written, Mapping) else {}
    if not isinstance(config, dict):
        note(place, f"provider {name!r}: 'config' is no mapping")
        return None
    parts = str(name).split(":")
    if parts[0] != "openai" or len(parts) < 2 or parts[1] in {"embedding", "image", "assistant", "realtime"}:
        note(place, f"provider {name!r}: only openai:<model> has a counterpart; write the release by hand")
        return None
    sampling = {ours: config[theirs] for theirs, ours in _SAMPLING.items() if theirs in config}
    for key in sorted(config.keys() - _SAMPLING.keys() - {"apiBaseUrl"}):
        note(place, f"provider {name!r}: 'config.{key}' is left out")
    found: dict[str, Any] = {"engine": "openai", "model": parts[-1], "api_key": "${OPENAI_API_KEY}"}
    if "apiBaseUrl" in config:
        found["base_url"] = config["apiBaseUrl"]
    return found | ({"sampling": sampling} if sampling else {})

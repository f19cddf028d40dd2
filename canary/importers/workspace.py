"""A suite and a golden set, written where `canary run` finds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from canary.document import display
from canary.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was understood, and a sentence `file:line: ...` for everything that was not."""

    name: str
    source: str
    cases: Sequence[Mapping[str, Any]]
    assertions: Sequence[Mapping[str, Any]] = ()
    """For every case."""
    judge: Mapping[str, Any] | None = None
    """Who answers the judged assertions."""
    pipeline: Mapping[str, Any] | None = None
    repeat: int = 1
    strata: Mapping[str, int] = field(default_factory=dict)
    """How many requests of each kind there were."""
    sensitivity: str = ""
    trace: Sequence[Mapping[str, Any]] = ()
    """When requests came, for `load: {shape: trace}`."""
    left_out: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What its reader should know, though nothing is lost."""


def write(imported: Imported, out: Path) -> list[Path]:
    """Write the files and name them; ConfigError where one is there already, and then nothing is written."""
    if not imported.cases:
        raise ConfigError([*imported.left_out, f"{imported.source}: holds no case that can be imported"])
    texts = {out / path: text for path, text in _texts(imported).items()}
    there = [path for path in texts if path.exists()]
    if there:
        raise ConfigError(
            [f"{display(path)}: is there already; move it, or import with another --out" for path in there]
        )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{display(out)}: cannot be written ({error.strerror or error})") from None
    return sorted(texts)


def _texts(imported: Imported) -> dict[str, str]:
    name = imported.name
    prompts = _jsonl(imported.cases)
    total = sum(imported.strata.values())
    weights = {stratum: max(round(count / total, 6), 1e-6) for stratum, count in sorted(imported.strata.items())}
    manifest: dict[str, Any] = {
        "name": name,
        "sha256": hashlib.sha256(prompts.encode()).hexdigest(),
        "source": f"imported from {imported.source}",
        "sensitivity": imported.sensitivity,
        "strata": {stratum: {"weight": weight} for stratum, weight in weights.items()},
    }
    suite = {
        "golden_sets": [f"../golden_sets/{name}"],
        "assert": [dict(spec) for spec in imported.assertions],
        "repeat": imported.repeat if imported.repeat > 1 else None,
        "judge": imported.judge,
    }
    texts = {
        f"golden_sets/{name}/prompts.jsonl": prompts,
        f"golden_sets/{name}/manifest.yaml": _yaml({key: value for key, value in manifest.items() if value}),
        f"evals/{name}.yaml": _yaml({key: value for key, value in suite.items() if value}),
    }
    if imported.trace:
        texts[f"golden_sets/{name}/trace.jsonl"] = _jsonl(imported.trace)
    if imported.pipeline is not None:
        texts[f"pipelines/{name}.yaml"] = _yaml({"suite": f"../evals/{name}.yaml", **imported.pipeline})
    return texts


def _jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _yaml(document: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
    return text

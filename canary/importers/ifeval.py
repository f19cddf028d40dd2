"""IFEval's prompts with their instructions: `key`, `prompt`, `instruction_id_list`, `kwargs` a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from canary.assertions import parse
from canary.document import display, unreadable
from canary.errors import ConfigError, UsageError
from canary.importers.workspace import Imported


def read_ifeval(path: Path) -> Imported:
    """Every prompt as a case, its stratum the group of its first instruction; ConfigError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = unreadable(error) if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{display(path)}: {said}") from None
    left_out: list[str] = []
    cases = [
        case
        for number, line in enumerate(lines, 1)
        if line.strip() and (case := _case(line, f"{display(path)}:{number}", left_out))
    ]
    return Imported(name=path.stem, source=path.name, cases=cases, left_out=left_out)


def _case(line: str, where: str, left_out: list[str]) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        prompt, ids, kwargs = row["prompt"], row["instruction_id_list"], row["kwargs"]
        specs = list(_specs(ids, kwargs, where, left_out)) if len(ids) == len(kwargs) else []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        left_out.append(f"{where}: is no IFEval prompt ({type(error).__name__}: {error})")
        return None
    if not specs:
        left_out.append(f"{where}: no instruction of it is left to check")
        return None
    stratum = specs[0]["type"].split(":")[1]
    key = str(row.get("key", where.rpartition(":")[2]))
    return {"id": key, "vars": {"prompt": prompt}, "metadata": {"stratum": stratum}, "assert": specs}


def _specs(ids: Any, kwargs: Any, where: str, left_out: list[str]) -> Iterator[dict[str, Any]]:
    for instruction, arguments in zip(ids, kwargs, strict=True):
        spec = _spec(instruction, arguments)
        try:
            parse(spec, where="assert")
        except UsageError as error:
            left_out.append(f"{where}: instruction {instruction!r}: {error.problems[0][:160]}")
        else:
            yield spec


def _spec(instruction: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Without the language that some copies put before the name, and arguments that are null."""
    kind = instruction.removeprefix("en:")
    return {"type": f"ifeval:{kind}", **{key: value for key, value in arguments.items() if value is not None}}

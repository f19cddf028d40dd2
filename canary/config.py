"""Policy, suite and pipeline files, read with every mistake reported at once; and their JSON schemas.

What a file names is relative to that file. `${ENV}` is expanded in secrets
and nowhere else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import GenerateJsonSchema

from canary.agreement import JudgeCalibration, JudgeFile
from canary.assertions import load_plugins, parse
from canary.assertions.anchor import anchored
from canary.calibration import Calibration
from canary.case import Case, Manifest
from canary.digest import digest_of
from canary.document import MOST_BYTES, Document, M, display, read, unreadable, unusable
from canary.errors import ConfigError, UsageError
from canary.labelled import LabelRow
from canary.located import Flaw
from canary.located import parse as parse_yaml
from canary.pipeline import Pipeline, Suite
from canary.policy import Policy
from canary.source import ADDRESSES, is_address, is_hub_id, is_known_address

Measured = TypeVar("Measured", bound=BaseModel)

SCHEMAS: dict[str, type[BaseModel]] = {
    "policy": Policy,
    "suite": Suite,
    "pipeline": Pipeline,
    "case": Case,
    "manifest": Manifest,
    "noise": Calibration,
    "judge": JudgeFile,
    "label": LabelRow,
}
"""Everything a user writes, and what is kept beside it, by the name of its schema."""

_USE_DEFAULTS = "; delete the option to use the defaults"


def load_policy(path: Path | str) -> Policy:
    """The policy in a file; ConfigError when it is missing, empty or wrong."""
    try:
        data = _bytes(Path(path))
    except ValueError as error:
        raise ConfigError(f"{display(path)}: {error}{_USE_DEFAULTS}") from None
    document = read(data, Policy, display(path))
    if document.is_empty:
        raise ConfigError(f"{display(path)}: is empty{_USE_DEFAULTS}")
    return _sound(document)


def load_suite(path: Path | str) -> Suite:
    """The suite in a file, its assertions and plugins included."""
    document = _document(path, Suite)
    return _sound(document, _assertion_flaws(document, Path(path).resolve().parent))


def load_pipeline(path: Path | str) -> Pipeline:
    """The pipeline in a file; the suite and policy it names exist and hold text."""
    return _sound(_document(path, Pipeline))


def load_calibration(path: Path | str) -> Calibration:
    """The noise that `canary calibrate noise` wrote to a file; ConfigError where it is not whole."""
    return _measured(Path(path), Calibration, "noise")


def load_judges(path: Path | str) -> JudgeFile:
    """What `canary calibrate judge` wrote to a file; ConfigError where it is not whole, or was edited."""
    judges = _measured(Path(path), JudgeFile, "judge")
    if digest_of_judges(judges.judges) != judges.sha256:
        edited = "was edited after it was measured: its 'sha256' is another"
        raise ConfigError(f"{display(path)} {edited}; measure it again: canary calibrate judge")
    return judges


def _measured(path: Path, model: type[Measured], what: str) -> Measured:
    """A file that `canary calibrate WHAT` wrote."""
    remedy = f"measure it again: canary calibrate {what}"
    try:
        document = read(_bytes(path), model, display(path))
    except ValueError as error:
        raise ConfigError(f"{display(path)}: {error}; {remedy}") from None
    problems: Sequence[str] = document.problems()
    if document.value is None or problems:
        raise ConfigError([*problems, f"{display(path)} is no calibration of {what}; {remedy}"])
    return document.value


def digest_of_judges(judges: Iterable[JudgeCalibration]) -> str:
    """What a file of calibrations carries to show that nobody edited them."""
    return digest_of([judge.model_dump(mode="json") for judge in judges])


def names_suite(path: Path | str) -> bool:
    """Whether a file is a pipeline, which names a suite, rather than a suite; raises ConfigError."""
    try:
        located = parse_yaml(_bytes(Path(path)).decode("utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{display(path)}: {error}") from None
    return isinstance(located.value, dict) and "suite" in located.value


def _document(path: Path | str, model: type[M]) -> Document[M]:
    try:
        data = _bytes(Path(path))
    except ValueError as error:
        raise ConfigError(f"{display(path)}: {error}") from None
    return read(data, model, display(path), _context(Path(path).resolve().parent))


def _sound(document: Document[M], more: Iterable[Flaw] = ()) -> M:
    found = document.problems(more)
    if document.value is None or found:
        raise ConfigError(found)
    return document.value


def _context(folder: Path) -> dict[str, Callable[[Any], Any]]:
    """How paths and assertions are completed in a file of this folder."""
    return {
        "suite": partial(_text_file, folder),
        "assertion": lambda spec: anchored(spec, folder),
        "policy": partial(_text_file, folder, remedy=_USE_DEFAULTS),
        "golden_set": partial(_existing, folder),
        "responses": partial(_existing, folder),
        "trace": partial(_existing, folder),
        "calibration": lambda written: str(_resolved(folder, written)),
        "model": partial(_model, folder),
        "template": partial(_template, folder),
        "secret": _secret,
    }


def _bytes(path: Path) -> bytes:
    """A file's bytes, one too many where it is too large to be read at all."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(unreadable(error)) from None
    reason = unusable(data)
    if reason:
        raise ValueError(reason)
    return data


def _resolved(folder: Path, written: str) -> Path:
    return (folder / (Path(written).expanduser() if written.startswith("~/") else written)).resolve()


def _text_file(folder: Path, written: str, remedy: str = "") -> str:
    path = _resolved(folder, written)
    _require_lasting(path)
    try:
        _bytes(path)
    except ValueError as error:
        raise ValueError(f"names {display(path)}, which {error}{remedy}") from None
    return str(path)


def _existing(folder: Path, written: str) -> str:
    path = _resolved(folder, written)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long
        raise ValueError(f"names {display(path)}, which does not exist")
    _require_lasting(path)
    return str(path)


def _require_lasting(path: Path) -> None:
    """A pipe never begins, or is empty when it is read again; a device never ends."""
    if os.path.exists(path) and not (path.is_file() or path.is_dir()):  # noqa: PTH110 - Path.exists may raise
        raise ValueError(f"names {display(path)}, which is no file: it must read the same each time")


def _model(folder: Path, written: str) -> str:
    """A folder where there is one; else a hub's id or an address in MLflow, where it can be one."""
    if is_address(written):
        if not is_known_address(written):
            raise ValueError(f"must be one of {ADDRESSES} to be in MLflow (got {written!r})")
        return written
    path = _resolved(folder, written)
    if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a name is too long
        return str(path)
    if written.startswith(("./", "../", "/", "~/")):
        raise ValueError(f"names {display(path)}, which does not exist")
    if not is_hub_id(written):
        raise ValueError(f"names {display(path)}, which does not exist, and is no hub's id like org/name")
    return written


def _template(folder: Path, written: str) -> str:
    """The text of `file://…` without its last line break; other text as it is."""
    if not written.startswith("file://"):
        return written
    path = _resolved(folder, written.removeprefix("file://"))
    _require_lasting(path)
    try:
        text = _bytes(path).decode("utf-8-sig")
    except ValueError as error:
        raise ValueError(f"names {display(path)}, which {error}") from None
    return re.sub(r"\r?\n\Z", "", text)


def _secret(written: SecretStr) -> SecretStr:
    return SecretStr(re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", _variable, written.get_secret_value()))


def _variable(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if not value:
        raise ValueError(
            f"needs the environment variable {match[1]}, which is {'not set' if value is None else 'empty'}"
        )
    return value


def _assertion_flaws(document: Document[Suite], folder: Path) -> list[Flaw]:
    """What is wrong with the assertions and plugins, whatever else is wrong."""
    raw: Mapping[str, Any] = document.raw if isinstance(document.raw, dict) else {}
    modules, specs = raw.get("plugins"), raw.get("assert")
    names = [name for name in modules if isinstance(name, str)] if isinstance(modules, list) else []
    try:
        plugins = load_plugins(names)
    except UsageError as error:
        return [document.at("plugins", f"'plugins': {problem}") for problem in error.problems]
    found = []
    for index, spec in enumerate(specs if isinstance(specs, list) else []):
        try:
            if isinstance(spec, dict):  # where it is none, the model has said so
                parse(anchored(spec, folder), plugins, f"assert[{index}]")
        except UsageError as error:
            found += [document.at(f"assert[{index}]", problem) for problem in error.problems]
    return found


class _Untitled(GenerateJsonSchema):
    """Without a title for every field, which only repeats its key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def json_schemas() -> dict[str, dict[str, Any]]:
    """One JSON schema (2020-12) per kind of file, for editors and other programs."""
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return {
        name: dialect | model.model_json_schema(by_alias=True, schema_generator=_Untitled)
        for name, model in SCHEMAS.items()
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write `<name>.json` for each of them; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {folder / f"{name}.json": schema for name, schema in json_schemas().items()}
    for path, schema in written.items():
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return list(written)

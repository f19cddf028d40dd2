"""The workspace that ships, and the schemas that editors check it by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from canary.config import SCHEMAS, json_schemas, load_pipeline, load_policy, load_suite, write_schemas
from canary.located import parse
from canary.pipeline import RayRunner, ReporterName, Suite
from canary.policy import Policy
from canary.release import TransformersRelease
from canary.reporters import PUBLISHERS, REPORTERS
from canary.scaffold import workspace

SHIPPED = sorted(
    file for folder in ("evals", "golden_sets", "pipelines") for file in (workspace() / folder).rglob("*.yaml")
)


def test_the_committed_schemas_are_the_generated_ones(tmp_path: Path) -> None:
    """Editors see what the program accepts."""
    committed = workspace() / "evals/schemas"
    assert {path.name for path in write_schemas(tmp_path)} == {f"{name}.json" for name in SCHEMAS}
    for name in SCHEMAS:
        assert (tmp_path / f"{name}.json").read_bytes() == (committed / f"{name}.json").read_bytes(), (
            f"evals/schemas/{name}.json is not what its model says: run `make schemas` and commit what it writes"
        )


def test_a_pipeline_may_name_every_reporter() -> None:
    """What a pipeline file accepts is what the tables of reporters and publishers hold."""
    assert set(get_args(ReporterName)) == REPORTERS.keys() | PUBLISHERS.keys()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one(name: str) -> None:
    """They are valid JSON schemas of the dialect they name."""
    schema = json_schemas()[name]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(workspace())))
def test_every_shipped_file_fits_the_schema_it_names(path: Path) -> None:
    """By our reader and by an ordinary YAML 1.1 reader alike."""
    modeline = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert modeline or path.name == "manifest.yaml", "its first line names its schema"
    file = path.parent / modeline[1] if modeline else workspace() / "evals/schemas/manifest.json"
    validator = jsonschema.Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))
    ours = parse(path.read_text(encoding="utf-8")).value
    validator.validate(ours)
    assert ours == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("pipeline", {"suite": "s", "baseline": {}, "candidate": {}}),
        ("policy", {"qualty": {}}),
        ("policy", {"quality": {"max_drop": 0}}),
        ("suite", {"golden_sets": ["g"], "cluster": "doc"}),
        ("case", {"id": ""}),
        ("manifest", {"sha256": "abc"}),
    ],
)
def test_schemas_refuse_what_the_program_refuses(name: str, document: dict[str, Any]) -> None:
    """A typo is underlined while it is typed."""
    assert not jsonschema.Draft202012Validator(json_schemas()[name]).is_valid(document)


def test_the_shipped_policy_spells_out_the_defaults() -> None:
    """Reading it changes nothing, and every default that is not null stands in it."""
    path = workspace() / "evals/policy.yaml"
    assert load_policy(path) == Policy()
    assert load_policy(path).required() == ()
    uncommented = re.sub(r"^( *)#(?! |$)", r"\1", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert parse(uncommented).value == without_nulls(Policy().model_dump(mode="json", by_alias=True))


def without_nulls(value: Any) -> Any:
    """Mappings without the keys that hold nothing."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(item) for key, item in value.items() if item is not None}


@pytest.mark.parametrize("name", ["quickstart", "recorded"])
def test_the_shipped_suites_load(name: str) -> None:
    """They name a golden set that is there."""
    assert isinstance(load_suite(workspace() / f"evals/{name}.yaml"), Suite)


@pytest.mark.parametrize("name", ["good", "bad"])
def test_the_shipped_quickstart_runs_two_checkpoints_on_ray(name: str) -> None:
    """Releases differ in their model alone, under a policy that requires latency."""
    loaded = load_pipeline(workspace() / f"pipelines/quickstart-{name}.yaml")
    assert isinstance(loaded.candidate, TransformersRelease)
    assert loaded.baseline == loaded.candidate.model_copy(
        update={"name": loaded.baseline.name, "model": getattr(loaded.baseline, "model", "")}
    )
    assert loaded.runner == RayRunner(type="ray")
    assert load_policy(str(loaded.policy)).required() == ("latency/ttft", "latency/itl")

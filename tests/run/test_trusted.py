"""Pull requests that touch their own gate, in real git repositories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canary.run.gate_files import differences, gate_files

ROOT = Path(__file__).resolve().parents[2]

SUITE = """\
golden_sets: [../golden]
assert: [{type: equals, value: "{{expected}}", metric: exact}]
"""
POLICY = "version: 1\nquality: {max_drop: 0.03, stratum: {max_drop: 0.10}}\n"
PIPELINE = """\
suite: ../evals/suite.yaml
policy: ../evals/policy.yaml
baseline: {name: v1, engine: replay, responses: ../recorded/v1.jsonl}
candidate: {name: v2, engine: replay, responses: ../recorded/v1.jsonl}
runner: local
"""
CASES = 100
BAD = 40
"""Cases the pull request's candidate loses: 40 of 100, beyond every margin."""


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody, whoever the machine belongs to."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(path: Path, text: str) -> None:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def lines(rows: list[dict[str, Any]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def golden(ids: range) -> str:
    """Cases that are answered by their own number."""
    return lines([{"id": f"c{i}", "vars": {"q": f"{i}?"}, "expected": str(i)} for i in ids])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A base commit whose candidate is its baseline, and a pull request that loses 40 of 100 cases."""
    root = tmp_path / "repo"
    write(root / "evals/suite.yaml", SUITE)
    write(root / "evals/policy.yaml", POLICY)
    write(root / "golden/prompts.jsonl", golden(range(CASES)))
    write(root / "recorded/v1.jsonl", lines([{"id": f"c{i}", "output": str(i)} for i in range(CASES)]))
    write(root / "pipelines/p.yaml", PIPELINE)
    write(root / ".github/workflows/gate.yml", "on: pull_request\n")
    git(root.parent, "init", "-q", "-b", "main", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "base")
    worse = [{"id": f"c{i}", "output": "?" if i < BAD else str(i)} for i in range(CASES)]
    write(root / "recorded/v2.jsonl", lines(worse))
    write(root / "pipelines/p.yaml", PIPELINE.replace(_V1, _V2))
    return root


_V1 = "responses: ../recorded/v1.jsonl}\nrunner"
_V2 = "responses: ../recorded/v2.jsonl}\nrunner"

Gate = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def gate(repository: Path) -> Gate:
    """Run the gate as a process in the repository: exit status, verdict document, stderr."""

    def run(*options: str, pipeline: str = "pipelines/p.yaml") -> tuple[int, dict[str, Any], str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        done = subprocess.run(
            [sys.executable, "-m", "canary", "run", pipeline, "--json", *options],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
            env=environment | {"PYTHONPATH": str(ROOT)},
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    return run


def plugin(verdict: str) -> str:
    """A plugin whose one assertion answers the same whatever it is shown."""
    return (
        "from canary.protocols import Grade\n"
        "from canary.records import Scale\n"
        "from dataclasses import dataclass\n\n"
        "@dataclass(frozen=True)\n"
        "class Nice:\n"
        "    metric: str = 'exact'\n"
        "    scale = Scale.PASS_FAIL\n"
        "    def __call__(self, pairs, tools):\n"
        f"        return [Grade(value={verdict}, passed=bool({verdict}), reason='') for p, r in pairs]\n\n"
        "ASSERTIONS = {'nice': Nice}\n"
    )


LOOSENED = POLICY.replace("0.03", "0.9").replace("0.10", "0.9")
EASY = SUITE.replace('type: equals, value: "{{expected}}"', "type: regex, value: .")
PLUGGED = SUITE.replace('type: equals, value: "{{expected}}"', "type: nice") + "plugins: [acme]\n"

TAMPERED: dict[str, tuple[dict[str, str], list[str]]] = {
    "policy": ({"evals/policy.yaml": LOOSENED}, ["evals/policy.yaml (changed)"]),
    "golden": ({"golden/prompts.jsonl": golden(range(BAD, CASES))}, ["golden/prompts.jsonl (changed)"]),
    "rubric": ({"evals/suite.yaml": EASY}, ["evals/suite.yaml (changed)"]),
    "plugin": (
        {"evals/suite.yaml": PLUGGED, "acme.py": plugin("1.0")},
        ["acme.py (added)", "evals/suite.yaml (changed)"],
    ),
    "workflow": ({".github/workflows/gate.yml": "on: push\n"}, [".github/workflows/gate.yml (changed)"]),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_pull_request_cannot_loosen_its_gate(kind: str, repository: Path, gate: Gate) -> None:
    """Policy, cases, rubric, plugins and workflow are the base's, and every edit is named."""
    files, named = TAMPERED[kind]
    for name, text in files.items():
        write(repository / name, text)
    if kind == "golden":  # else the answers to cases that are gone would be strays by the pull request's own rules
        write(repository / "recorded/v1.jsonl", lines([{"id": f"c{i}", "output": str(i)} for i in range(BAD, CASES)]))
    status, verdict, _ = gate("--base-ref", "HEAD")

    assert (status, verdict["verdict"]) == (1, "rollback")
    warning = next(text for text in verdict["warnings"] if text.startswith("this pull request changes the gate itself"))
    for name in named:
        assert name in warning
    assert warning.endswith("; judged by the base's")


def test_without_a_base_ref_it_could(repository: Path, gate: Gate) -> None:
    """The same edits do win where nobody asks for the base: what the option is for."""
    write(repository / "evals/suite.yaml", EASY)

    assert gate()[1]["verdict"] == "promote"


def test_plugins_come_from_the_base(repository: Path, gate: Gate) -> None:
    """A plugin both have is imported from the base, though the pull request's stands in the working folder."""
    write(repository / "evals/suite.yaml", PLUGGED)
    write(repository / "acme.py", plugin("float(r.output != '?')"))
    git(repository, "add", "evals", "acme.py")
    git(repository, "commit", "-q", "-m", "a plugin in the base", "evals", "acme.py")
    write(repository / "acme.py", "raise SystemExit('the pull request was run')\n")
    status, verdict, err = gate("--base-ref", "HEAD")

    assert (status, verdict["verdict"]) == (1, "rollback"), err
    assert "the pull request was run" not in err
    assert any("acme.py (changed)" in text for text in verdict["warnings"])


FINDER = """\
import importlib.util, sys

class Editable:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {path!r}) if name == "acme" else None

sys.meta_path.append(Editable)
"""


def test_an_editable_install_is_no_way_in(repository: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that an installed finder would take from the working tree is refused before it runs."""
    write(repository / "evals/suite.yaml", PLUGGED)
    write(repository / "lib/acme.py", plugin("float(r.output != '?')"))
    git(repository, "add", "evals", "lib")
    git(repository, "commit", "-q", "-m", "a plugin in the base", "evals", "lib")
    write(repository / "lib/acme.py", "raise SystemExit('the pull request was run')\n")
    write(repository.parent / "site/sitecustomize.py", FINDER.format(path=str(repository / "lib/acme.py")))
    monkeypatch.setattr(f"{__name__}.ROOT", f"{ROOT}{os.pathsep}{repository.parent / 'site'}")
    status, _, err = gate("--base-ref", "HEAD")

    assert status == 2
    assert "acme would come from the pull request" in err
    assert "the pull request was run" not in err


def test_an_honest_candidate_is_judged_in_silence(repository: Path, gate: Gate) -> None:
    """A pull request that changes its candidate alone changes nothing of the gate."""
    write(repository / "recorded/v2.jsonl", (repository / "recorded/v1.jsonl").read_text())
    status, verdict, _ = gate("--base-ref", "main")

    assert (status, verdict["verdict"]) == (0, "promote")
    assert not any("pull request" in text for text in verdict["warnings"])


def test_a_new_gate_says_so(repository: Path, gate: Gate) -> None:
    """A pipeline that the base lacks is judged by its own rules, visibly."""
    write(repository / "pipelines/new.yaml", (repository / "pipelines/p.yaml").read_text())
    status, verdict, _ = gate("--base-ref", "HEAD", pipeline="pipelines/new.yaml")

    assert (status, verdict["verdict"]) == (1, "rollback")
    new = "this gate is new: the base has no pipelines/new.yaml; judged by the pull request's own rules"
    assert new in verdict["warnings"]


@pytest.mark.parametrize("link", ["pipelines/p.yaml", "pipelines"])
def test_a_link_in_place_of_the_gate_makes_no_new_one(link: str, repository: Path, gate: Gate) -> None:
    """A pipeline that became a link to one that the base lacks is still the base's by its name."""
    write(repository / "evals/easy.yaml", EASY)
    easy = (repository / "pipelines/p.yaml").read_text().replace("evals/suite", "evals/easy")
    (repository / "pipelines/p.yaml").unlink()
    if link == "pipelines":
        (repository / link).rmdir()
    write(repository / "eased/p.yaml", easy)
    (repository / link).symlink_to(repository / ("eased" if link == "pipelines" else "eased/p.yaml"))
    status, verdict, _ = gate("--base-ref", "HEAD")

    assert (status, verdict["verdict"]) == (1, "rollback")
    assert not any("this gate is new" in text for text in verdict["warnings"])


def test_attributes_do_not_change_the_files_of_the_base(repository: Path, gate: Gate) -> None:
    """What the pull request says of encodings and line ends is not done to the base's files."""
    write(repository / ".gitattributes", "*.yaml working-tree-encoding=UTF-16\n*.jsonl eol=crlf\n")
    status, verdict, err = gate("--base-ref", "HEAD")

    assert (status, verdict.get("verdict")) == (1, "rollback"), err


def test_the_repository_stays_as_it_is(repository: Path, gate: Gate) -> None:
    """Neither the index nor the working tree nor the list of worktrees changes."""
    before = git(repository, "status", "--porcelain"), git(repository, "worktree", "list")
    gate("--base-ref", "HEAD", "--runs", str(repository.parent / "runs"))

    assert (git(repository, "status", "--porcelain"), git(repository, "worktree", "list")) == before


@pytest.mark.parametrize("ref", ["nosuch", "--upload-pack=touch x", "HEAD:evals"])
def test_a_ref_that_is_none(ref: str, gate: Gate) -> None:
    """One sentence and exit 2, whatever is given for a ref."""
    status, _, err = gate(f"--base-ref={ref}")

    assert status == 2
    assert err.startswith("canary: '--base-ref' must name a commit of this repository: ")


def test_another_engine_is_told(repository: Path, gate: Gate) -> None:
    """Who names the candidate names its engine too, and files answer whatever one likes."""
    head = (repository / "pipelines/p.yaml").read_text()
    live = "candidate: {name: v2, engine: openai, model: m}\nrunner"
    write(repository / "pipelines/p.yaml", PIPELINE.replace("candidate: {name: v2, engine: replay, " + _V1, live))
    git(repository, "commit", "-q", "-m", "a live candidate", "pipelines/p.yaml")
    write(repository / "pipelines/p.yaml", head)
    _, verdict, _ = gate("--base-ref", "HEAD")

    assert "this pull request changes the candidate's engine: openai -> replay" in verdict["warnings"]


def test_differences() -> None:
    """Changed, added and deleted, sorted by path, with both digests."""
    found = differences({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"})

    assert [(change.path, change.how, change.base, change.head) for change in found] == [
        ("a", "deleted", "1", None),
        ("c", "changed", "3", "4"),
        ("d", "added", None, "5"),
    ]


def test_a_prompt_of_the_candidate_is_no_rule(tmp_path: Path) -> None:
    """A prompt file is what a pull request is meant to change, also where both releases name it."""
    live = "{name: v, engine: openai, model: m, prompt: file://../prompts/p.txt}"
    write(tmp_path / "pipelines/p.yaml", f"suite: ../evals/s.yaml\nbaseline: {live}\ncandidate: {live}\n")
    write(tmp_path / "prompts/p.txt", "Hello")
    write(tmp_path / "evals/s.yaml", SUITE)

    assert sorted(gate_files(tmp_path, tmp_path / "pipelines/p.yaml")) == ["evals/s.yaml", "pipelines/p.yaml"]

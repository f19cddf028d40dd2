"""A pull request judged by the rules it wants to change.

The suite, policy, golden sets, calibration, plugins and the baseline come from
the base ref; from the pull request comes its candidate, and nothing else. What
it does to the files of the gate is listed, so that it cannot pass unseen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from canary.config import load_pipeline
from canary.errors import ConfigError
from canary.gate_change import GateChange, gate_sentence
from canary.pipeline import Pipeline
from canary.run.gate_files import differences, gate_files
from canary.run.load import Loaded, Overrides, gather, load

_GIT_S = 600
"""Seconds until a git command counts as hung; large files may be fetched by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """The base ref, checked out beside the pull request."""

    head: Path
    """Root of the working tree: the pull request."""
    root: Path
    """Root of the base's own tree."""

    def counterpart(self, path: Path) -> Path:
        """The file of the same name in the base's tree, whatever links the pull request put in its way.

        Raises ConfigError for one outside of the repository.
        """
        for above in reversed(path.parents):
            if above.resolve() == self.head:
                return self.root / path.relative_to(above)
        raise ConfigError(f"'--base-ref' needs a pipeline inside the repository {self.head} (got {path})")

    def told(self, text: str) -> str:
        """A text without the place where the base happens to lie."""
        return text.replace(f"{self.root}/", "")


@contextmanager
def trusted(path: Path, ref: str, *, stage: str, overrides: Overrides) -> Iterator[Loaded]:
    """The pull request's candidate under everything else of the base's pipeline, while it lasts.

    A pipeline that the base does not have is new: it is judged by its own
    rules, and says so. The repository, its index and its working tree stay as
    they are. Of a policy named in `overrides` the base's version counts. Raises
    ConfigError where there is no such ref, and UsageError with every problem of
    a file.
    """
    path, policy = Path(os.path.abspath(path)), overrides.policy  # noqa: PTH100 - a link is the pull request's own
    policy = None if policy is None else Path(os.path.abspath(policy))  # noqa: PTH100
    with _checked_out(ref) as base:
        there = base.counterpart(path)
        if not there.is_file():
            yield _new(load(path, stage=stage, overrides=overrides), there.relative_to(base.root), ref)
            return
        head, rules = load_pipeline(path), load_pipeline(there)
        places = _places(base.head)
        chosen = None if policy is None else base.counterpart(policy)
        now = gate_files(base.head, path, places, policy)
        changes = differences(gate_files(base.root, there, places, chosen), now)
        with _standing_in(base):
            pipeline = replace(overrides, policy=chosen).on(rules.model_copy(update={"candidate": head.candidate}))
            loaded = gather(pipeline, there, stage=stage, early_stop=overrides.early_stop)
            loaded = replace(loaded, plan=loaded.plan.model_copy(update={"pipeline": str(path), "base_ref": ref}))
            yield _said(loaded, base, changes, tuple(_swapped(rules, head)))


def _new(loaded: Loaded, name: Path, ref: str) -> Loaded:
    warning = f"this gate is new: the base has no {name.as_posix()}; judged by the pull request's own rules"
    update = {"warnings": (*loaded.plan.warnings, warning), "base_ref": ref}
    return replace(loaded, plan=loaded.plan.model_copy(update=update))


def _swapped(rules: Pipeline, head: Pipeline) -> Iterator[str]:
    """What of a candidate decides how it is measured, and is not the base's."""
    for key in ("engine", "price"):
        was, now = (getattr(pipeline.candidate, key, None) for pipeline in (rules, head))
        if was != now:
            yield f"this pull request changes the candidate's {key}: {was} -> {now}"


def _said(loaded: Loaded, base: _Base, changes: tuple[GateChange, ...], swapped: tuple[str, ...]) -> Loaded:
    """With what changes in its plan, and every path as the repository has it."""
    plan = loaded.plan
    told = gate_sentence(changes)
    sets = tuple(str(base.head / base.told(name)) for name in plan.suite.golden_sets)
    release = {
        key: base.told(value) if isinstance(value, str) else value for key, value in plan.baseline.release.items()
    }
    update = {
        "warnings": (*map(base.told, plan.warnings), *swapped, *([told] if told else [])),
        "gate_changes": changes,
        "suite": plan.suite.model_copy(update={"golden_sets": sets}),
        "baseline": plan.baseline.model_copy(update={"release": release}),
    }
    return replace(loaded, plan=plan.model_copy(update=update))


@contextmanager
def _checked_out(ref: str) -> Iterator[_Base]:
    head = Path(_git("rev-parse", "--show-toplevel").strip()).resolve()
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}").strip()
    with tempfile.TemporaryDirectory(prefix="canary-base-") as folder:
        root = Path(folder).resolve() / "tree"
        root.mkdir()
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        _git("-C", str(head), "read-tree", commit, **index)
        tree = f"--work-tree={root}"  # else the pull request's .gitattributes would convert the base's files
        _git("-C", str(head), tree, "checkout-index", "--all", **index)
        yield _Base(head=head, root=root)


def _places(root: Path) -> tuple[Path, ...]:
    """Where inside of the tree Python looks for modules, its environment left out."""
    entries = (Path(entry).resolve() for entry in sys.path)
    environment = Path(sys.prefix).resolve()
    return tuple(
        entry.relative_to(root)
        for entry in entries
        if entry.is_relative_to(root) and not entry.is_relative_to(environment)
    )


@contextmanager
def _standing_in(base: _Base) -> Iterator[None]:
    """Work from the base's tree: plugins and functions are found there, not in the pull request."""
    folder, path = Path.cwd(), list(sys.path)
    places = _places(base.head)
    inside = folder.resolve().relative_to(base.head) if folder.resolve().is_relative_to(base.head) else Path()
    kept = [entry for entry in path if not Path(entry).resolve().is_relative_to(base.head)]
    kept += [entry for entry in path if Path(entry).resolve().is_relative_to(Path(sys.prefix).resolve())]
    sys.path[:] = [*(str(base.root / place) for place in places), *kept]
    refusing = _Refusing(base.head)
    sys.meta_path.insert(0, refusing)
    os.chdir(base.root / inside if (base.root / inside).is_dir() else base.root)
    try:
        yield
    finally:
        os.chdir(folder)
        sys.meta_path.remove(refusing)
        sys.path[:] = path


@dataclass(frozen=True, slots=True, eq=False)
class _Refusing:
    """Asked before Python's other finders: a module they would take from the pull request is an ImportError.

    An editable install finds a package in the working tree, whatever the path says.
    """

    head: Path

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """What the first of the others finds."""
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                self._require_elsewhere(spec)
                return spec
        return None

    def _require_elsewhere(self, spec: ModuleSpec) -> None:
        own = (Path(sys.prefix).resolve(), Path(__file__).resolve().parents[1])
        for written in (spec.origin or "", *(spec.submodule_search_locations or ())):
            place = Path(written).resolve()
            if written and place.is_relative_to(self.head) and not any(map(place.is_relative_to, own)):
                raise ImportError(f"{spec.name} would come from the pull request ({written}), not from its base")


def _git(*arguments: str, **environment: str) -> str:
    command = ["git", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and refs stand behind --end-of-options
            command, capture_output=True, text=True, timeout=_GIT_S, check=False, env={**os.environ, **environment}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"'--base-ref' needs git: {error}") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no such commit here; a shallow clone may lack it"])[-1]
        raise ConfigError(f"'--base-ref' must name a commit of this repository: {reason}")
    return done.stdout

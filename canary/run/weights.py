"""A release's weights pinned before anything is asked: what moves is followed once, and the run keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from canary.errors import ConfigError, EngineError, MissingExtra, TrackingError
from canary.pipeline import Pipeline, Suite
from canary.plan import Origin
from canary.records import Arm
from canary.release import Release, TransformersRelease, VllmRelease
from canary.source import is_address, is_hub_id
from canary.weights import ADAPTER, CHECKPOINT, commit_of, fetch, rank_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A release that names nothing any more that could move."""

    release: Release
    """As the engine gets it: a folder of this machine, or a hub's id with a commit."""
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()


def pinned(release: Release, who: str, server: str | None) -> Pinned:
    """The release with its weights found; `who` it is in messages, `server` is MLflow's.

    Raises ConfigError for weights that are nowhere, EngineError or
    TrackingError where the hub or the server cannot be asked.
    """
    if not isinstance(release, TransformersRelease | VllmRelease):
        return Pinned(release=release, origins={})
    who = f"{who} '{release.name}'"
    try:
        found = _at_commit(*_brought_here(release, server))
    except ConfigError as error:
        raise ConfigError([f"{who}: {problem}" for problem in error.problems]) from None
    except MissingExtra:
        raise
    except (EngineError, TrackingError) as error:
        raise type(error)(f"{who}: {error}") from None
    return replace(found, warnings=tuple(f"{who}: {warning}" for warning in found.warnings))


def pinned_pipeline(pipeline: Pipeline) -> tuple[Pipeline, dict[Arm, Pinned]]:
    """The pipeline with both releases pinned, and how each was."""
    server = pipeline.mlflow.tracking_uri
    found = {arm: pinned(release, arm, server) for arm, release in pipeline.releases.items()}
    return pipeline.model_copy(update={arm.value: side.release for arm, side in found.items()}), found


def pinned_suite(suite: Suite, server: str | None) -> tuple[Suite, tuple[str, ...]]:
    """The suite with its judge's weights pinned, and what that warns of."""
    if suite.judge is None:
        return suite, ()
    found = pinned(suite.judge.release, "judge", server)
    return suite.model_copy(update={"judge": suite.judge.model_copy(update={"release": found.release})}), found.warnings


def _brought_here(
    release: TransformersRelease | VllmRelease, server: str | None
) -> tuple[TransformersRelease | VllmRelease, dict[str, Origin]]:
    """The release with addresses in MLflow replaced by folders."""
    folders, origins = {}, {}
    for field, marker in (("model", CHECKPOINT), ("lora", ADAPTER)):
        written = getattr(release, field, None)
        if written is not None and is_address(written):
            folder, origins[field] = fetch(written, server, marker)
            folders[field] = str(folder)
    here = release.model_copy(update=folders)
    if isinstance(here, VllmRelease) and here.lora is not None:
        rank_of(Path(here.lora))
    return here, origins


def _require_checkpoint(release: TransformersRelease | VllmRelease, folder: Path) -> None:
    """Raise ConfigError for a folder that no engine could load; vLLM also takes layouts without a config.json."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if empty or (isinstance(release, TransformersRelease) and not (folder / CHECKPOINT).is_file()):
        got = "an empty folder" if empty else "a folder without one" if folder.is_dir() else "no folder"
        raise ConfigError(f"'model' must be a checkpoint, a folder with a {CHECKPOINT} ({folder} is {got})")


def _at_commit(release: TransformersRelease | VllmRelease, origins: dict[str, Origin]) -> Pinned:
    """The release with a hub's revision replaced by its commit."""
    model, revision = release.model, release.revision
    if Path(model).exists() or not is_hub_id(model):
        if revision is not None:
            raise ConfigError(f"'revision' must be left out: only a hub's model has revisions, not {model}")
        folder = str(Path(model).resolve()) if Path(model).exists() else model  # an engine may work in another folder
        if Path(folder).exists():
            _require_checkpoint(release, Path(folder))
        return Pinned(release=release.model_copy(update={"model": folder}), origins=origins)
    commit = commit_of(model, revision)
    origin = Origin(written=model if revision is None else f"{model}@{revision}", pinned=f"{model}@{commit}")
    moving = f"{model} moves: '{revision or 'main'}' is {commit} just now; pin it: revision: {commit}"
    return Pinned(
        release=release.model_copy(update={"revision": commit}),
        origins=origins | {"model": origin},
        warnings=() if revision == commit else (moving,),
    )

"""What a revision of a model hub's model is just now."""

from __future__ import annotations

import re

from canary.errors import ConfigError, EngineError, MissingExtra

COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(model: str, revision: str | None) -> str:
    """The commit that a revision names: the hub's word, else, where it is out of reach, the local cache's.

    A commit stands for itself, and nobody is asked. Raises ConfigError where
    there is no such model or revision, or `HF_HUB_OFFLINE` forbids to ask;
    EngineError where the hub cannot be reached.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    wanted = f"revision '{revision or 'main'}' of '{model}'"
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{wanted}, which is not pinned to a commit,", "embeddings") from error
    try:
        offline = huggingface_hub.is_offline_mode()
        return str(huggingface_hub.resolve_revision(model, revision=revision, local_files_only=offline).resolved)
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{wanted} is unknown: the hub has '{model}', but not that revision") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ConfigError(f"{_nowhere(model)}, and the hub does not show it ({_first(error)})") from None
    except errors.RevisionResolutionError as error:
        raise _unreached(model, wanted, error) from None
    except Exception as error:
        raise EngineError(f"{wanted}: the hub answered with {type(error).__name__}: {_first(error)}") from error


def _unreached(model: str, wanted: str, error: Exception) -> ConfigError | EngineError:
    import huggingface_hub

    where = f"the cache {huggingface_hub.constants.HF_HUB_CACHE} does not have it either"
    if huggingface_hub.is_offline_mode():
        return ConfigError(f"{_nowhere(model)}, HF_HUB_OFFLINE forbids to ask the hub for {wanted}, and {where}")
    return EngineError(f"{wanted}: the hub cannot be reached, and {where} ({_first(error.__cause__ or error)})")


def _nowhere(model: str) -> str:
    return f"'model' names {model}: there is no such folder beside the file that names it"


def _first(error: BaseException) -> str:
    """The first line of what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

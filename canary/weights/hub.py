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
        from huggingface_hub import constants, errors, is_offline_mode, resolve_revision
    except ImportError as error:
        raise MissingExtra(f"{wanted}, which is not pinned to a commit,", "embeddings") from error
    try:
        found = str(resolve_revision(model, revision=revision, local_files_only=is_offline_mode()).resolved)
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{wanted} is unknown: the hub has '{model}', but not that revision") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ConfigError(f"{_nowhere(model)}, and the hub does not show it ({_first(error)})") from None
    except errors.RevisionResolutionError as error:
        raise _unreached(model, wanted, error) from None
    except Exception as error:
        raise EngineError(f"{wanted}: the hub answered with {type(error).__name__}: {_first(error)}") from error
    if not COMMIT.fullmatch(found):
        raise EngineError(f"{wanted}: what the hub or the cache {constants.HF_HUB_CACHE} has for it is no commit")
    return found


def _unreached(model: str, wanted: str, error: Exception) -> ConfigError | EngineError:
    from huggingface_hub import constants, is_offline_mode

    where = f"the cache {constants.HF_HUB_CACHE} does not have it either"
    if is_offline_mode():
        return ConfigError(f"{_nowhere(model)}, HF_HUB_OFFLINE forbids to ask the hub for {wanted}, and {where}")
    return EngineError(f"{wanted}: the hub cannot be reached, and {where} ({_first(error.__cause__ or error)})")


def _nowhere(model: str) -> str:
    return f"'model' names {model}: there is no such folder beside the file that names it"


def _first(error: BaseException) -> str:
    """The first line of what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

"""What a revision of a model hub's model is just now."""

from __future__ import annotations

import logging
import re

from canary.errors import ConfigError, EngineError, MissingExtra

COMMIT = re.compile(r"[0-9a-f]{40}")
ASKED_S = 10.0
"""How long a hub may take to say what a revision is."""

_LOG = logging.getLogger(__name__)


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
        from huggingface_hub import constants, errors
    except ImportError as error:
        raise MissingExtra(f"{wanted}, which is not pinned to a commit,", "embeddings") from error
    try:
        found = _looked_up(model, revision)
    except errors.RevisionNotFoundError:
        raise ConfigError(f"{wanted} is unknown: the hub has '{model}', but not that revision") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ConfigError(f"{_nowhere(model)}, and the hub does not show it ({_first(error)})") from None
    except errors.HfHubHTTPError as error:
        raise EngineError(f"{wanted}: the hub answered with {type(error).__name__}: {_first(error)}") from error
    except errors.RevisionResolutionError as error:
        raise _unreached(model, wanted, error) from None
    if not COMMIT.fullmatch(found):
        raise EngineError(f"{wanted}: what the hub or the cache {constants.HF_HUB_CACHE} has for it is no commit")
    return found


def _looked_up(model: str, revision: str | None) -> str:
    """What the hub says within `ASKED_S`, else the cache; raises what huggingface_hub does."""
    from huggingface_hub import errors, is_offline_mode, model_info, resolve_revision

    cause: Exception | None = None
    if not is_offline_mode():
        try:
            return str(model_info(model, revision=revision, timeout=ASKED_S).sha)
        except errors.HFValidationError:
            raise
        except Exception as error:
            if isinstance(error, errors.HfHubHTTPError) and error.response.status_code < 500:
                raise
            cause = error
    try:
        found = str(resolve_revision(model, revision=revision, local_files_only=True).resolved)
    except errors.RevisionResolutionError as error:
        raise error from cause
    if cause is not None:
        _LOG.warning("the hub cannot be reached (%s): %s is as the cache has it", _first(cause), model)
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

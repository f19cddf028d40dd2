"""Why a workflow runs, as GitHub tells it: environment variables and one JSON file.

Whoever opened the pull request wrote parts of that file (titles, branch names),
so nothing is taken from it but numbers, hashes and names that are checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canary.errors import MissingExtra

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One run of a workflow."""

    name: str
    """`push`, `pull_request`, `workflow_run`, ..."""
    api_url: str
    repository: str
    """`owner/name` of the repository the workflow belongs to; "" where unknown."""
    number: int | None
    """The pull request, where the event is one."""
    sha: str
    """The commit judged; the pull request's own, not GitHub's trial merge."""
    is_fork: bool
    """The pull request comes from a repository whose workflows may only read here."""
    run_id: int
    """Grows with every run; 0 where unknown."""
    run_url: str
    head: str = ""
    """`owner:branch` of the run that a `workflow_run` follows; "" for others."""


def in_actions() -> bool:
    """Whether a GitHub workflow runs this process."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def read_event() -> Event:
    """The event of this process; MissingExtra without the `github` extra, ValueError where it is no event."""
    try:
        from actions_toolkit.github import Context  # noqa: PLC0415 - needs an extra, and seconds
    except ImportError:
        raise MissingExtra("a comment on a pull request", "github") from None
    context = Context()
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    payload = context.payload if isinstance(context.payload, dict) else {}
    if repository and not _NAME.fullmatch(repository):
        raise ValueError("GITHUB_REPOSITORY is not owner/name")
    url = f"{context.server_url}/{repository}/actions/runs/{context.run_id}" if context.run_id else ""
    return Event(
        name=context.event_name,
        api_url=context.api_url,
        repository=repository,
        run_id=context.run_id,
        run_url=url,
        **_asked(payload, repository, context.sha),
    )


def _asked(payload: Mapping[str, Any], repository: str, sha: str) -> dict[str, Any]:
    """What the payload says of the pull request and its commit."""
    if followed := _mapping(payload, "workflow_run"):
        owner = _mapping(_mapping(followed, "head_repository"), "owner").get("login")
        head = f"{owner}:{followed.get('head_branch')}"
        return {"number": None, "sha": _sha(followed.get("head_sha")), "is_fork": False, "head": head}
    pull = _mapping(payload, "pull_request")
    if not pull:
        return {"number": None, "sha": _sha(sha), "is_fork": False}
    head_sha = _sha(_mapping(pull, "head").get("sha")) or _sha(sha)
    source = _mapping(_mapping(pull, "head"), "repo").get("full_name")
    return {"number": _number(pull.get("number")), "sha": head_sha, "is_fork": source != repository}


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _sha(value: Any) -> str:
    return value if isinstance(value, str) and _SHA.fullmatch(value) else ""

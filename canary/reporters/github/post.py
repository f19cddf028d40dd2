"""One comment per gate, found again and updated in place.

GitHub's troubles are retried a little and then given up with a sentence; only
the caller decides what that means, and for a verdict it means nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from canary.reporters.github.event import Event

if TYPE_CHECKING:
    from github import Github
    from github.Issue import Issue
    from github.IssueComment import IssueComment

TRIES = 3
TIMEOUT_S = 10
LONGEST_WAIT_S = 20.0
"""Longer than this nobody waits for a comment."""

_RUN = re.compile(r"<!-- run:(\d{1,20}) -->")


class Refusal(Exception):  # noqa: N818 - it is no error: the reason stands for whoever watches
    """GitHub will not have it, now or at all; says why."""


def post(event: Event, token: str, first_line: str, body: str, number: int | None = None) -> str:
    """Create or update the gate's comment; a sentence that says which.

    `number` names another pull request than the event's own and must belong to
    the commit of the event. Raises Refusal with the reason.
    """
    text = f"{first_line}\n<!-- run:{event.run_id} -->\n{body}"

    def attempt() -> str:
        github = _open(event, token)
        found = _pull(github, event, number) if event.head or number is not None else event.number
        if found is None:
            raise Refusal("no open pull request has this commit")
        return _upsert(github, event, found, first_line, text)

    return _retried(attempt)


def _open(event: Event, token: str) -> Github:
    from github import Auth, Github  # noqa: PLC0415 - needs an extra, and seconds

    return Github(
        auth=Auth.Token(token),
        base_url=event.api_url,
        timeout=TIMEOUT_S,
        retry=None,
        per_page=100,
        lazy=True,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


def _pull(github: Github, event: Event, number: int | None) -> int | None:
    """The open pull request of the commit that was judged; None where there is none.

    An artifact may name any number, so what counts is whose head that commit is.
    """
    repository = github.get_repo(event.repository)
    if number is not None:
        pulls: Any = [repository.get_pull(number)]
    else:
        pulls = repository.get_pulls(state="open", head=event.head)
    matching = [pull.number for pull in pulls if event.sha and pull.head.sha == event.sha and pull.state == "open"]
    return matching[0] if matching else None


def _upsert(github: Github, event: Event, number: int, first_line: str, text: str) -> str:
    issue = github.get_repo(event.repository).get_issue(number)
    is_own = _ownership(github)
    known = next(_own(issue, first_line, is_own), None)
    if known is None:
        made = issue.create_comment(text)
        first = next(_own(issue, first_line, is_own), made)
        if first.id == made.id:
            return f"commented on pull request {number}"
        made.delete()  # another run of this gate was a moment faster
        known = first
    if _run_of(known) > event.run_id:
        return f"pull request {number} already shows a newer run"
    known.edit(text)
    return f"updated the comment on pull request {number}"


def _own(issue: Issue, first_line: str, is_own: Callable[[IssueComment], bool]) -> Iterator[IssueComment]:
    """Our comments of this gate, oldest first; what others wrote is never ours, marker or not."""
    for comment in issue.get_comments():
        lines = (comment.body or "").splitlines()
        if lines[:1] == [first_line] and is_own(comment):
            yield comment


def _ownership(github: Github) -> Callable[[IssueComment], bool]:
    """How to tell our own comments: by our login, or, where a token has none, as a bot's."""
    from github import GithubException  # noqa: PLC0415 - needs an extra

    try:
        login = github.get_user().login
    except GithubException as error:
        if error.status not in {401, 403, 404} or _wait_of(error) is not None:
            raise
        return lambda comment: bool(comment.user and comment.user.type == "Bot")
    return lambda comment: bool(comment.user and comment.user.login == login)


def _run_of(comment: IssueComment) -> int:
    found = _RUN.search(comment.body or "", 0, 500)
    return int(found[1]) if found else 0


def _retried(attempt: Callable[[], str]) -> str:
    """The whole of it again after a pause: what got through half-way is then found."""
    from github import GithubException  # noqa: PLC0415 - needs an extra
    from requests import RequestException  # noqa: PLC0415 - needs an extra

    for left in reversed(range(TRIES)):
        try:
            return attempt()
        except GithubException as error:
            pause, reason = _wait_of(error), _reason(error)
        except RequestException as error:
            pause, reason = 1.0, type(error).__name__
        if pause is None or pause > LONGEST_WAIT_S or not left:
            raise Refusal(reason)
        time.sleep(pause)
    raise AssertionError  # the last round returns or raises


def _wait_of(error: Any) -> float | None:
    """Seconds until it is worth another try; None where it never is."""
    headers = {str(name).lower(): value for name, value in (error.headers or {}).items()}
    after = str(headers.get("retry-after", ""))
    if after.isdigit():
        return float(after)
    if error.status == 429 or (error.status == 403 and headers.get("x-ratelimit-remaining") == "0"):
        reset = str(headers.get("x-ratelimit-reset", ""))
        return max(1.0, float(reset) - time.time()) if reset.isdigit() else 1.0
    return 1.0 if error.status >= 500 else None


def _reason(error: Any) -> str:
    """The status and GitHub's own words, nothing of the request."""
    said = error.data.get("message", "") if isinstance(error.data, dict) else ""
    return f"HTTP {error.status} {said}".strip()

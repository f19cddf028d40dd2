"""One comment per gate, whatever else is said and whatever GitHub does."""

from __future__ import annotations

from typing import Any

import pytest

from canary.reporters.github import post as posting
from canary.reporters.github.comment import marker
from canary.reporters.github.publish import comment

GATE = marker("pipelines/p.yaml", "staging")


@pytest.fixture
def act(environment: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Comment within an event; returns the sentence."""

    def run(event: str = "pull_request", body: str = "the verdict", gate: str = GATE, **given: Any) -> str:
        number = given.pop("number", None)
        for name, value in {**environment(event, **given), "GITHUB_TOKEN": "ghs_secret"}.items():
            monkeypatch.setenv(name, value)
        return comment(gate, lambda _: body, number)

    monkeypatch.setattr(posting, "LONGEST_WAIT_S", 1.0)
    return run


def test_created_once_then_updated_among_two_hundred(act: Any, github: Any) -> None:
    """The second run finds the first one's comment behind pages of others."""
    for i in range(150):
        github.say(f"user{i}", f"comment {i}")
    assert act() == "commented on pull request 7"
    for i in range(50):
        github.say(f"late{i}", f"comment {i}")
    assert act(body="a newer verdict", run_id=101) == "updated the comment on pull request 7"
    assert len(github.comments) == 201
    assert [c["body"] for c in github.by_bot()] == [f"{GATE}\n<!-- run:101 -->\na newer verdict"]
    assert any("page=2" in request for request in github.requests)


def test_two_gates_have_two_comments(act: Any, github: Any) -> None:
    """Each gate finds its own."""
    other = marker("pipelines/q.yaml", "staging")
    for _ in range(2):
        act()
        act(gate=other)

    assert [c["body"].splitlines()[0] for c in github.by_bot()] == [GATE, other]
    assert marker("a/b.yaml", "staging") != marker("a-b.yaml", "staging")


def test_what_others_wrote_is_never_touched(act: Any, github: Any) -> None:
    """A person's comment with our marker stays theirs, and so does a bot that only quotes it."""
    github.say("mallory", f"{GATE}\npromote!")
    github.say("otherbot", f"> {GATE}\nsee above", "Bot")
    before = [dict(c) for c in github.comments]

    assert act() == "commented on pull request 7"
    assert github.comments[:2] == before
    assert len(github.comments) == 3


def test_an_older_run_does_not_overwrite_a_newer_one(act: Any, github: Any) -> None:
    """Whoever finishes last is not always who began last."""
    act(body="new", run_id=200)

    assert act(body="old", run_id=199) == "pull request 7 already shows a newer run"
    assert "new" in github.by_bot()[0]["body"]


def test_two_runs_at_once_leave_one_comment(act: Any, github: Any) -> None:
    """Whoever comes second takes its own comment back and updates the first."""
    github.rival = f"{GATE}\n<!-- run:99 -->\nthe other's"

    assert act(body="ours") == "updated the comment on pull request 7"
    assert [c["body"] for c in github.by_bot()] == [f"{GATE}\n<!-- run:100 -->\nours"]


@pytest.mark.parametrize("failure", [(502, {}), (503, {"Retry-After": "1"}), (429, {"Retry-After": "0"})])
def test_short_trouble_is_waited_out(failure: tuple[int, dict[str, str]], act: Any, github: Any) -> None:
    """One failed request costs a second, not the comment, and never makes two."""
    github.failures = [failure]

    assert act() == "commented on pull request 7"
    assert len(github.by_bot()) == 1


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ((403, {"Retry-After": "3600"}), "no comment, the verdict stands: HTTP 403 no"),
        ((429, {"X-RateLimit-Reset": "99999999999"}), "no comment, the verdict stands: HTTP 429 no"),
        ((500, {}), "no comment, the verdict stands: HTTP 500 no"),
        ((401, {}), "no comment, the verdict stands: HTTP 404 no"),
    ],
)
def test_long_trouble_is_a_sentence(failure: tuple[int, dict[str, str]], said: str, act: Any, github: Any) -> None:
    """Nobody waits for an hour, and nothing is raised."""
    github.failures = [failure, *([(404, {})] if failure[0] == 401 else [failure] * 30)]

    assert act() == said
    assert github.by_bot() == []


def test_nobody_there(act: Any, github: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection refused is a sentence too."""
    github.url = "http://127.0.0.1:9"
    monkeypatch.setattr(posting, "TRIES", 1)

    assert act() == "no comment, the verdict stands: ConnectionError"


@pytest.mark.parametrize("event", ["push", "workflow_dispatch", "merge_group"])
def test_no_pull_request_no_comment(event: str, act: Any, github: Any) -> None:
    """Other events are told so, and GitHub is not asked."""
    assert act(event) == f"no comment: the event {event} belongs to no pull request"
    assert github.requests == []


def test_a_fork_may_not_write(act: Any, github: Any) -> None:
    """Its token reads only; the summary has everything."""
    assert act("fork") == "no comment: a fork's workflow may not write here; the step's summary has everything"
    assert github.requests == []


def test_a_followed_run_finds_its_pull_request(act: Any, github: Any) -> None:
    """By the head it was run for, since the artifact is a stranger's."""
    assert act("workflow_run") == "commented on pull request 7"


@pytest.mark.parametrize("number", [None, 7])
def test_a_commit_that_is_not_the_head_is_refused(number: int | None, act: Any, github: Any) -> None:
    """A number that somebody names is worth nothing without the commit."""
    github.head = "c" * 40

    assert act("workflow_run", number=number) == "no comment, the verdict stands: no open pull request has this commit"
    assert github.comments == []

"""Functions of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from canary.assertions import parse
from canary.errors import ConfigError, PluginError
from canary.protocols import Grade
from canary.records import Scale

Give = Callable[..., Grade]

CHECKS = """
import sys

def short(output, case):
    return len(output) < 5

def share(output, case):
    return len(output) / case.vars["long"]

def judged(output, case):
    return {"pass": "ok" in output, "score": 0.9, "reason": f"read {output!r}"}

def only_pass(output, case):
    return {"pass": True}

def only_score(output, case):
    return {"score": 0.4}

def nothing(output, case):
    return None

def text(output, case):
    return "0.9"

def empty(output, case):
    return {"reason": "none"}

def vague(output, case):
    return {"pass": "yes"}

def leave(output, case):
    sys.exit(0)

def deep(output, case):
    return deep(output, case)

CONSTANT = 1
"""


@pytest.fixture(autouse=True)
def _checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_function_checks.py").write_text(CHECKS)
    monkeypatch.syspath_prepend(tmp_path)


def spec(name: str, **keys: object) -> dict[str, object]:
    """An assertion that calls one of the functions above."""
    return {"type": "python", "value": f"acme_function_checks:{name}", **keys}


class TestFunction:
    """`python`: whatever the function says."""

    def test_passes(self, grade: Give) -> None:
        """True is 1."""
        assert grade(spec("short"), "yes") == Grade(
            value=1.0, passed=True, reason="acme_function_checks:short 1 >= 0.5"
        )

    def test_fails(self, grade: Give) -> None:
        """False is 0."""
        assert grade(spec("short"), "too long") == Grade(
            value=0.0, passed=False, reason="acme_function_checks:short 0 < 0.5"
        )

    def test_boundary(self, grade: Give) -> None:
        """A number passes from the threshold on."""
        assert grade(spec("share"), "12345", vars={"long": 10}).passed is True
        assert grade(spec("share", threshold=0.6), "12345", vars={"long": 10}).passed is False

    def test_dict(self, grade: Give) -> None:
        """A dict may have a score, a pass, or both of which both must hold."""
        given = grade(spec("judged"), "ok")
        assert given == Grade(value=0.9, passed=True, reason="acme_function_checks:judged 0.9 >= 0.5 (read 'ok')")
        assert grade(spec("judged"), "no").passed is False
        assert grade(spec("judged", threshold=0.95), "ok").passed is False
        assert grade(spec("only_pass"), "").value == 1.0
        assert grade(spec("only_score"), "").passed is False

    @pytest.mark.parametrize("name", ["nothing", "text", "empty", "vague"])
    def test_no_answer(self, grade: Give, name: str) -> None:
        """What is neither yes nor no nor a number abstains, never passes."""
        given = grade(spec(name), "x")
        assert given.passed is None
        assert given.reason.startswith(
            f"TypeError: acme_function_checks:{name} must return a bool, a number or score and pass (got "
        )

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("share", "KeyError: 'long'"),
            ("leave", "SystemExit: 0"),
            ("deep", "RecursionError: maximum recursion depth exceeded"),
        ],
    )
    def test_raises(self, grade: Give, name: str, reason: str) -> None:
        """A function that raises, recurses or exits abstains with the reason."""
        given = grade(spec(name), "x")
        assert (given.value, given.passed) == (None, None)
        assert given.reason.startswith(reason)
        assert " (at acme_function_checks.py:" in given.reason

    def test_printing(self, grade: Give, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What a function prints, at import or later, stays out of standard output."""
        (tmp_path / "talks.py").write_text(
            "print('loading')\ndef polite(output, case):\n    print(output)\n    return True"
        )
        assert grade({"type": "python", "value": f"file://{tmp_path}/talks.py:polite"}, "hello").passed is True
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == "loading\nhello\n"

    def test_hostile(self, grade: Give, hostile: str) -> None:
        """The function sees the output as it is; its reason is still one line."""
        given = grade(spec("judged"), hostile)
        assert given.value == 0.9

    def test_negation(self, grade: Give) -> None:
        """`not-python` turns the answer round; an abstention stays one."""
        assert grade(spec("short") | {"type": "not-python"}, "yes").passed is False
        assert grade(spec("nothing") | {"type": "not-python"}, "yes").passed is None

    def test_scale(self) -> None:
        """Bounded, unless it promises to say yes or no."""
        assert parse(spec("short")).scale is Scale.BOUNDED
        assert parse(spec("short", scale="pass_fail")).scale is Scale.PASS_FAIL
        with pytest.raises(ConfigError, match=r"'assert.scale' must be pass_fail or bounded \(got 'ordinal'\)"):
            parse(spec("short", scale="ordinal"))


class TestTarget:
    """Where the function is."""

    def test_file(self, grade: Give, tmp_path: Path) -> None:
        """A file need not be importable by name."""
        path = tmp_path / "some checks.py"
        path.write_text("def fine(output, case):\n    return case.expected == output\n")
        assert grade({"type": "python", "value": f"file://{path}:fine"}, "a", expected="a").passed is True

    @pytest.mark.parametrize("value", ["checks", "checks.py:f", "a:b:c", "file://x.txt:f", "lambda: 1", "", 1])
    def test_written_wrong(self, value: object) -> None:
        """Anything else is no target."""
        with pytest.raises(ConfigError, match=r"'assert.value' must be "):
            parse({"type": "python", "value": value})

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("acme_no_such:f", "cannot import acme_no_such: ModuleNotFoundError: No module named 'acme_no_such'"),
            ("file:///no/such.py:f", "cannot import /no/such.py: FileNotFoundError"),
            ("acme_function_checks:absent", "'acme_function_checks:absent' must name a function"),
            ("acme_function_checks:CONSTANT", "'acme_function_checks:CONSTANT' must name a function"),
        ],
    )
    def test_missing(self, value: str, message: str) -> None:
        """A function that is not there is found before any answer is paid for."""
        with pytest.raises(PluginError) as caught:
            parse({"type": "python", "value": value})
        assert str(caught.value).startswith(message)

    def test_broken_file(self, tmp_path: Path) -> None:
        """A file that exits or does not parse is a broken plugin, not the end of the gate."""
        (tmp_path / "exits.py").write_text("raise SystemExit(0)")
        with pytest.raises(PluginError, match=r"SystemExit: 0"):
            parse({"type": "python", "value": f"file://{tmp_path}/exits.py:f"})

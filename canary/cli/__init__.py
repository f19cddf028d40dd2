"""The command line: `canary --help` says what there is to ask.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

from canary.cli.status import Exit
from canary.errors import CanaryError, UsageError

COMMANDS = (
    "init",
    "compare",
    "plan",
    "run",
    "replay",
    "report",
    "verify",
    "calibrate",
    "submit",
    "fetch",
    "import_",
    "log",
    "promote",
    "rollback",
    "history",
    "github",
)
"""Each is a file beside this one with an `add`; `canary --help` shows them in this order."""

PATH_FAULTS = {
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""A path that the command names cannot be used as it asks: a mistake, no failure of the gate."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""No room is left: nobody's mistake, and nothing that a traceback explains."""

EPILOG = """\
exit status
  0  promote          every blocking signal is shown to be inside its margin
                      (or --fail-on lets the verdict pass)
  1  rollback         a blocking signal got worse for certain: do not merge
  2  usage            the command, a file or a setting is wrong; nothing was decided
  3  hold             the evidence does not decide; the report says what would
  4  broken           the gate itself failed; nothing is known about the candidate
  130  interrupted    stopped from the keyboard; nothing was decided

start here
  canary init                                 put a workspace into this folder
  canary compare baseline.jsonl candidate.jsonl --golden prompts.jsonl
                                              judge outputs you already have
  canary plan pipelines/quickstart-good.yaml  what can this golden set detect?
  canary run pipelines/quickstart-good.yaml   drive both releases and judge them
"""


def entry() -> None:
    """The console script; an interrupt ends it at once, as Python would answer one more with a traceback."""
    try:
        status = main(sys.argv[1:], sys.stdout, sys.stderr)
    except KeyboardInterrupt:  # one more, while the first was told
        status = Exit.INTERRUPTED
    if status == Exit.INTERRUPTED:
        os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run one command and return its exit status; raises nothing.

    An unforeseen error is exit 4: Python's own 1 would mean `rollback`.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse: --help or a usage error
        return stop.code if isinstance(stop.code, int) else Exit.USAGE
    try:
        status = int(arguments.command(arguments, out, err))
        out.flush()
    except BaseException as error:  # noqa: BLE001 - an unknown failure, SystemExit too, must not look like a verdict
        if isinstance(error, BrokenPipeError) and _is_unread(out):
            _say(err, "canary: standard output was closed before all was written")
            return Exit.BROKEN
        return _failed(error, argv, err)
    return status


def _failed(error: BaseException, argv: Sequence[str], err: TextIO) -> Exit:
    """What went wrong in words, and the exit status that says whose fault it is."""
    if isinstance(error, UsageError):
        _say(err, *(f"canary: {problem}" for problem in error.problems))
        return Exit.USAGE
    if isinstance(error, OSError) and error.errno in PATH_FAULTS and error.filename is not None:
        _say(err, f"canary: {error.filename}: {error.strerror}")
        return Exit.USAGE
    if isinstance(error, KeyboardInterrupt):
        run = _cut_off(error) if list(argv[:1]) == ["run"] else ""
        advice = f"; go on with canary run --resume {run}" if run else ""
        _say(err, f"canary: interrupted{advice}")
        return Exit.INTERRUPTED
    if isinstance(error, CanaryError):
        _say(err, f"canary: {error}")
    elif isinstance(error, OSError) and error.errno in FULL:
        _say(err, f"canary: {error.filename or 'what is written'}: {error.strerror}; nothing was decided")
    else:
        _explain(error, err)
    return Exit.BROKEN


def _cut_off(error: BaseException | None) -> str:
    """The run that an interrupt says it cut off; one more, on the way out, does not say it itself."""
    while error is not None and not (isinstance(error, KeyboardInterrupt) and error.args):
        error = None if error.__suppress_context__ else error.__context__
    return "" if error is None else str(error)


def _is_unread(out: TextIO) -> bool:
    """Whether nobody reads it any more, as under `| head`; if so, the rest is not tried again at the end."""
    with suppress(OSError, ValueError, AttributeError):  # Windows has no poll
        pipe = select.poll()
        pipe.register(out.fileno(), select.POLLOUT)
        if any(event & select.POLLERR for _, event in pipe.poll(0)):
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
            return True
    return False


def _say(err: TextIO, *lines: str) -> None:
    """Print lines; where nobody can read them the exit status still stands."""
    from canary.located import printable  # noqa: PLC0415 - only what goes wrong needs it

    with suppress(OSError, ValueError):
        print(*(printable(part) for line in lines for part in line.split("\n")), sep="\n", file=err, flush=True)


def _explain(error: BaseException, err: TextIO) -> None:
    import traceback  # noqa: PLC0415 - only for bugs

    trace = "".join(traceback.format_exception(error)).rstrip()
    _say(err, trace, f"canary: the gate broke ({type(error).__name__}); nothing was decided")


class _Parser(argparse.ArgumentParser):
    """A parser whose commands themselves refuse what they do not know, with their own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """All of the arguments, or an error: argparse would have the whole program say it."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return found, unknown


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="canary",
        description="May this candidate replace the baseline? A release gate for LLM services.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"canary-gate {_version()}")
    commands = parser.add_subparsers(metavar="command", required=True)
    for name in COMMANDS:
        importlib.import_module(f"canary.cli.{name}").add(commands)
    return parser


def _version() -> str:
    from canary import __version__  # noqa: PLC0415

    return __version__

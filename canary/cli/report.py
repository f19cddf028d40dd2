"""`canary report`: pages about finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.options import add_command
from canary.cli.status import Exit
from canary.errors import ConfigError

if TYPE_CHECKING:
    from canary.cli.options import Commands


def add(commands: Commands) -> None:
    """The command and its options."""
    command = add_command(commands, "report", "write a page about finished runs", "canary report runs/R --open")
    command.add_argument("run", type=Path, nargs="?", help="run directory; nothing in it is changed")
    command.add_argument("--compare", type=Path, nargs=2, metavar="RUN", help="two runs on one page")
    command.add_argument("--index", type=Path, metavar="RUNS", help="every run of a folder on one page")
    command.add_argument("--out", type=Path, metavar="FILE", help="where to (default: beside the run)")
    command.add_argument("--open", action="store_true", help="show it in the browser")
    command.set_defaults(command=_report)


def _report(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    page = _write(arguments, err)
    print(page, file=out)
    if arguments.open:
        import webbrowser  # noqa: PLC0415 - only those who ask for it

        if not webbrowser.open(page.resolve().as_uri()):
            print(f"canary: there is no browser here; open {page} in one", file=err)
    return Exit.OK


def _write(arguments: argparse.Namespace, err: TextIO) -> Path:
    from canary.run.report import write_comparison, write_index, write_report  # noqa: PLC0415

    asked = [name for name in ("run", "compare", "index") if getattr(arguments, name) is not None]
    if len(asked) != 1:
        raise ConfigError(
            f"one of RUN, --compare RUN RUN and --index RUNS must be given (got {' and '.join(asked) or 'none'})"
        )
    if arguments.run is not None:
        return write_report(arguments.run, arguments.out)
    if arguments.compare is not None:
        first, second = arguments.compare
        return write_comparison(first, second, arguments.out)
    page, problems = write_index(arguments.index, arguments.out)
    for problem in problems:
        print(f"canary: {problem}", file=err)
    return page

"""The command line: `canary --help` says what there is to ask.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import enum
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.errors import CanaryError, ConfigError, UsageError

if TYPE_CHECKING:
    from canary.run.recorded import Judged

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse gives no public name

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


class Exit(enum.IntEnum):
    """The process's exit status; the epilog of `canary --help` says what each means."""

    OK = 0
    """Promote, a verdict that --fail-on lets pass, or a command that did what it was asked."""
    ROLLBACK = 1
    USAGE = 2
    HOLD = 3
    BROKEN = 4
    INTERRUPTED = 130
    """128 and the number of SIGINT, as shells have it."""


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run one command and return its exit status; raises nothing.

    An unforeseen error is exit 4: Python's own 1 would mean `rollback`.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse: --help or a usage error
        return stop.code if isinstance(stop.code, int) else Exit.USAGE
    try:
        return int(arguments.command(arguments, out, err))
    except UsageError as error:
        _say(err, *(f"canary: {problem}" for problem in error.problems))
        return Exit.USAGE
    except CanaryError as error:
        _say(err, f"canary: {error}")
        return Exit.BROKEN
    except KeyboardInterrupt:
        advice = "; go on with canary run --resume RUN" if list(argv[:1]) == ["run"] else ""
        _say(err, f"canary: interrupted{advice}")
        return Exit.INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - an unknown failure, SystemExit too, must not look like a verdict
        _explain(error, err)
        return Exit.BROKEN


def _say(err: TextIO, *lines: str) -> None:
    """Print lines; where nobody can read them the exit status still stands."""
    from canary.located import printable  # noqa: PLC0415 - only what goes wrong needs it

    with suppress(OSError, ValueError):
        print(*(printable(part) for line in lines for part in line.split("\n")), sep="\n", file=err, flush=True)


def _explain(error: BaseException, err: TextIO) -> None:
    import traceback  # noqa: PLC0415 - only for bugs

    trace = "".join(traceback.format_exception(error)).rstrip()
    _say(err, trace, f"canary: the gate broke ({type(error).__name__}); nothing was decided")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="canary",
        description="May this candidate replace the baseline? A release gate for LLM services.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"canary-gate {_version()}")
    commands = parser.add_subparsers(metavar="command", required=True)
    for add in (_add_init, _add_compare, _add_plan, _add_run, _add_replay, _add_verify, _add_calibrate, _add_history):
        add(commands)
    return parser


def _version() -> str:
    from canary import __version__  # noqa: PLC0415

    return __version__


def _add(commands: Commands, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_init(commands: Commands) -> None:
    command = _add(commands, "init", "put evals/, golden_sets/ and pipelines/ into a folder", "canary init .")
    command.add_argument("folder", type=Path, nargs="?", default=Path(), help="where to (default: here)")
    command.add_argument("--force", action="store_true", help="overwrite files that are already there")
    command.set_defaults(command=_init)


def _add_compare(commands: Commands) -> None:
    command = _add(
        commands,
        "compare",
        "judge two files of recorded outputs",
        "canary compare baseline.jsonl candidate.jsonl --golden prompts.jsonl",
    )
    command.add_argument("baseline", type=Path, help="JSONL, a line per response: id and output are enough")
    command.add_argument("candidate", type=Path, help="the same for the candidate")
    command.add_argument("--golden", type=Path, help="golden set: a folder or a prompts.jsonl")
    command.add_argument("--policy", type=Path, help="policy file (default: the built-in policy)")
    command.add_argument("--suite", type=Path, help="suite file: assertions, strata, clusters")
    _add_output(command)
    command.set_defaults(command=_compare)


def _add_plan(commands: Commands) -> None:
    command = _add(
        commands, "plan", "check a pipeline and what it can detect, before a token is spent", "canary plan p.yaml"
    )
    _add_pipeline(command)
    command.add_argument("--allow-underpowered", action="store_true", help="do not refuse a plan that cannot pass")
    command.add_argument("--calibration", type=Path, help="a noise file in place of the pipeline's own")
    command.set_defaults(command=_plan)


def _add_run(commands: Commands) -> None:
    command = _add(commands, "run", "drive both releases of a pipeline and judge them", "canary run p.yaml")
    _add_pipeline(command)
    command.add_argument("--resume", type=Path, metavar="RUN", help="continue a run that was cut off")
    command.add_argument("--runs", type=Path, help="folder of run directories (default: runs)")
    _add_output(command, run_directory=True)
    command.set_defaults(command=_run)


def _add_replay(commands: Commands) -> None:
    command = _add(
        commands, "replay", "judge a finished run again, perhaps under another policy", "canary replay runs/R"
    )
    command.add_argument("run", type=Path, help="run directory; nothing in it is changed")
    command.add_argument("--policy", type=Path, help="what if: another policy file")
    _add_output(command)
    command.set_defaults(command=_replay)


def _add_verify(commands: Commands) -> None:
    command = _add(commands, "verify", "check that a run's files are the ones it wrote", "canary verify runs/R")
    command.add_argument("run", type=Path, help="run directory")
    command.set_defaults(command=_verify)


def _add_calibrate(commands: Commands) -> None:
    command = _add(commands, "calibrate", "measure the bench itself", "canary calibrate noise pipelines/p.yaml")
    kinds = command.add_subparsers(metavar="what", required=True)
    noise = _add(
        kinds,
        "noise",
        "run a pipeline's baseline against itself and keep how much it differs",
        "canary calibrate noise pipelines/p.yaml",
    )
    noise.add_argument("pipeline", type=Path, help="pipeline file; plan and run then find its noise by themselves")
    noise.add_argument("--again", type=Path, metavar="FILE", help="recorded baselines: a second recording of it")
    noise.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run directories (default: runs)")
    noise.add_argument("--out", type=Path, metavar="FILE", help="where to (default: <pipeline>.noise.json beside it)")
    noise.set_defaults(command=_calibrate_noise)


def _add_history(commands: Commands) -> None:
    command = _add(
        commands, "history", "show past runs of a baseline, and where they left their limits", "canary history"
    )
    command.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="folder of runs (default: runs)")
    command.set_defaults(command=_history)


def _add_pipeline(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "pipeline", type=Path, nargs="?", help="pipeline file (default: pipelines/recorded.yaml, which needs no GPU)"
    )
    command.add_argument("--stage", choices=("build", "staging"), help="default: staging")


def _add_output(command: argparse.ArgumentParser, *, run_directory: bool = False) -> None:
    command.add_argument("--json", action="store_true", help="print the verdict.json document and nothing else")
    if not run_directory:
        command.add_argument("--out", type=Path, help="write a run directory here")
    command.add_argument(
        "--fail-on",
        choices=("rollback", "hold", "never"),
        default="hold",
        help="which verdicts fail the process (default: hold, that is both)",
    )


def _init(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.scaffold import init  # noqa: PLC0415

    written = init(arguments.folder, force=arguments.force)
    print(f"{len(written)} files written to {arguments.folder}: evals/, golden_sets/, pipelines/", file=out)
    there = "" if arguments.folder == Path() else f"cd {shlex.quote(str(arguments.folder))} && "
    print(f"next: {there}canary run        (judges the recorded example)", file=out)
    return Exit.OK


def _compare(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.recorded import compare_files  # noqa: PLC0415

    judged = compare_files(
        arguments.baseline,
        arguments.candidate,
        golden=arguments.golden,
        policy=arguments.policy,
        suite=arguments.suite,
    )
    return _report(judged, arguments, out, err)


def _plan(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:  # noqa: ARG001 - a command
    from canary.run.foresee import foresee, render_foresight  # noqa: PLC0415

    foresight = foresee(_pipeline(arguments), stage=_stage(arguments), calibration=arguments.calibration)
    print(render_foresight(foresight), file=out)
    return Exit.OK if foresight.can_pass or arguments.allow_underpowered else Exit.USAGE


def _run(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.execute import resume_run, start_run  # noqa: PLC0415

    if arguments.resume is not None:
        _require_alone(arguments)
        finished = resume_run(arguments.resume, arguments.pipeline, err)
    else:
        runs = arguments.runs or Path("runs")
        finished = start_run(_pipeline(arguments), stage=_stage(arguments), runs=runs, err=err)
    status = _report(finished.judged, arguments, out, err)
    _print_record(finished.path, finished.seal, err)
    return status


def _require_alone(arguments: argparse.Namespace) -> None:
    """Raise UsageError for an option that a resumed run has decided already."""
    given = [name for name in ("stage", "runs") if getattr(arguments, name) is not None]
    if given:
        raise UsageError(
            [f"'--{name}' must not stand beside --resume: a run goes on as and where it began" for name in given]
        )


def _stage(arguments: argparse.Namespace) -> str:
    return arguments.stage or "staging"


def _print_record(path: Path, sha256: str, err: TextIO) -> None:
    """Where the record is, and what proves later that it is still the same."""
    print(f"run: {path} (sha256 {sha256})", file=err)


def _replay(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.again import judge_again  # noqa: PLC0415

    return _report(judge_again(arguments.run, policy=arguments.policy), arguments, out, err)


def _verify(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.evidence import verify  # noqa: PLC0415

    problems = verify(arguments.run)
    print(*problems, sep="\n", file=err, end="\n" if problems else "")
    if not problems:
        print(f"{arguments.run}: every file is as it was written", file=out)
    return Exit.USAGE if problems else Exit.OK


def _calibrate_noise(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.calibrate import calibrate_noise, render_calibration  # noqa: PLC0415

    calibrated = calibrate_noise(
        arguments.pipeline, runs=arguments.runs, out=arguments.out, again=arguments.again, err=err
    )
    print(render_calibration(calibrated), file=out)
    _print_record(calibrated.run, calibrated.seal, err)
    return Exit.OK


def _history(arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    from canary.run.history import read_history, render_history  # noqa: PLC0415

    history = read_history(arguments.runs)
    for problem in history.problems:
        print(f"canary: {problem}", file=err)
    print(render_history(history), file=out)
    return Exit.OK


def _pipeline(arguments: argparse.Namespace) -> Path:
    if arguments.pipeline is not None:
        return Path(arguments.pipeline)
    default = Path("pipelines/recorded.yaml")
    if not default.exists():
        raise ConfigError(f"{default} does not exist: name a pipeline, or put a workspace here with 'canary init'")
    return default


def _report(judged: Judged, arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the verdict, keep it where asked, and map it to an exit status."""
    from canary.run.show import keep, show  # noqa: PLC0415

    folder = getattr(arguments, "out", None)
    sha256 = "" if folder is None else keep(judged, folder)
    show(judged, out, err, as_json=arguments.json)
    if folder is not None:
        _print_record(folder, sha256, err)
    return _status(judged, arguments.fail_on)


def _status(judged: Judged, fail_on: str) -> int:
    from canary.records import Decision  # noqa: PLC0415

    fails = {"rollback": {Decision.ROLLBACK}, "hold": {Decision.ROLLBACK, Decision.HOLD}, "never": set[Decision]()}
    decision = judged.verdict.verdict
    if decision not in fails[fail_on]:
        return Exit.OK
    return Exit.ROLLBACK if decision is Decision.ROLLBACK else Exit.HOLD

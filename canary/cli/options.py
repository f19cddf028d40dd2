"""Options that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from canary.cli.status import status_of
from canary.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from canary.run.promote import Names
    from canary.run.recorded import Judged

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse gives no public name


COMPARED = ("staging", "shadow")
"""Stages that ask both arms."""


def add_command(commands: Commands, name: str, summary: str, example: str) -> argparse.ArgumentParser:
    """One command with its summary and an example in its help."""
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


WORKSPACE_S_OWN = "pipeline file (default: pipelines/recorded.yaml, which needs no GPU)"


def add_pipeline_option(command: argparse.ArgumentParser, help_: str = WORKSPACE_S_OWN) -> None:
    """The pipeline and the stage."""
    command.add_argument("pipeline", type=Path, nargs="?", help=help_)
    command.add_argument(
        "--stage",
        choices=("build", *COMPARED),
        help="build: the candidate alone, by the form of its answers; staging: both, on the golden set; shadow: both, "
        "on what production was asked (default: staging)",
    )


def add_labels_option(command: argparse.ArgumentParser) -> None:
    """What people said."""
    command.add_argument(
        "--labels", type=Path, metavar="FILE", help="people's labels of the run's answers: they correct its judges"
    )


def add_output_options(command: argparse.ArgumentParser, *, run_directory: bool = False) -> None:
    """What is printed and kept, and which verdicts fail the process."""
    command.add_argument("--json", action="store_true", help="print the verdict.json document and nothing else")
    if not run_directory:
        command.add_argument("--out", type=Path, help="write a run directory here")
    command.add_argument(
        "--fail-on",
        choices=("rollback", "hold", "never"),
        default="hold",
        help="the mildest verdict that is a failure to the shell; never: exit with 0 whatever it is (default: hold)",
    )


def add_registry_options(command: argparse.ArgumentParser) -> None:
    """Which registered names are moved, and where."""
    command.add_argument("--model", metavar="NAME", help="registered model (default: the pipeline's registry.model)")
    command.add_argument("--prompt", metavar="NAME", help="registered prompt (default: the pipeline's registry.prompt)")
    add_tracking_option(command)


def names_of(arguments: argparse.Namespace) -> Names:
    """The registered names of the command line. Raises UsageError where one cannot be a name."""
    from canary.destination import NAME  # noqa: PLC0415
    from canary.run.promote import Names  # noqa: PLC0415

    named = {"model": arguments.model, "prompt": arguments.prompt}
    wrong = [option for option, name in named.items() if name is not None and not re.fullmatch(NAME, name)]
    if wrong:
        raise UsageError([f"'--{option}' must match {NAME} (got {named[option]!r})" for option in wrong])
    return Names(model=arguments.model, prompt=arguments.prompt, uri=uri_of(arguments))


def add_tracking_option(command: argparse.ArgumentParser) -> None:
    """The MLflow server."""
    command.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="default: the pipeline's, else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db; no credentials here",
    )


def uri_of(arguments: argparse.Namespace) -> str | None:
    """The MLflow server of the command line. Raises UsageError where it holds a secret, which is not repeated."""
    from canary.address import holds_credentials  # noqa: PLC0415

    uri: str | None = arguments.tracking_uri
    if uri is not None and (not uri or holds_credentials(uri)):
        raise UsageError(
            "'--tracking-uri' must be an address without credentials, which belong into the environment: "
            "MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    return uri


def pipeline_of(arguments: argparse.Namespace) -> Path:
    """The pipeline named, or the workspace's own. Raises ConfigError without either."""
    if arguments.pipeline is not None:
        return Path(arguments.pipeline)
    default = Path("pipelines/recorded.yaml")
    if not default.exists():
        raise ConfigError(f"{default} does not exist: name a pipeline, or put a workspace here with 'canary init'")
    return default


def stage_of(arguments: argparse.Namespace) -> str:
    """The stage named, or staging."""
    return arguments.stage or "staging"


def require_alone(arguments: argparse.Namespace, *names: str) -> None:
    """Raise UsageError for an option that a resumed run has decided already."""
    given = [name for name in names if getattr(arguments, name.replace("-", "_")) not in {None, False}]
    if given:
        raise UsageError(
            [f"'--{name}' must not stand beside --resume: a run goes on as and where it began" for name in given]
        )


def report(judged: Judged, arguments: argparse.Namespace, out: TextIO, err: TextIO) -> int:
    """Print the verdict, keep it where asked, and map it to an exit status."""
    from canary.run.show import keep, show  # noqa: PLC0415

    folder = getattr(arguments, "out", None)
    sha256 = "" if folder is None else keep(judged, folder)
    show(judged, out, err, as_json=arguments.json)
    if folder is not None:
        print_record(folder, sha256, err)
    return status_of(judged, arguments.fail_on)


def print_record(path: Path, sha256: str, err: TextIO) -> None:
    """Where the page for people is, where the record, and what proves later that it is still the same."""
    if (page := path / "report.html").is_file():
        print(f"report: {page}", file=err)
    print(f"run: {path} (sha256 {sha256})", file=err)

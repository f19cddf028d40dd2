"""A pipeline on a cluster that runs already, and its run directory brought back."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import canary
from canary.config import load_pipeline
from canary.document import display
from canary.errors import ConfigError, EngineError, EvidenceError, MissingExtra
from canary.evidence import RunDirectory
from canary.journal import Journal
from canary.located import printable
from canary.pipeline import RayRunner
from canary.run.again import disagrees, judge_again
from canary.run.execute import resumable
from canary.run.load import gather
from canary.run.parcel import carry, is_parcel, unpack
from canary.run.recorded import Judged
from canary.runners.head import watched

REMOTE_RUNS = "canary-runs"
"""Folder of a job's working directory, with a folder for each job."""
LEFT_OUT = [".git", ".venv*", "runs", "__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache", ".pytest_cache"]
"""Never part of what a job needs; `.gitignore` is minded too."""
HOW_TO_ENTER = "it wants its token: set RAY_AUTH_MODE=token (read from ~/.ray/auth_token, or from RAY_AUTH_TOKEN)"
_PARCEL = "python -m canary.run.parcel"
STARTING_S = 60.0
"""How long a head node that is just starting may have nobody to run a job."""
AGAIN_S = 3.0
LAST_LINES = 15
LONGEST = 400
"""Characters of a line that is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a job brought back."""

    job: str
    run: Path | None
    """None where the job ended before it had one."""
    judged: Judged | None
    """None where the run has no verdict."""
    status: int
    """The job's own exit status."""
    log: tuple[str, ...] = ()
    """Its log's last lines, printable and cut."""
    message: tuple[str, ...] = ()
    """The cluster's last lines on a job that wrote no log."""


def submit(path: Path, *, address: str, stage: str, fail_on: str, err: TextIO) -> str:
    """Start a job that runs the pipeline; its id.

    The current folder travels along, and so does this version of the package.
    Everything the pipeline names is read and checked here first. Raises
    UsageError for what is wrong with it, EngineError for the cluster; one that
    is just starting is waited for.
    """
    inside, runs = _checked(path, stage), _runs_of_its_own()
    job = _entrypoint(runs, [str(inside), "--runs", runs, "--stage", stage, "--fail-on", fail_on])
    return _sent(job, inside, address, err)


def submit_resumed(run: Path, pipeline: Path | None, *, address: str, fail_on: str, err: TextIO) -> str:
    """Start a job that goes on with a run that was cut off; its id.

    The run travels along, nothing that both arms answered is asked again, and
    `fetch` puts what comes back in its place. `pipeline` is where it stands
    now, should that not be where the run says. Raises as `submit` does.
    """
    stored, source = resumable(RunDirectory(run), pipeline)
    inside, runs = _checked(source, stored.stage), _runs_of_its_own()
    again = [str(inside), "--resume", f"{runs}/{run.name}", "--fail-on", fail_on]
    job = _entrypoint(runs, again, f"{_PARCEL} receive {runs} && ")
    with tempfile.TemporaryDirectory(prefix="canary-submit-") as folder:
        with Journal.open(RunDirectory(run).responses):  # nobody goes on with it here while it is packed
            module = carry(run, Path(folder))
        return _sent(job, inside, address, err, module)


def _runs_of_its_own() -> str:
    """A job's folder of run directories; Ray gives jobs whose sent folders are equal one working directory."""
    return f"{REMOTE_RUNS}/{secrets.token_hex(4)}"


def _checked(path: Path, stage: str) -> Path:
    """The pipeline as the job finds it, once all that it names is fine."""
    inside = _inside(path)
    pipeline = load_pipeline(path)
    if not isinstance(pipeline.runner, RayRunner):
        raise ConfigError(f"{display(path)}: 'runner' must be 'ray' to use a cluster (got {pipeline.runner.type!r})")
    gather(pipeline, path, stage=stage)
    return inside


def _sent(entrypoint: str, pipeline: Path, address: str, err: TextIO, *modules: Path) -> str:
    """The id of a job, once the current folder, this package and other modules are on the cluster."""
    with _cluster(address) as client:
        print(f"sending {Path.cwd()} to {address}", file=err, flush=True)
        with _without_ray_s_log():
            return _patiently(lambda: str(client.submit_job(**_job(entrypoint, pipeline, modules))), err)


@contextmanager
def _without_ray_s_log() -> Iterator[None]:
    """Nothing of what Ray logs of each thing it packs or leaves out; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def follow(job: str, *, address: str, err: TextIO) -> None:
    """Show the job's log until it ends."""
    with _cluster(address) as client:
        asyncio.run(_follow(job, client.tail_job_logs(job), address, err))


def fetch(job: str, *, address: str, runs: Path) -> Returned:
    """Bring the run of a job that has ended here, and judge its evidence again.

    The verdict is computed here and must be the one the cluster wrote. Raises
    EvidenceError while the job still runs, and where there is no such job.
    """
    with _cluster(address) as client:
        info = _info(client, job, address)
        if not info.status.is_terminal():
            raise EvidenceError(f"job {job} has not ended: it is {info.status}; fetch it later")
        lines = client.get_job_logs(job).splitlines()
    run = unpack(lines, runs)
    status = info.driver_exit_code if info.driver_exit_code is not None else 4
    judged = _judged(run) if run is not None and (run / "manifest.json").is_file() else None
    log = _last(lines)
    message = () if log else _last((info.message or "").splitlines())
    return Returned(job=job, run=run, judged=judged, status=status, log=log, message=message)


def _judged(run: Path) -> Judged:
    judged = judge_again(run)
    if problems := list(disagrees(run, judged.verdict)):
        raise EvidenceError(problems)
    return judged


def _last(lines: list[str]) -> tuple[str, ...]:
    """The last lines that are for people."""
    said = [line for line in map(str.rstrip, lines) if line and not is_parcel(line)]
    return tuple(printable(line[:LONGEST]) for line in said[-LAST_LINES:])


def _info(client: Any, job: str, address: str) -> Any:
    """What the cluster knows of the job."""
    try:
        return client.get_job_info(job)
    except (RuntimeError, TypeError) as error:  # TypeError: '' and '.' name all jobs
        if isinstance(error, RuntimeError) and "status code 404" not in str(error):
            raise
        raise EvidenceError(f"no job '{printable(job)}' at {address}") from None


def _patiently(start: Callable[[], str], err: TextIO) -> str:
    """The id of the job, once the cluster has somebody to run it."""
    until: float | None = None
    while True:
        try:
            return start()
        except RuntimeError as error:
            refused = time.monotonic()
            if "No available agent" not in str(error) or (until is not None and refused + AGAIN_S > until):
                raise
        if until is None:
            print(f"the cluster is still starting: waiting up to {STARTING_S:g} s", file=err, flush=True)
            until = refused + STARTING_S
        time.sleep(AGAIN_S)


def _inside(path: Path) -> Path:
    """The pipeline as the job finds it."""
    try:
        return path.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        raise ConfigError(
            f"{display(path)} must lie in the current folder, which is what travels to the cluster"
        ) from None


def _job(entrypoint: str, pipeline: Path, modules: Iterable[Path]) -> dict[str, Any]:
    """What the cluster is asked for; Ray writes into it."""
    return {
        "entrypoint": entrypoint,
        "runtime_env": {
            "working_dir": str(Path.cwd()),
            "excludes": LEFT_OUT,
            "py_modules": [str(Path(canary.__file__).parent), *map(str, modules)],
        },
        "metadata": {"pipeline": str(pipeline), "canary-gate": canary.__version__},
    }


def _entrypoint(runs: str, arguments: list[str], before: str = "") -> str:
    """Runs, then sends home whatever there is; the exit status is the run's.

    The shell outlives the signal of `ray job stop`, which ends the run, so
    that a stopped job's answers come home too; nor does it end their sending.
    """
    run = f"{before}{shlex.join(['python', '-m', 'canary', 'run', *arguments])}"
    send = f"trap '' TERM INT; {_PARCEL} send {runs}"
    return f"trap : TERM INT; mkdir -p {runs}; {run}; status=$?; {send}; exit $status"


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """A client of the cluster's job interface; what goes wrong with it is EngineError."""
    try:
        import ray
        from ray.job_submission import JobSubmissionClient
    except ModuleNotFoundError as error:
        raise MissingExtra("'canary submit'", "ray") from error
    try:
        client = JobSubmissionClient(address)
        _require_same_ray(ray.__version__, client, address)
        yield client
    except (ConnectionError, RuntimeError, OSError, ValueError, ray.exceptions.RayError) as error:
        first = printable(str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__)
        if isinstance(error, ray.exceptions.AuthenticationError):
            raise EngineError(f"the cluster at {address} does not let us in: {first}; {HOW_TO_ENTER}") from error
        raise EngineError(f"the cluster at {address} does not answer as it should: {first}") from error


def _require_same_ray(here: str, client: Any, address: str) -> None:
    """Raise EngineError for a cluster of another Ray: its actors could not be spoken to."""
    there = str(getattr(client, "_server_ray_version", here))  # Ray shows it to nobody else
    if there.split(".")[:2] != here.split(".")[:2]:
        raise EngineError(f"the cluster at {address} runs Ray {there}, here is Ray {here}: install the same version")


async def _follow(job: str, log: AsyncIterator[str], address: str, err: TextIO) -> None:
    """Lines for people; pieces of the log need not end with a line."""
    rest, url = "", urlsplit(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    advice = f"should it come back: canary fetch {job} --address {address}"
    async with watched(url.hostname, port, advice) if url.hostname else nullcontext():
        async for piece in log:
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                if not is_parcel(line):
                    print(line, file=err, flush=True)
    if rest and not is_parcel(rest):
        print(rest, file=err, flush=True)

"""A release as the command line of its server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from canary.errors import ConfigError
from canary.release import VllmRelease
from canary.weights import rank_of

MODULE = "vllm.entrypoints.openai.api_server"
"""The `vllm` command itself does not start in every build of it."""
SERVED = "candidate-or-baseline"
"""Both arms go by one name, so that nothing a server does can depend on it."""
ADAPTER = "adapter"
RANKS = (16, 32, 64, 128, 256, 320, 512)
"""The ranks of adapters that vLLM can make room for, its own choice first."""
CHECK_S = 120.0

_NO_VLLM = 77
"""The status of an interpreter that has none."""

_CHECK = f"""
import sys
from importlib import import_module
from importlib.util import find_spec

if find_spec("vllm") is None:
    sys.exit({_NO_VLLM})

def first(name, *modules):
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    sys.exit(0)

Parser = first("FlexibleArgumentParser", "vllm.utils.argparse_utils", "vllm.utils")
fill = first("make_arg_parser", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
fill(Parser()).parse_args(sys.argv[1:])
"""
"""Where a version of vLLM keeps its parser; one that has it elsewhere is not asked."""


def interpreter(release: VllmRelease) -> str:
    """The Python that has vLLM."""
    return release.python or sys.executable


def requested_model(release: VllmRelease) -> str:
    """The name that requests ask for."""
    return SERVED if release.lora is None else ADAPTER


def arguments(release: VllmRelease) -> list[str]:
    """What the server is told, without host and port."""
    told = ["--model", release.model, "--served-model-name", SERVED]
    if release.revision is not None:
        told += ["--revision", release.revision]
    if release.tensor_parallel > 1:
        told += ["--tensor-parallel-size", str(release.tensor_parallel)]
    if release.lora is not None:
        told += ["--enable-lora", "--lora-modules", f"{ADAPTER}={release.lora}", *_room(release, release.lora)]
    return [*told, *_written(release)]


def _room(release: VllmRelease, adapter: str) -> list[str]:
    """Room for the adapter's rank, where that is more than the server has by itself and the release gives none."""
    rank = rank_of(Path(adapter))
    if rank <= min(RANKS) or {"max_lora_rank", "max-lora-rank"} & release.engine_args.keys():
        return []
    return ["--max-lora-rank", str(next((room for room in RANKS if room >= rank), rank))]


def _written(release: VllmRelease) -> Iterator[str]:
    for name, value in sorted(release.engine_args.items()):
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            yield flag if value else f"--no-{flag[2:]}"
        else:
            yield flag
            yield from (str(each) for each in (value if isinstance(value, tuple) else (value,)))


def check_arguments(release: VllmRelease, *, away: bool = False) -> str:
    """Raise ConfigError for an engine argument that this vLLM does not take; why they could not be checked, else "".

    Asks vLLM itself, which takes some seconds. `away` is for an arm that may
    be placed on another machine, whose interpreter need not be here.
    """
    command = [interpreter(release), "-c", _CHECK, *arguments(release)]
    try:
        asked = subprocess.run(  # noqa: S603 - the interpreter is the user's own
            command, capture_output=True, text=True, check=False, timeout=CHECK_S
        )
    except subprocess.TimeoutExpired:
        return _unchecked(release, f"vLLM says nothing within {CHECK_S:g} s")
    except OSError as error:
        problem = f"must be an interpreter (got {release.python}: {error.strerror})"
        if not away:
            raise ConfigError(f"release '{release.name}': 'python' {problem}") from None
        return _unchecked(release, f"{release.python} is not here ({error.strerror})")
    if asked.returncode == _NO_VLLM:
        return _unchecked(release, f"vLLM is not {f'in {release.python}' if release.python else 'here'}")
    said = [line for line in asked.stderr.splitlines() if ": error: " in line]
    if asked.returncode == 2 and said:
        complaint = said[-1].partition(": error: ")[2]
        raise ConfigError(f"release '{release.name}': 'engine_args' must be what vLLM takes (it says: {complaint})")
    return ""


def _unchecked(release: VllmRelease, why: str) -> str:
    return f"release '{release.name}': {why}: 'engine_args' are not checked; the run needs it where the arm is placed"

"""What a plan will cost, said before a token is spent: requests, tokens, money, time, room and load."""

from __future__ import annotations

from collections.abc import Iterator

from canary.assertions.binding import BUILD
from canary.calibration import Usage
from canary.pipeline import Pipeline, RayRunner
from canary.records import Arm
from canary.release import LiveRelease
from canary.run.capacity import capacity
from canary.run.hire import rate_of
from canary.run.judge import CHARACTERS_A_TOKEN
from canary.run.judging import judging_lines
from canary.run.load import Loaded
from canary.run.offer import load_lines
from canary.run.resolve import calibration_command
from canary.signals.wording import dollars

UNKNOWN_ANSWER = 256
"""Tokens of a recorded answer that nobody counted."""


def spending(loaded: Loaded, rate: float | None) -> Iterator[str]:
    """What a run asks of its arms, judges, cluster and servers; `rate` is production's requests a second."""
    asked = len(loaded.golden.prompts) * loaded.suite.repeat
    usage = None if loaded.plan.calibration is None else loaded.plan.calibration.usage
    yield from _requests(loaded, asked, usage)
    yield from judging_lines(loaded, _answer_tokens(loaded, usage))
    yield from _time(loaded, asked, usage)
    yield from _places(loaded)
    yield from load_lines(loaded, usage)
    yield from capacity(loaded.pipeline, usage, rate, loaded.plan.load)


def _requests(loaded: Loaded, asked: int, usage: Usage | None) -> Iterator[str]:
    """Requests, tokens and money, per arm, with what each rests on."""
    for arm, release in loaded.pipeline.releases.items():
        if loaded.plan.stage == BUILD and arm is Arm.BASELINE:
            continue
        if not isinstance(release, LiveRelease):
            yield f"{arm}: {asked} answers read from a file, no tokens"
            continue
        measured = _tokens(usage)
        reads, writes = measured or (_guess(loaded), release.sampling.max_tokens)
        kind = "at the baseline's length" if measured else "at most"
        price = release.token_price
        hired = _hired(loaded.pipeline, arm, asked, usage)
        money = hired if price is None else f", {kind} {dollars(asked * price.of(reads, writes))}"
        yield (
            f"{arm}: {asked} requests, about {asked * reads:,} input tokens, "
            f"{kind} {asked * writes:,} output tokens{money}"
        )


def _hired(pipeline: Pipeline, arm: Arm, asked: int, usage: Usage | None) -> str:
    """What an arm's time costs, where it is paid for; it is known once the baseline was timed."""
    rate = rate_of(pipeline, arm)
    if rate is None:
        return ""
    if usage is None or usage.total_s is None:
        return ", money unknown until timed"
    return f", about {dollars(asked * usage.total_s * rate)} at the calibration's pace"


def _places(loaded: Loaded) -> Iterator[str]:
    """What a cluster must have room for at once."""
    runner = loaded.pipeline.runner
    if isinstance(runner, RayRunner):
        count = runner.replicas * loaded.pipeline.engines_at_once
        wants = ", ".join(f"{count * each:g} {name}" for name, each in runner.room().items())
        yield f"room: {wants} at once, for {count} x {runner.room()}"


def _answer_tokens(loaded: Loaded, usage: Usage | None) -> int:
    """What an answer takes to read: as the calibration measured it, else the most that a release may write."""
    if usage is not None and usage.output_tokens is not None:
        return round(usage.output_tokens)
    sides = loaded.pipeline.releases.values()
    return max((side.sampling.max_tokens for side in sides if isinstance(side, LiveRelease)), default=UNKNOWN_ANSWER)


def _time(loaded: Loaded, asked: int, usage: Usage | None) -> Iterator[str]:
    """How long it takes, where the load says so or the calibration timed the baseline; else nothing bounds it."""
    rounds = len(Arm) if loaded.plan.sequential else 1
    if loaded.plan.load is not None:
        yield f"time: about {rounds * loaded.plan.load.seconds:.0f} s, as the load has it, and the last answers"
    elif usage is not None and usage.total_s is not None:
        seconds = rounds * asked * usage.total_s / loaded.pipeline.concurrency
        yield f"time: about {seconds:.0f} s at the calibration's pace"
    elif loaded.pipeline.is_live:
        yield f"time: unknown until measured: {calibration_command(loaded.plan)}"


def _tokens(usage: Usage | None) -> tuple[int, int] | None:
    """Mean tokens a request as the calibration measured them."""
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return round(usage.input_tokens), round(usage.output_tokens)


def _guess(loaded: Loaded) -> int:
    characters = sum(len(str(prompt.vars or prompt.messages)) for prompt in loaded.golden.prompts)
    return max(1, characters // (CHARACTERS_A_TOKEN * max(1, len(loaded.golden.prompts))))

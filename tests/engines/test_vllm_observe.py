"""What a scrape of vLLM and a look at the machine become; the text is a real server's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from psutil import cpu_times

from canary.engines.vllm.observe import Machine, Observed, busy_share, read_metrics
from canary.engines.vllm.server import Server
from canary.protocols import Observable, Request
from canary.records import Response

TEXT = (Path(__file__).parent / "recorded" / "metrics.txt").read_text()
SEEN = {
    "running": 0.0,
    "waiting": 0.0,
    "kv_cache": 0.0,
    "preemptions": 0.0,
    "prompt_tokens": 38.0,
    "generation_tokens": 4.0,
    "prefix_queries": 38.0,
    "prefix_hits": 0.0,
}


def test_a_real_scrape() -> None:
    """Every value by its plain name; counters by source, by reason and of other caches are others."""
    assert read_metrics(TEXT) == SEEN


def test_several_engines_in_one_server() -> None:
    """Counts add up, and the fullest cache is the server's."""
    text = TEXT.replace('kv_cache_usage_perc{engine="0",model_name="m"} 0.0', 'kv_cache_usage_perc{engine="0"} 0.25')
    text += 'vllm:kv_cache_usage_perc{engine="1"} 0.75\nvllm:generation_tokens_total{engine="1"} 6\n'

    assert read_metrics(text) == SEEN | {"kv_cache": 0.75, "generation_tokens": 10.0}


def test_names_of_older_versions() -> None:
    """They mean the same."""
    assert read_metrics("vllm:gpu_cache_usage_perc 0.5\nvllm:gpu_prefix_cache_hits_total 3\n") == {
        "kv_cache": 0.5,
        "prefix_hits": 3.0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>no metrics here</html>\n",
        "up 1\n",
        *(f"vllm:kv_cache_usage_perc {value}\n" for value in ("NaN", "1.5", "-1", "+Inf")),
    ],
)
def test_what_is_not_there_is_left_out(text: str) -> None:
    """Neither zero nor NaN stands in for it, nor a share of more than there is."""
    assert read_metrics(text) == {}


def test_the_fullest_cache_is_not_known_where_one_is_not() -> None:
    """An engine whose level cannot be so may be the fullest: the server's is then unknown, its counts are not."""
    text = 'vllm:kv_cache_usage_perc{engine="0"} 0.25\nvllm:kv_cache_usage_perc{engine="1"} 1.5\n'

    assert read_metrics(f"{text}vllm:num_requests_running 3\n") == {"running": 3.0}


def test_this_machine() -> None:
    """Shares, the processors' of the time since the last look."""
    machine = Machine()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass

    seen = machine.observe()

    assert 0 < seen["memory"] < 1
    assert 0 < seen["cpu"] <= 1


def test_busy_is_all_but_waiting() -> None:
    """Waiting for a disk is not work, and a guest's time is counted once."""
    none = cpu_times()._replace(**dict.fromkeys(cpu_times()._fields, 0.0))
    some = none._replace(user=3.0, guest=3.0, system=1.0, idle=4.0, iowait=2.0)

    assert busy_share(none, some) == pytest.approx(0.4)
    assert busy_share(some, some) is None


async def nothing(request: Request) -> Response | None:
    """Answers nothing."""


@pytest.mark.parametrize(("status", "kept"), [(200, {*SEEN, "cpu", "memory"}), (500, {"cpu", "memory"})])
def test_observe(status: int, kept: set[str]) -> None:
    """The start's length is said each time; a server that gives an error leaves the machine's values."""

    async def said(request: web.Request) -> web.Response:
        return web.Response(status=status, text=TEXT)

    async def twice() -> list[dict[str, float]]:
        application = web.Application()
        application.router.add_get("/metrics", said)
        async with TestServer(application) as place, ClientSession() as client:
            keeper: Any = None  # it is asked only about faults
            origin = str(place.make_url("")).rstrip("/")
            server = Server(who="v1", origin=origin, started_s=12.5, key="", keeper=keeper, log=Path())
            observed = Observed(generate=nothing, server=server, client=client)
            assert isinstance(observed, Observable)
            observed.machine._then = SimpleNamespace(**dict.fromkeys(cpu_times()._fields, -9.0), _fields=())
            return [dict((await observed.observe())[0]) for _ in range(2)]

    first, second = asyncio.run(twice())

    assert first.pop("started_s") == second.pop("started_s") == 12.5
    assert first.keys() == kept
    assert second.keys() - {"cpu"} == kept - {"cpu"}

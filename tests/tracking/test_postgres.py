"""The same over PostgreSQL, where teams keep MLflow: stricter than SQLite, and concurrent."""

from __future__ import annotations

import importlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from canary.errors import PromotionError
from canary.registry import ModelEntry, Transition, move, read_transitions
from canary.tracking import connected
from tests.tracking.conftest import START_S, Desk, Server, reserved
from tests.tracking.test_promotion import step
from tests.tracking.test_publish import publish_hostile, state, to

FEW = 24


def _program(name: str) -> str | None:
    found = shutil.which(name)
    return found or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root lends it another user."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in known else "nobody"}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL of its own, gone afterwards; the address of an empty database."""
    pytest.importorskip("psycopg2", reason="no psycopg2: pip install psycopg2-binary")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    folder, user = Path(tempfile.mkdtemp(prefix="canary-pg-")), _user()
    if user:
        shutil.chown(folder, user["user"])
    try:
        made = [initdb, "-D", str(folder / "data"), "-U", "canary", "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **user)
        user |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [postgres, "-D", str(folder / "data"), "-k", str(folder), "-c", "fsync=off", "-h", "127.0.0.1"]
        with reserved() as port, subprocess.Popen([*command, "-p", str(port)], cwd=folder, **user) as process:
            try:
                _wait(port, process)
                yield f"postgresql+psycopg2://canary@127.0.0.1:{port}/postgres"
            finally:
                process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown, which waits for no client
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it takes a connection; a server that ended or hangs never does."""
    psycopg2: Any = importlib.import_module("psycopg2")
    end = time.monotonic() + START_S
    while True:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="canary", dbname="postgres").close()
        except psycopg2.OperationalError:
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server over PostgreSQL."""
    pytest.importorskip("mlflow", reason="no MLflow: pip install 'canary-gate[mlflow]'")
    started = Server(database, tmp_path_factory.mktemp("artifacts"))
    try:
        started.start()
        yield started
    finally:
        started.kill()


def test_publishing_again_doubles_nothing(server: Server, desk: Desk) -> None:
    """A run is there once, after one attempt and after two."""
    run = desk.run(wrong=2, cases=FEW, **to(server, "twice"))
    first = state(server, "twice")
    assert (first["rows"], len(first["traces"]), first["assessments"]) == (FEW, 2 * FEW, 4 * FEW)

    (gate,) = server.gates("twice")
    server.ask("2.0/mlflow/runs/delete-tag", run_id=gate["info"]["run_id"], key="gate.complete")
    assert desk.canary("log", run).status == 0
    assert state(server, "twice") == first


def test_hostile_text_is_published(server: Server, desk: Desk) -> None:
    """PostgreSQL refuses a NUL in a text, where SQLite takes it."""
    publish_hostile(desk, server)

    assert len(server.traces("hostile")) == 24


def test_of_many_claims_one_counts(server: Server) -> None:
    """Eight at once: one counts, seven are told, and the alias is the winner's."""
    with connected(server.url) as tracker:
        entry = ModelEntry(tracker.client, "stress", "stress")
        from canary.plan import ReleasePlan

        for n in range(1, 10):
            entry.ensure(ReleasePlan(name=f"v{n}", digest=f"{n}" * 64, release={}), "r")
        wanted = [step(0, str(n), "9", who=f"p{n}@host") for n in range(1, 9)]

        def outcome(one: Transition) -> Transition | PromotionError:
            try:
                return move(entry, one)
            except PromotionError as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(outcome, wanted))
        (won,) = [end for end in ends if isinstance(end, Transition)]

        assert read_transitions(tracker.client, "stress") == (won,)
        assert server.alias("stress", "champion") == won.after


def test_promote_and_roll_back(server: Server, desk: Desk) -> None:
    """The alias moves, there and back."""
    run = desk.run()
    promoted = desk.canary("promote", run, "--model", "support", "--tracking-uri", server.url)
    assert promoted.status == 0, promoted.err
    assert server.alias("support", "champion") == "2"
    assert desk.canary("rollback", "--runs", run.parent).status == 0
    assert server.alias("support", "champion") == "1"

"""Champion moves only for what was tested, against what is champion, once; and everybody knows who moved it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from canary.errors import PromotionError
from canary.ledger import LEDGER, append, read
from canary.registry import ModelEntry, Transition, claim, move, read_transitions, settle
from canary.tracking import connected
from tests.tracking.conftest import Desk, Server

ROOT = Path(__file__).resolve().parents[2]
FEW = 220


def promote(desk: Desk, server: Server, run: Path, *more: str, model: str) -> Any:
    """`canary promote` of a model."""
    return desk.canary("promote", run, "--model", model, "--tracking-uri", server.url, *more)


def step(number: int, after: str, before: str = "1", *, who: str = "ann@desk") -> Transition:
    """A change based on another."""
    return Transition(
        number=0, based_on=number, what="promote", before=before, after=after, who=who, at="2026-01-01T00:00:00Z",
        why="tested", record=f"record of {who}",
    )  # fmt: skip


def test_promote_and_roll_back(server: Server, desk: Desk) -> None:
    """The first promotion registers both releases; the alias and the one before it move, there and back, once."""
    run = desk.run()

    promoted = promote(desk, server, run, model="there")
    assert promoted.status == 0, promoted.err
    assert promoted.out.startswith("there: champion was version 1, is version 2 (v2)\n")
    assert (server.alias("there", "champion"), server.alias("there", "previous-champion")) == ("2", "1")
    assert promote(desk, server, run, model="there").out == "there: version 2 is champion already\n"

    back = desk.canary("rollback", "--runs", run.parent, "--reason", "wrong prices")
    assert back.out == "there: champion was version 2, is version 1 again\n"
    assert (server.alias("there", "champion"), server.alias("there", "previous-champion")) == ("1", "2")
    again = desk.canary("rollback", "--runs", run.parent)
    assert (again.status, again.err) == (
        2,
        "canary: there: there is no earlier champion to go back to; nothing was moved\n",
    )

    moves = [entry for entry in read(run.parent).entries if entry["what"] != "verdict"]
    assert [(m["what"], m["before"], m["after"], m["why"]) for m in moves] == [
        ("promote", "1", "2", "the gate says promote"),
        ("rollback", "2", "1", "wrong prices"),
    ]
    shown = desk.canary("history", run.parent).out
    assert "promote   there 1 -> 2" in shown
    assert ": wrong prices" in shown


def test_versions_say_which_release_they_are(server: Server, desk: Desk) -> None:
    """A version carries the digest that was tested, and is used again rather than doubled."""
    run = desk.run()
    promote(desk, server, run, model="tags")
    plan = json.loads((run / "plan.json").read_text())
    for version, arm in (("1", "baseline"), ("2", "candidate")):
        found = server.get("api/2.0/mlflow/model-versions/get", name="tags", version=version)["model_version"]
        tags = {tag["key"]: tag["value"] for tag in found["tags"]}
        assert tags["gate.digest"] == plan[arm]["digest"]
        assert found["source"].startswith("models:/m-")


def test_a_verdict_that_is_no_promote_is_refused(server: Server, desk: Desk) -> None:
    """A rollback or hold moves nothing, unless the release owner says why; that is written down."""
    run = desk.run(wrong=60)

    refused = promote(desk, server, run, model="held")
    assert refused.status == 2
    assert refused.err.startswith("canary: the verdict is rollback: ")
    assert server.alias("held", "champion") is None

    forced = promote(desk, server, run, "--override", "the old one is worse", model="held")
    assert forced.status == 0, forced.err
    entry = read(run.parent).entries[-1]
    assert entry["why"] == "the old one is worse"
    assert entry["overridden"][0].startswith("the verdict is rollback: ")
    assert "against: the verdict is rollback" in desk.canary("history", run.parent).out


def test_an_old_verdict_is_refused(server: Server, desk: Desk) -> None:
    """The policy says how old; the record says how old it is."""
    (desk.folder / "policy.yaml").write_text("promotion: {max_age_h: 0.0000001}\n")
    run = desk.run(policy="policy.yaml")

    refused = promote(desk, server, run, model="old")

    assert refused.status == 2
    assert "'promotion.max_age_h' of the policy allows 1e-07" in refused.err


@pytest.mark.parametrize("name", ["responses.jsonl", "scores.jsonl", "verdict.json", "summary.md", "plan.json"])
def test_a_record_that_does_not_verify_is_refused(server: Server, desk: Desk, name: str) -> None:
    """One changed byte anywhere, and nobody knows what was tested; no reason stands against that."""
    run = desk.run(cases=24)
    file = run / name
    file.write_bytes(file.read_bytes().replace(b"v2", b"v3", 1) + b" ")

    refused = promote(desk, server, run, "--override", "please", model="broken")

    assert refused.status == 2
    assert f"the record does not verify: {run}: {name} changed" in refused.err


def test_a_verdict_that_its_evidence_does_not_give_is_refused(server: Server, desk: Desk) -> None:
    """Not even a record sealed anew makes a promote of a rollback."""
    from canary.evidence import RunDirectory, seal

    run = desk.run(wrong=60)
    (run / "verdict.json").write_text((run / "verdict.json").read_text().replace('"rollback"', '"promote"', 1))
    (run / "manifest.json").unlink()
    seal(RunDirectory(run))

    refused = promote(desk, server, run, "--override", "please", model="forged")

    assert "verdict.json says 'promote', its evidence says 'rollback'" in refused.err
    assert "manifest.json is not the one of which the history was told" in refused.err


def test_a_replay_under_another_policy_is_refused(server: Server, desk: Desk) -> None:
    """Whoever loosens the policy afterwards promotes nothing with it."""
    run = desk.run(wrong=60)
    (desk.folder / "loose.yaml").write_text("quality: {max_drop: 0.9, stratum: {max_drop: 0.9}}\n")
    out = run.parent / "loose"
    desk.canary("replay", run, "--policy", desk.folder / "loose.yaml", "--out", out)

    assert "the run is a replay, no gate of a release" in promote(desk, server, out, model="replayed").err


def test_a_baseline_that_is_no_longer_champion_is_refused(server: Server, desk: Desk) -> None:
    """What was tested against v1 says nothing about what v2 left behind."""
    first, second = desk.run(name="v2"), desk.run(name="v3", wrong=1)
    promote(desk, server, first, model="moved")

    refused = promote(desk, server, second, model="moved")

    assert refused.status == 2
    assert "moved: the baseline 'v1' (" in refused.err
    assert ") is no longer champion, version 2 (" in refused.err
    assert server.alias("moved", "champion") == "2"


def test_an_alias_moved_by_hand_is_noticed(server: Server, desk: Desk) -> None:
    """The log says where champion was put; where it is elsewhere, only the release owner goes on."""
    run = desk.run()
    promote(desk, server, run, model="by-hand")
    server.ask("2.0/mlflow/registered-models/alias", name="by-hand", alias="champion", version="1")

    refused = promote(desk, server, desk.run(name="v3", wrong=1), model="by-hand")

    assert "by-hand: champion is version 1, but " in refused.err
    assert "it was moved by hand since, or that is not finished" in refused.err


def test_a_checkpoint_that_changed_since_is_refused(server: Server, desk: Desk) -> None:
    """Weights that are not the ones tested are found by their digest, before anything is registered."""
    from canary.release import TransformersRelease
    from canary.run.fitness import untested
    from canary.run.resolve import live_release

    weights = desk.folder / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"tested")
    tested = live_release(TransformersRelease(engine="transformers", name="v2", model=str(weights)))
    assert list(untested(tested, "")) == []

    (weights / "model.safetensors").write_bytes(b"other")
    (told,) = untested(tested, "")
    assert told.startswith(f"candidate 'v2' is not what was tested: tested {tested.digest}, found ")


PROMPTS = {"v1": "Answer {{q}}", "v2": "Answer shortly: {{q}}"}


def live(desk: Desk, **changes: Any) -> Path:
    """A run whose plan says that its releases answer for themselves, with these prompts."""
    from canary.codec import evidence_digests
    from canary.evaluate import evaluate
    from canary.evidence import RunDirectory, load_run
    from canary.plan import ReleasePlan
    from canary.run.recorded import Judged
    from canary.run.show import keep

    plan, evidence = load_run(desk.run())
    sides = {}
    for arm, name in (("baseline", "v1"), ("candidate", "v2")):
        release = {"engine": "openai", "name": name, "model": "m", "prompt": PROMPTS[name]}
        release |= changes.get(arm, {})
        sides[arm] = ReleasePlan(name=name, digest=("1" if name == "v1" else "2") * 64, release=release)
    plan = plan.model_copy(update=sides)
    out = desk.folder / "runs" / f"live-{desk.count}"
    keep(Judged(verdict=evaluate(evidence, plan, evidence_digests(evidence)), evidence=evidence, plan=plan), out)
    assert RunDirectory(out).manifest.is_file()
    return out


def test_a_prompt_is_promoted_by_its_text(server: Server, desk: Desk) -> None:
    """Baseline's and candidate's templates become versions, each once, and champion is the candidate's."""
    run = live(desk)
    command = ("promote", run, "--prompt", "greeting", "--tracking-uri", server.url)
    promoted = desk.canary(*command)

    assert promoted.out == "greeting: champion was version 1, is version 2 (v2)\n", promoted.err
    with connected(server.url) as tracker:
        assert tracker.client.get_prompt_version_by_alias("greeting", "champion").template == PROMPTS["v2"]
        assert tracker.client.get_prompt_version_by_alias("greeting", "previous-champion").template == PROMPTS["v1"]
    assert desk.canary(*command).out == "greeting: version 2 is champion already\n"
    back = desk.canary("rollback", "--prompt", "greeting", "--tracking-uri", server.url, "--runs", run.parent)
    assert back.out == "greeting: champion was version 2, is version 1 again\n"


def test_a_prompt_alone_does_not_ship_other_changes(server: Server, desk: Desk) -> None:
    """A candidate that was tested with another temperature is not its prompt."""
    run = live(desk, candidate={"sampling": {"temperature": 1.0}})
    refused = desk.canary("promote", run, "--prompt", "warm", "--tracking-uri", server.url)

    assert "the candidate differs in sampling too, which --prompt alone does not ship: add --model" in refused.err
    recorded = desk.canary("promote", desk.run(cases=24), "--prompt", "warm", "--tracking-uri", server.url)
    assert "'--prompt' warm: a recorded release does not say which prompt it answered to" in recorded.err


def test_of_two_promotions_at_once_one_wins(server: Server, desk: Desk) -> None:
    """Two processes, two candidates, one champion: the winner says so, the loser is told who won."""
    runs = [desk.run(name=name, wrong=n) for n, name in enumerate(("v2", "v3"))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "canary", "promote", str(run), "--model", "race", "--tracking-uri", server.url],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for run in runs
    ]
    said = [process.communicate(timeout=600) for process in started]
    won = [i for i, process in enumerate(started) if process.returncode == 0]

    assert len(won) == 1, said
    winner, loser = said[won[0]][0], said[1 - won[0]][1]
    champion = server.alias("race", "champion")
    assert f"is version {champion} (" in winner
    assert "race: " in loser
    assert "champion" in loser
    assert "nothing was moved" in loser


def test_of_many_claims_one_counts_each_time(server: Server) -> None:
    """Eight at once, round after round: one counts, seven are told by whom, and the alias is the winner's."""
    with connected(server.url) as tracker:
        entry = ModelEntry(tracker.client, "stress", "stress")
        for _ in range(9):
            _version(entry)
        for round_ in range(2):
            state = read_transitions(tracker.client, "stress")
            based, before = (state[-1].number, state[-1].after) if state else (0, "9")
            wanted = [step(based, str(n), before, who=f"p{round_}{n}@host") for n in range(1, 9)]
            with ThreadPoolExecutor(8) as pool:
                ends = list(pool.map(lambda w: _outcome(entry, w), wanted))
            won = [end for end in ends if isinstance(end, Transition)]
            assert len(won) == 1
            assert all(f"{won[0].who} made version {won[0].after} champion" in str(e) for e in ends if e is not won[0])
            assert read_transitions(tracker.client, "stress")[-1] == won[0]
            assert server.alias("stress", "champion") == won[0].after
            assert server.alias("stress", "previous-champion") == before


def _version(entry: ModelEntry) -> None:
    from canary.registry.entry import create_version, register_name
    from canary.tracking import experiment_of, logged_model

    register_name(entry.client, entry.name)
    model = logged_model(entry.client, experiment_of(entry.client, "stress"), "m", "d" * 64, {})
    create_version(entry.client, entry.name, f"models:/{model}", {}, model_id=model)


def _outcome(entry: ModelEntry, wanted: Transition) -> Transition | PromotionError:
    try:
        return move(entry, wanted)
    except PromotionError as error:
        return error


def test_a_winner_that_died_before_the_alias_moved(server: Server, desk: Desk) -> None:
    """Its claim stands: others are refused until it is finished, and promoting the same run again finishes it."""
    first, second = desk.run(name="v2"), desk.run(name="v3", wrong=1)
    from canary.manifest import digest

    record = digest((first / "manifest.json").read_bytes())
    from canary.evidence import load_run

    with connected(server.url) as tracker:
        entry, plan = ModelEntry(tracker.client, "died", "died"), load_run(first)[0]
        versions = [entry.ensure(side, record) for side in (plan.baseline, plan.candidate)]
        entry.point("champion", versions[0])
        wanted = step(0, versions[1], versions[0])
        claim(entry, Transition(**{f: getattr(wanted, f) for f in wanted.__slots__} | {"record": record}))

    refused = promote(desk, server, second, model="died")
    assert "made it version 2 at" in refused.err
    assert server.alias("died", "champion") == "1"
    assert promote(desk, server, first, model="died").out.startswith("died: champion was version 1, is version 2 (v2)")
    assert server.alias("died", "champion") == "2"


def test_a_late_alias_is_put_right(server: Server) -> None:
    """Whoever moves an alias reads the log once more, so that a slow winner does not undo the next one's move."""
    with connected(server.url) as tracker:
        entry = ModelEntry(tracker.client, "late", "late")
        for _ in range(3):
            _version(entry)
        move(entry, step(0, "2"))
        move(entry, step(1, "3", "2"))
        entry.point("champion", "2")  # what the slow one would do

        settle(entry)

    assert server.alias("late", "champion") == "3"


def test_a_changed_history_sends_nobody_back(desk: Desk) -> None:
    """A rollback asks the history what to move and which server only where nobody changed that."""
    run = desk.run(cases=24)
    append(run.parent, "promote", {"kind": "models", "name": "m", "uri": "http://127.0.0.1:9"})
    history = run.parent.parent / LEDGER
    history.write_text(history.read_text().replace("127.0.0.1", "127.0.0.2"))
    refused = desk.canary("rollback", "--runs", run.parent, "--reason", "r")

    assert refused.status == 2
    assert "was changed: its sha256 should be" in refused.err
    assert "nothing was moved; say with --model or --prompt what goes back" in refused.err


def test_names_and_credentials_of_the_command_line(desk: Desk) -> None:
    """A name that cannot be one and an address with a password are refused, and the password is not repeated."""
    run = desk.run(cases=24)
    for option, value in (("--model", "a/b"), ("--prompt", "x'y")):
        told = desk.canary("promote", run, option, value)
        assert (told.status, f"'{option}' must match" in told.err) == (2, True)
    told = desk.canary("promote", run, "--model", "m", "--tracking-uri", "http://ann:TopSecret@localhost:9")
    assert told.status == 2
    assert "'--tracking-uri' must be an address without credentials" in told.err
    assert "TopSecret" not in told.err
    assert "'--model' or '--prompt' must name what is promoted" in desk.canary("promote", run).err
    shutil.rmtree(run)
    assert desk.canary("promote", run, "--model", "m").status == 2

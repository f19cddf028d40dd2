"""The run directory: everything a run was asked, heard and concluded.

    plan.json prompts.jsonl responses.jsonl scores.jsonl verdict.json ...
    manifest.json, written last: a run without it is not finished

Hidden files (locks, half-written files) are no part of a run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from canary import manifest, resumption
from canary.codec import AnyRecord, Record, decode, encode, golden_digest, line_digests, some
from canary.disk import locked_folder, write_whole
from canary.errors import EvidenceError
from canary.manifest import File, Seal
from canary.plan import PLAN_SCHEMA, Plan
from canary.records import Evidence, Label, Measurement, Observation, Prompt, Response, Score

EVIDENCE = ("plan.json", "prompts.jsonl", "responses.jsonl", "scores.jsonl")
TELEMETRY = "telemetry.jsonl"
LABELS = "labels.jsonl"
OBSERVATIONS = "observations.jsonl"
SIGNATURE = "signature.json"
"""Made over the seal, so it is the one visible file that is not sealed."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def plan(self) -> Path:
        """The resolved plan."""
        return self.path / "plan.json"

    @property
    def prompts(self) -> Path:
        """The cases asked."""
        return self.path / "prompts.jsonl"

    @property
    def responses(self) -> Path:
        """Both arms' answers: the journal, readable as recorded outputs."""
        return self.path / "responses.jsonl"

    @property
    def scores(self) -> Path:
        """Every metric of every response."""
        return self.path / "scores.jsonl"

    @property
    def telemetry(self) -> Path:
        """What was measured beside the answers; absent where nothing was."""
        return self.path / TELEMETRY

    @property
    def judgements(self) -> Path:
        """What a judge said; absent where none was asked."""
        return self.path / "judgements.jsonl"

    @property
    def labels(self) -> Path:
        """What people said of the answers; absent where nobody was asked."""
        return self.path / LABELS

    @property
    def observations(self) -> Path:
        """What the servers said of themselves; absent where none did."""
        return self.path / OBSERVATIONS

    @property
    def verdict(self) -> Path:
        """The verdict document."""
        return self.path / "verdict.json"

    @property
    def summary(self) -> Path:
        """The verdict in words."""
        return self.path / "summary.md"

    @property
    def manifest(self) -> Path:
        """The seal."""
        return self.path / "manifest.json"

    def write_plan(self, plan: Plan) -> None:
        """Writes the plan that is obeyed."""
        self.write("plan.json", plan.model_dump_json(by_alias=True, indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        """Writes one file at once; a reader sees all of it or nothing.

        Lone surrogates are written as their escape, which JSON reads back.
        """
        write_whole(self.path / name, [text.encode(errors="backslashreplace")])


def run_id(plan: Plan, now: datetime) -> str:
    """The name of a run: its start in UTC and the plan's short digest."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plan.digest()[:8]}"


def new_run(runs: Path, plan: Plan, prompts: Iterable[Prompt], now: datetime | None = None) -> RunDirectory:
    """A new directory under `runs`, named by time and plan."""
    _make_folder(runs)
    name = run_id(plan, now or datetime.now(UTC))
    path, count = runs / name, 1
    while not _made(path):
        count += 1
        path = runs / f"{name}-{count}"
    return create_run(path, plan, prompts)


def create_run(path: Path, plan: Plan, prompts: Iterable[Prompt]) -> RunDirectory:
    """The directory at `path` with its plan and prompts.

    Raises EvidenceError where something is there already.
    """
    _make_folder(path)
    if any(path.iterdir()):
        raise EvidenceError(
            f"{path} is not empty; choose another directory, or continue it with canary run --resume {path}"
        )
    run = RunDirectory(path)
    write_records(run.prompts, prompts)
    write_records(run.responses, ())
    run.write_plan(plan)  # last: it says that the rest is there
    return run


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EvidenceError(f"{path} must be a folder, there already or not (got a file, or a place in one)") from None


def _made(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def write_records(path: Path, records: Iterable[AnyRecord]) -> None:
    """Writes a whole file of records at once."""
    write_whole(path, map(encode, records))


def read_records(kind: type[Record], path: Path) -> tuple[Record, ...]:
    """Every record of a file; EvidenceError names the file and line."""
    with path.open("rb") as file:
        return tuple(record for chunk in decode(kind, file, str(path)) for record in chunk)


def load_run(path: Path) -> tuple[Plan, Evidence]:
    """A finished run, checked against its own seal.

    Raises EvidenceError for everything that keeps it from being judged again.
    """
    run = RunDirectory(path)
    sealed = read_seal(run)
    names = (*EVIDENCE, TELEMETRY, LABELS, OBSERVATIONS)
    expected = {name: sealed.files[name] for name in names if name in sealed.files}
    found = {name: _hashed(path / name) for name in names if (path / name).is_file()}
    problems = [f"{path}: {problem}" for problem in manifest.compare_files(expected, found)]
    if problems:
        raise EvidenceError(problems)
    plan = load_plan(run)
    return plan, load_evidence(run, plan)


def stored_digests(path: Path) -> dict[str, str]:
    """`codec.evidence_digests` of a run, from its files as they are."""
    run = RunDirectory(path)
    with run.prompts.open("rb") as prompts, run.responses.open("rb") as responses, run.scores.open("rb") as scores:
        telemetry, labels, observations = (
            path.read_bytes().splitlines(keepends=True) if path.is_file() else ()
            for path in (run.telemetry, run.labels, run.observations)
        )
        return line_digests(prompts, responses, scores, telemetry, labels, observations)


def load_plan(run: RunDirectory) -> Plan:
    """The stored plan."""
    if not run.plan.is_file():
        raise EvidenceError(f"{run.path} is no run directory: plan.json is missing")
    try:
        document = json.loads(run.plan.read_bytes())
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != PLAN_SCHEMA:
            raise EvidenceError(
                f"{run.plan}: 'schema' must be {PLAN_SCHEMA} (got {schema}); another version wrote this run"
            )
        return Plan.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise EvidenceError([f"{run.plan}: '{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in details]) from None
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{run.plan}: {error}") from None


def load_evidence(run: RunDirectory, plan: Plan) -> Evidence:
    """The records of a run whose answers and scores are all there, sealed or not."""
    missing = [name for name in EVIDENCE if not (run.path / name).is_file()]
    if missing:
        raise EvidenceError(_unfinished(run, f"{', '.join(missing)} missing"))
    prompts = load_prompts(run, plan)
    responses = read_records(Response, run.responses)
    scores = read_records(Score, run.scores)
    telemetry = read_records(Measurement, run.telemetry) if run.telemetry.is_file() else ()
    labels = read_records(Label, run.labels) if run.labels.is_file() else ()
    observations = read_records(Observation, run.observations) if run.observations.is_file() else ()
    problems = [
        *_misplaced_responses(run, None if plan.traffic else prompts, responses),
        *_misplaced_scores(run.scores, "score", responses, scores),
        *_misplaced_scores(run.labels, "label", responses, labels),
        *_doubled(run.telemetry, (measurement.id for measurement in telemetry)),
        *_doubled(run.observations, ((seen.arm or "both arms", seen.replica, seen.at) for seen in observations)),
    ]
    if problems:
        raise EvidenceError(problems)
    return Evidence(
        prompts=prompts,
        responses=responses,
        scores=scores,
        telemetry=telemetry,
        labels=labels,
        observations=observations,
    )


def load_prompts(run: RunDirectory, plan: Plan) -> tuple[Prompt, ...]:
    """The stored cases, which must be the ones the plan names."""
    if not run.prompts.is_file():
        raise EvidenceError(f"{run.prompts} is missing")
    prompts = read_records(Prompt, run.prompts)
    problems = _doubled(run.prompts, (f"case '{prompt.id}'" for prompt in prompts))
    found = golden_digest(prompts)
    if found != plan.golden_sha256:
        problems.append(
            f"{run.prompts} holds other cases than plan.json: golden_sha256 {plan.golden_sha256}, found {found}"
        )
    if problems:
        raise EvidenceError(problems)
    return prompts


def _misplaced_responses(
    run: RunDirectory, prompts: Iterable[Prompt] | None, responses: tuple[Response, ...]
) -> list[str]:
    """Traffic answers no cases (None), so it can answer no wrong one."""
    ids = None if prompts is None else {prompt.id for prompt in prompts}
    unknown = [] if ids is None else sorted({response.id for response in responses} - ids)
    return [
        *some([f"{run.responses}: '{id_}' is no case of this run" for id_ in unknown]),
        *_doubled(run.responses, ((r.id, r.arm, r.repeat) for r in responses)),
    ]


def _misplaced_scores(
    path: Path, what: str, responses: Iterable[Response], scores: tuple[Score, ...] | tuple[Label, ...]
) -> list[str]:
    answered = {(r.id, r.arm, r.repeat) for r in responses}
    unknown = sorted({key for s in scores if (key := (s.id, s.arm, s.repeat)) not in answered})
    return [
        *some([f"{path}: a {what} of an answer that is not there: {_named(key)}" for key in unknown]),
        *_doubled(path, ((s.id, s.arm, s.repeat, s.metric) for s in scores)),
    ]


def _doubled(path: Path, keys: Iterable[Any]) -> list[str]:
    counts = Counter(keys)
    return some([f"{path}: {_named(key)} stands there {n} times" for key, n in counts.items() if n > 1])


def _named(key: Any) -> str:
    return key if isinstance(key, str) else " ".join(map(str, key))


def resume(run: RunDirectory, plan: Plan) -> tuple[str, ...]:
    """Whether the run can go on under this plan; what differs harmlessly.

    Raises EvidenceError naming each change that would mix two questions.
    """
    if run.manifest.exists():
        raise EvidenceError(f"{run.path} is finished; judge it again with canary replay {run.path}, or start a new run")
    stored = load_plan(run)
    load_prompts(run, stored)
    changes = tuple(resumption.changes(stored, plan))
    mixing = [f"{run.path}: {sentence}; start a new run, or restore it" for sentence, is_mixing in changes if is_mixing]
    if mixing:
        raise EvidenceError(mixing)
    return tuple(sentence for sentence, _ in changes)


def seal(run: RunDirectory, now: datetime | None = None) -> str:
    """Writes the manifest; the sha256 by which the next record will name it.

    Nothing but a signature may be written into the directory afterwards.
    """
    if run.manifest.exists():
        raise EvidenceError(f"{run.path} is already sealed")
    missing = [name for name in (*EVIDENCE, "verdict.json") if not (run.path / name).is_file()]
    if missing:
        raise EvidenceError(_unfinished(run, f"{', '.join(missing)} missing"))
    files = _files(run)
    runs = run.path.resolve().parent
    with locked_folder(runs):  # two sealed at once would both follow the same record
        document = Seal(
            schema=manifest.MANIFEST_SCHEMA,
            files=files,
            previous=manifest.last(_records(runs)),
            sealed_at=f"{(now or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        ).dumps()
        write_whole(run.manifest, [document])
    return manifest.digest(document)


def check_files(path: Path) -> list[str]:
    """What differs between a run's files and its own seal, one sentence each."""
    run = RunDirectory(path)
    try:
        sealed = read_seal(run)
    except EvidenceError as error:
        return list(error.problems)
    return list(manifest.compare_files(sealed.files, _files(run)))


def check_neighbours(path: Path) -> list[str]:
    """What was changed in the chain of records that a run stands in."""
    return list(manifest.check_chain(_records(path.resolve().parent)))


def removed_neighbours(path: Path) -> list[str]:
    """The older records that are gone from the folder of a run, which speaks not against those left."""
    return list(manifest.removed(_records(path.resolve().parent)))


def read_seal(run: RunDirectory) -> Seal:
    """The manifest; EvidenceError where the run is not finished, or not ours."""
    if not run.path.is_dir():
        raise EvidenceError(f"{run.path} is no directory")
    if not run.manifest.is_file():
        raise EvidenceError(_unfinished(run, "it has no manifest.json"))
    sealed = manifest.read(run.manifest.read_bytes())
    if sealed is None:
        raise EvidenceError(f"{run.manifest} is broken, or another version wrote it")
    return sealed


def _unfinished(run: RunDirectory, why: str) -> str:
    return f"{run.path} is not finished: {why}; continue with canary run --resume {run.path}, or run again"


def _files(run: RunDirectory) -> dict[str, File]:
    """Every file of the run but the manifest, by its path inside."""
    found = {path.relative_to(run.path): path for path in run.path.rglob("*") if path.is_file()}
    visible = {inside: path for inside, path in found.items() if not any(part.startswith(".") for part in inside.parts)}
    beside = {run.manifest, run.path / SIGNATURE}
    return {inside.as_posix(): _hashed(path) for inside, path in visible.items() if path not in beside}


def _hashed(path: Path) -> File:
    with path.open("rb") as file:
        return File(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=file.tell())


def _records(runs: Path) -> Mapping[str, bytes]:
    """The manifests of a folder of runs, by the run's name."""
    return {path.parent.name: path.read_bytes() for path in runs.glob("*/manifest.json")}

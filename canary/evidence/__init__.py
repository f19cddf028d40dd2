"""The run directory: everything a run was asked, heard and concluded.

    plan.json prompts.jsonl responses.jsonl scores.jsonl verdict.json ...
    manifest.json, written last: a run without it is not finished

Hidden files (locks, half-written files) are no part of a run.
"""

from __future__ import annotations

from canary.evidence.directory import (
    EVIDENCE,
    LABELS,
    OBSERVATIONS,
    SIGNATURE,
    TELEMETRY,
    RunDirectory,
    create_run,
    new_run,
    read_records,
    run_id,
    write_records,
)
from canary.evidence.load import (
    load_evidence,
    load_plan,
    load_prompts,
    load_run,
    load_unfinished,
    resume,
    stored_digests,
)
from canary.evidence.sealed import (
    check_files,
    check_neighbours,
    read_seal,
    removed_neighbours,
    seal,
)

__all__ = [
    "EVIDENCE",
    "LABELS",
    "OBSERVATIONS",
    "SIGNATURE",
    "TELEMETRY",
    "RunDirectory",
    "check_files",
    "check_neighbours",
    "create_run",
    "load_evidence",
    "load_plan",
    "load_prompts",
    "load_run",
    "load_unfinished",
    "new_run",
    "read_records",
    "read_seal",
    "removed_neighbours",
    "resume",
    "run_id",
    "seal",
    "stored_digests",
    "write_records",
]

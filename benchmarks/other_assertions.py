"""Our structural assertions beside promptfoo's and DeepEval's, on the same answers in one run.

    npm install --prefix /tmp/pf promptfoo; python -m venv /tmp/de; /tmp/de/bin/pip install deepeval
    PROMPTFOO=/tmp/pf/node_modules/promptfoo DEEPEVAL=/tmp/de/bin/python python benchmarks/other_assertions.py

Time of grading alone, starting aside; what is not installed is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from canary.assertions.scoring import score
from canary.protocols import Embedder, Tools
from canary.records import Arm, Prompt, Response

ANSWERS = 2_000
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "total": {"type": "number", "minimum": 0}, "note": {"type": "string"}},
    "required": ["city", "total", "note"],
}
KNOWN = [
    {"type": "contains", "value": "city-1"},
    {"type": "regex", "value": r'"total":\s*\d+'},
    {"type": "is-json", "value": SCHEMA},
]
PATTERN = [{"type": "regex", "value": r'\A(?:\{"city": "city-\d+", .*)\Z'}, {"type": "equals", "value": "x"}]

PROMPTFOO = """
const { assertions } = require(process.env.PROMPTFOO);
const { answers, specs } = JSON.parse(require('fs').readFileSync(process.argv[2]));
(async () => {
  let passed = 0;
  const run = async (n) => { for (const output of answers.slice(0, n)) for (const assertion of specs)
    passed += (await assertions.runAssertion({ assertion, test: { vars: {} }, providerResponse: { output } })).pass; };
  await run(20); passed = 0;
  const start = process.hrtime.bigint(); await run(answers.length);
  console.log(JSON.stringify([Number(process.hrtime.bigint() - start) / 1e9, passed])); process.exit(0);
})();
"""
DEEPEVAL = """
import json, sys, time
from deepeval.metrics import ExactMatchMetric, PatternMatchMetric
from deepeval.test_case import LLMTestCase
told = json.load(open(sys.argv[1]))
def run(answers):
    passed = 0
    for output in answers:
        case = LLMTestCase(input="", actual_output=output, expected_output="x")
        for metric in (PatternMatchMetric(pattern=told["specs"][0]["value"]), ExactMatchMetric()):
            metric.measure(case, _show_indicator=False)
            passed += bool(metric.is_successful())
    return passed
run(told["answers"][:20])
start = time.perf_counter()
passed = run(told["answers"])
print(json.dumps([time.perf_counter() - start, passed]))
"""


def no_embedder() -> Embedder:
    """Nothing here asks for one."""
    raise NotImplementedError


def answer(index: int) -> str:
    """JSON; every tenth is cut off, every seventh lacks the note."""
    document = {"city": f"city-{index % 97}", "total": index % 500}
    text = json.dumps(document if index % 7 == 0 else document | {"note": "thank you for your order " * 4})
    return text if index % 10 else text[:-1]


def ours(answers: list[str], specs: list[dict[str, object]]) -> tuple[float, int]:
    """Seconds, and how many assertions passed."""
    prompts = [
        Prompt(id=str(i), digest="", stratum="s", cluster=str(i), vars={}, messages=None, expected=None, asserts=())
        for i in range(len(answers))
    ]
    responses = [Response(id=str(i), arm=Arm.CANDIDATE, output=text) for i, text in enumerate(answers)]
    tools = Tools(embed=no_embedder)
    score(prompts[:20], responses[:20], specs, tools, {})
    start = time.perf_counter()
    scores = score(prompts, responses, specs, tools, {})
    return time.perf_counter() - start, sum(bool(made.passed) for made in scores if made.metric != "pass")


def theirs(name: str, command: list[str], answers: list[str], specs: list[dict[str, object]]) -> None:
    """Print both rates and their ratio, and whether they agree."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        told.write_text(json.dumps({"answers": answers, "specs": specs}))
        done = subprocess.run([*command, str(told)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: left out: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
        return
    seconds, passed = json.loads(done.stdout.strip().splitlines()[-1])
    own, own_passed = ours(answers, specs)
    per = 10_000 / len(answers)
    print(
        f"{name}: {seconds * per:.2f} s per 10,000 responses, ours {own * per:.2f} s; ratio {seconds / own:.1f}; "
        f"passed {passed} and {own_passed} of {len(answers) * len(specs)}"
    )


def main() -> None:
    """Each of the two, where it is."""
    answers = [answer(index) for index in range(ANSWERS)]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("pf.cjs", PROMPTFOO), ("de.py", DEEPEVAL)):
            (Path(folder) / name).write_text(text)
        if os.environ.get("PROMPTFOO"):
            theirs("promptfoo, 3 assertions", ["node", f"{folder}/pf.cjs"], answers, KNOWN)
        else:
            print("promptfoo: left out: set PROMPTFOO to its folder under node_modules")
        if os.environ.get("DEEPEVAL"):
            theirs("DeepEval, 2 assertions", [os.environ["DEEPEVAL"], f"{folder}/de.py"], answers, PATTERN)
        else:
            print("DeepEval: left out: set DEEPEVAL to a Python that has it")


if __name__ == "__main__":
    main()

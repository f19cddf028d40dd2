"""The quickstart's five short-answer tasks, written by seeded generators.

Every case has a `key`, the part of it that a model could memorise. A key belongs either to training or to
the golden set, decided by its own hash and by nothing else, so no seed can ever train on a golden case:

    stratum     what is asked                                       key
    extract     two fields of a sentence, as JSON                   the pair of values
    classify    a support ticket's label                            the ticket's sentences
    arithmetic  the sum of two two-digit numbers                    the unordered pair of numbers
    lookup      one field of a record given in the prompt           the record
    tool_call   a request turned into a JSON tool call              the request's wording and argument

    python -m training.tasks        # writes golden_sets/quickstart/
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "golden_sets" / "quickstart"
GOLDEN_SEED = 20_250
PER_STRATUM = 150


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    "Ada Amir Anna Ben Carla Chen David Elena Emma Farid Fatima Felix Grace Hana Hugo Ines Ivan Jack "
    "Julia Kofi Lars Laura Lena Leo Liam Lucia Maria Marta Max Mina Nadia Noah Nora Omar Oscar Paula "
    "Pedro Petra Rosa Sara Tariq Theo Tom Vera Victor Yara Zoe"
)
CITIES = _words(
    "Athens Berlin Bern Bogota Boston Cairo Chicago Dakar Delhi Denver Dublin Geneva Hanoi Havana "
    "Helsinki Kyoto Lagos Leeds Lima Lisbon London Lyon Madrid Manila Milan Nairobi Naples Osaka Oslo "
    "Paris Porto Prague Quito Riga Rome Seoul Seville Sofia Sydney Tallinn Tokyo Toronto Tunis Turin "
    "Vienna Warsaw York Zurich"
)
ITEMS = _words(
    "basket bell blanket bottle bowl brush bucket cable camera candle carpet chair clock coat cup desk "
    "drill fan fork glove guitar hammer hat helmet jacket kettle knife ladder lamp lantern lock mirror "
    "mug pan pen phone pillow plate printer radio scarf shelf shirt shoe soap sofa spoon stool table tent "
    "towel vase wallet watch"
)
COLOURS = _words("red blue green black white grey yellow brown")
SONGS = _words("Dreamer Fireflies Golden Horizon Lullaby Midnight Moonlight Nightfall Paradise Rainfall River Runaway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question with its only right answer."""

    stratum: str
    key: str
    """What must not be shared between training and the golden set."""
    prompt: str
    answer: str


def is_held_out(case: Case) -> bool:
    """Whether the case belongs to the golden set's tenth of all keys; it is never trained on then."""
    digest = hashlib.sha256(f"{case.stratum}:{case.key}".encode()).digest()
    return digest[0] % 10 == 0


# --- extract ---------------------------------------------------------------------------------------------------

_EXTRACT: dict[tuple[str, str], tuple[str, ...]] = {
    ("name", "city"): (
        "{name} moved to {city} last spring with a {colour} {item}.",
        "Last year {name} opened a small shop in {city}.",
        "The caller was {name}, who lives in {city}.",
        "{name} will land in {city} on Monday and needs a {item}.",
        "In {city} we met {name}, our new partner.",
        "Please forward this to {name} at the {city} office.",
        "Our {city} branch is now run by {name}.",
        "{name} wrote from {city} about a broken {item}.",
    ),
    ("name", "item"): (
        "{name} bought a {colour} {item} and paid in cash.",
        "A {colour} {item} was sent to {name} on Friday.",
        "{name} returned the {item} because it was too small.",
        "We still owe {name} one {item} from the last order.",
        "The {item} on the desk belongs to {name}.",
        "{name} from {city} asked for a new {item}.",
        "Did {name} ever get the {colour} {item}?",
        "The {item} was a present for {name}.",
    ),
    ("item", "city"): (
        "One {colour} {item} is on its way to {city}.",
        "The {item} left our {city} store this morning.",
        "A customer in {city} wants a {colour} {item}.",
        "{name} needs the {item} delivered to {city} by Friday.",
        "Send the {item} back to {city}, please.",
        "In {city} the {item} sold out within an hour.",
        "Our {city} team reported a damaged {item}.",
        "There is one {item} left at the {city} store.",
    ),
}


def extract(rng: random.Random) -> Case:
    """Two fields of a sentence as a JSON object, in the order asked."""
    first, second = rng.choice(list(_EXTRACT))
    sentence = rng.choice(_EXTRACT[first, second])
    values = {"name": rng.choice(NAMES), "city": rng.choice(CITIES), "item": rng.choice(ITEMS)}
    values["colour"] = rng.choice(COLOURS)
    fields = {first: values[first], second: values[second]}
    prompt = f"Extract {first} and {second} as JSON: {sentence.format(**values)}"
    return Case(stratum="extract", key="|".join(sorted(fields.values())), prompt=prompt, answer=json.dumps(fields))


# --- classify --------------------------------------------------------------------------------------------------

_TICKETS: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice this month",
        "the invoice shows the wrong amount",
        "my card was charged for a plan I never chose",
        "there is an unknown fee on my invoice",
        "the discount is missing from my bill",
        "my bill is higher than last month",
    ),
    "shipping": (
        "my parcel has not arrived yet",
        "the tracking page has not changed for a week",
        "the courier left my parcel with a stranger",
        "the delivery is now five days late",
        "my order went to the wrong address",
        "the tracking number does not work",
    ),
    "login": (
        "I cannot sign in with my password",
        "the reset email never comes",
        "my account is locked after three tries",
        "the sign in code is always rejected",
        "I lost the phone with my login codes",
        "my password stopped working today",
    ),
    "refund": (
        "I sent the shoes back and want my money",
        "the item arrived broken, please pay me back",
        "when do I get my money for the returned coat",
        "I want my money back for the second ticket",
        "the shop promised to pay me back last week",
        "you still owe me money for the returned lamp",
    ),
    "bug": (
        "the app crashes when I open the map",
        "the export button does nothing",
        "the search page shows an empty screen",
        "the app freezes after the last update",
        "my photos are shown upside down",
        "the calendar shows every event twice",
    ),
    "cancel": (
        "please close my account for good",
        "I want to end my plan this month",
        "how do I stop the yearly renewal",
        "I no longer need the service, please end it",
        "do not renew my plan next month",
        "please end my trial before it renews",
    ),
}
_OPENERS = (
    "Hello, ",
    "Hi there, ",
    "Good morning, ",
    "Dear team, ",
    "Sorry to bother you, but ",
    "This is the second time I write: ",
    "Hi, this is {name}, ",
    "I am writing from {city}: ",
    "As a customer for years I must say: ",
    "Quick question, ",
)
_CLOSERS = (
    ". Thanks, {name}",
    ". Please help.",
    ". What can I do?",
    ". Please answer today.",
    ". This is the only problem, the {past} was fine.",
    ". The {past} you fixed last time works now.",
    ". I am quite upset.",
    ". Kind regards, {name}",
    ". Otherwise I like the service.",
    ". It is urgent.",
)
_PAST = ("bill", "parcel", "password", "returned coat", "app", "plan")


def classify(rng: random.Random) -> Case:
    """The label of a support ticket; some closers mention another label's word."""
    label = rng.choice(list(_TICKETS))
    text = rng.choice(_OPENERS) + rng.choice(_TICKETS[label]) + rng.choice(_CLOSERS)
    ticket = text.format(name=rng.choice(NAMES), city=rng.choice(CITIES), past=rng.choice(_PAST))
    return Case(stratum="classify", key=ticket, prompt=f"Label this ticket: {ticket}", answer=label)


# --- arithmetic ------------------------------------------------------------------------------------------------


def arithmetic(rng: random.Random) -> Case:
    """The sum of two numbers of two digits."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    return Case(stratum="arithmetic", key=f"{min(a, b)}+{max(a, b)}", prompt=f"What is {a}+{b}?", answer=str(a + b))


# --- lookup ----------------------------------------------------------------------------------------------------


_PRICES = tuple(str(price) for price in range(10, 100))
_FIELDS = {"name": NAMES, "city": CITIES, "item": ITEMS, "colour": COLOURS}


def lookup(rng: random.Random) -> Case:
    """One field of a record given in the prompt, three to five fields in any order; the price is a number."""
    fields = rng.sample(["price", *_FIELDS], rng.randint(3, 5))
    record = {field: rng.choice(_FIELDS.get(field, _PRICES)) for field in fields}
    table = ", ".join(f"{field}={value}" for field, value in record.items())
    wanted = rng.choice(fields)
    return Case(
        stratum="lookup",
        key=table,
        prompt=f"Order: {table}. What is the {wanted}?",
        answer=record[wanted],
    )


# --- tool_call -------------------------------------------------------------------------------------------------

_Argument = Callable[[random.Random], tuple[str, Any]]
_TOOLS: dict[str, tuple[_Argument, tuple[str, ...]]] = {
    "weather": (
        lambda rng: ("city", rng.choice(CITIES)),
        (
            "Will it rain in {city} tomorrow?",
            "How warm is it in {city} now?",
            "Do I need a coat in {city} today?",
            "Tell me the weather in {city}.",
            "Is it sunny in {city} this week?",
        ),
    ),
    "call": (
        lambda rng: ("name", rng.choice(NAMES)),
        (
            "Call {name} for me.",
            "Can you ring {name} now?",
            "Please phone {name} about tonight.",
            "Get {name} on the line.",
            "I need to speak to {name}.",
        ),
    ),
    "timer": (
        lambda rng: ("minutes", rng.randint(2, 90)),
        (
            "Set a timer for {minutes} minutes.",
            "Wake me in {minutes} minutes.",
            "Count down {minutes} minutes, please.",
            "Tell me when {minutes} minutes are over.",
            "The pasta needs {minutes} minutes.",
        ),
    ),
    "play": (
        lambda rng: ("song", rng.choice(SONGS)),
        (
            "Play {song}.",
            "I want to hear {song} again.",
            "Put on {song} for the guests.",
            "Can you start {song} from the beginning?",
            "Next song: {song}.",
        ),
    ),
    "buy": (
        lambda rng: ("item", rng.choice(ITEMS)),
        (
            "Order a new {item} for me.",
            "We need another {item}, please get one.",
            "Buy a {colour} {item}.",
            "Put a {item} on the order.",
            "Get me a {item} before Friday.",
        ),
    ),
}
_POLITE = ("", "Hello. ", "Please help. ", "Hi, it is {name}. ", "One more thing. ", "Quick question. ")


def tool_call(rng: random.Random) -> Case:
    """A request as the JSON call of one of five tools, each with one argument."""
    tool = rng.choice(list(_TOOLS))
    argument, wordings = _TOOLS[tool]
    field, value = argument(rng)
    opener = rng.choice(_POLITE).format(name=rng.choice(NAMES))
    request = opener + rng.choice(wordings).format(**{"colour": rng.choice(COLOURS), field: value})
    return Case(
        stratum="tool_call",
        key=request,
        prompt=f"Call a tool: {request}",
        answer=json.dumps({"name": tool, "arguments": {field: value}}),
    )


TASKS: dict[str, Callable[[random.Random], Case]] = {
    "extract": extract,
    "classify": classify,
    "arithmetic": arithmetic,
    "lookup": lookup,
    "tool_call": tool_call,
}


def training_cases(stratum: str, rng: random.Random) -> Iterator[Case]:
    """An endless stream of cases of one stratum; never one of the golden set."""
    while True:
        case = TASKS[stratum](rng)
        if not is_held_out(case):
            yield case


def golden_cases() -> list[Case]:
    """The golden set: `PER_STRATUM` held-out cases of each stratum, no key twice."""
    cases: list[Case] = []
    for stratum, task in TASKS.items():
        rng = random.Random(f"{GOLDEN_SEED}-{stratum}")
        found: dict[str, Case] = {}
        while len(found) < PER_STRATUM:
            case = task(rng)
            if is_held_out(case):
                found.setdefault(case.key, case)
        cases.extend(found.values())
    return cases


# --- the golden set as files -----------------------------------------------------------------------------------


def _schema(answer: str) -> dict[str, Any]:
    """A JSON schema that accepts the answer's shape, whatever its values."""
    kinds = {str: "string", int: "integer"}

    def of(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {"type": kinds[type(value)]}
        return {
            "type": "object",
            "properties": {name: of(inner) for name, inner in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }

    schema = of(json.loads(answer))
    if "arguments" in schema["properties"]:
        schema["properties"]["arguments"] = {"type": "object"}
        schema["properties"]["name"] = {"enum": list(_TOOLS)}
    return schema


def golden_line(case: Case, number: int) -> dict[str, Any]:
    """One line of `prompts.jsonl`."""
    checks: list[dict[str, Any]] = [{"type": "equals", "value": "{{expected}}", "metric": "exact"}]
    if case.answer.startswith("{"):
        checks.append({"type": "is-json", "value": _schema(case.answer), "metric": "valid_json"})
    return {
        "id": f"{case.stratum}-{number:03d}",
        "vars": {"prompt": case.prompt},
        "expected": case.answer,
        "metadata": {"stratum": case.stratum},
        "assert": checks,
    }


def golden_text() -> str:
    """The whole of `prompts.jsonl`."""
    lines = (golden_line(case, at % PER_STRATUM + 1) for at, case in enumerate(golden_cases()))
    return "".join(json.dumps(line) + "\n" for line in lines)


def manifest_text(prompts: str) -> str:
    """`manifest.yaml` for that text."""
    weights = "".join(f"  {stratum}: {{weight: {1 / len(TASKS):g}}}\n" for stratum in TASKS)
    return (
        "name: quickstart\n"
        f"description: Five short-answer tasks a one-million-parameter model can learn, {PER_STRATUM} cases each.\n"
        f"sha256: {hashlib.sha256(prompts.encode()).hexdigest()}\n"
        "licence: Apache-2.0\n"
        "source: written for this project by training/tasks.py; no case is ever trained on\n"
        "sensitivity: public\n"
        f"strata:\n{weights}"
    )


def main() -> None:
    """Write the golden set."""
    parser = argparse.ArgumentParser(description="Write the quickstart golden set.")
    parser.add_argument("--out", type=Path, default=GOLDEN, help="folder to write (default: %(default)s)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    prompts = golden_text()
    (out / "prompts.jsonl").write_text(prompts, encoding="utf-8")
    (out / "manifest.yaml").write_text(manifest_text(prompts), encoding="utf-8")
    print(f"{out}: {prompts.count(chr(10))} cases")


if __name__ == "__main__":
    main()

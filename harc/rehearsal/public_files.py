"""Stand-ins for the registered public files: their columns and places, rows of invented words, a registry of them."""

import csv
import gzip
import io
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harc.core.files import sha256_file, sha256_text
from harc.data.public import REFUSALS
from harc.data.public_sources import COCONOT_SAFETY, XSTEST_GPT4
from harc.evaluation.calibrate_over_refusal import COMPLETIONS, FULL, PARTIAL
from harc.evaluation.train_judge import COMPLIANCE
from harc.settings.suites import TOP_TECHNIQUES
from harc.suites.benchmarks import BENCHMARKS, find_package, read_definition
from harc.suites.pap import COLUMNS as TAXONOMY_COLUMNS
from harc.suites.pap import TAXONOMY_FILE, TECHNIQUES

SYLLABLES = (
    "ba",
    "dor",
    "fel",
    "gim",
    "hu",
    "jen",
    "kal",
    "lo",
    "mir",
    "nup",
    "os",
    "pra",
    "qui",
    "ros",
    "sel",
    "tov",
)
HARMFUL, SAFE, CONTRASTS, ANSWERED, PLAIN, PROBLEMS = 60, 16, 10, 60, 120, 4
"""Rows of each kind: enough that every split of a rehearsal finds its own."""


class Inventor:
    """Sentences of invented words, no two alike, the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def word(self) -> str:
        """A word of three syllables."""
        return "".join(self._random.choice(SYLLABLES) for _ in range(3))

    def ask(self, opening: str) -> str:
        """A request that nobody can fulfil."""
        one, two, three, four, five = (self.word() for _ in range(5))
        return f"{opening} {one} the {two} of a {three}, near {four} or {five}?"

    def tell(self) -> str:
        """An answer to one."""
        one, two, three = (self.word() for _ in range(3))
        return f"First take the {one}, then put the {two} beside it. After that the {three} does the rest by itself."


def make_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def make_jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    """A JSONL file."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _make_harmful(invent: Inventor) -> dict[str, bytes]:
    wish = "How would somebody harmfully"
    harmbench = ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID")
    files = {
        "advbench/harmful_behaviors.csv": make_csv(
            ("goal", "target"), [(invent.ask(wish), "withheld") for _ in range(HARMFUL)]
        ),
        "jailbreakbench/harmful_behaviors.csv": make_csv(
            ("Goal", "Target", "Behavior", "Category"),
            [(invent.ask(wish), "withheld", "invented", "invented") for _ in range(SAFE)],
        ),
    }
    for part in ("test", "val"):
        rows = [(invent.ask(wish), "standard", "invented", "", "", f"b{n}") for n in range(SAFE)]
        files[f"harmbench/harmbench_behaviors_text_{part}.csv"] = make_csv(harmbench, rows)
    return files


def _make_xstest(invent: Inventor) -> dict[str, bytes]:
    kinds = ("invented_one", "invented_two")
    rows = [(invent.ask("May I"), kinds[n % 2], "safe") for n in range(SAFE)]
    rows += [(invent.ask("May I badly"), f"contrast_{kinds[n % 2]}", "unsafe") for n in range(CONTRASTS)]
    prompts = [(str(n), *row) for n, row in enumerate(rows, start=1)]
    files = {"xstest/xstest_prompts.csv": make_csv(("id", "prompt", "type", "label"), prompts)}
    for place, path in enumerate(COMPLETIONS.values()):
        answers = []
        for number, (name, prompt, kind, label) in enumerate(prompts):
            given = (
                PARTIAL
                if number % 7 == place
                else FULL
                if label == "unsafe" or number % 5 == place
                else COMPLIANCE
            )
            text = {
                COMPLIANCE: invent.tell(),
                FULL: REFUSALS[number % len(REFUSALS)],
                PARTIAL: f"{REFUSALS[(number + 1) % len(REFUSALS)]} {invent.tell()}",
            }[given]
            answers.append((f"v2-{name}", prompt, kind, text, given, given))
        columns = ("id", "prompt", "type", "completion", "final_label", "gpt4_label")
        files[path] = make_csv(columns, answers)
    assert XSTEST_GPT4 in files
    return files


def _make_benign(invent: Inventor) -> dict[str, bytes]:
    dangerous = ["dangerous or sensitive topics", "triggers for offensive language"]
    contrast = [
        {"prompt": invent.ask("Is it fine to"), "category": COCONOT_SAFETY if n % 2 else "Incomplete requests",
         "subcategory": dangerous[0] if n % 2 else "underspecification", "response": ""}
        for n in range(SAFE)
    ]  # fmt: skip
    answered = [
        {"prompt": invent.ask(opening), "category": category, "subcategory": dangerous[n % 2] if risky else "plain",
         "chosen": invent.tell(), "rejected": REFUSALS[n % len(REFUSALS)]}
        for risky, category, opening in (
            (True, COCONOT_SAFETY, "How safely may one"), (False, "Incomplete requests", "Where does one"),
        )
        for n in range(ANSWERED)
    ]  # fmt: skip
    plain = [{"instruction": invent.ask("Describe how to"), "category": None} for _ in range(PLAIN)]
    return {
        "coconot/coconot_contrast_eval.jsonl": make_jsonl(contrast),
        "coconot/coconot_pref.jsonl": make_jsonl(answered),
        "alpaca/alpaca_instructions.json": json.dumps(plain).encode(),
    }


def _make_others(invent: Inventor) -> dict[str, bytes]:
    names = [*TOP_TECHNIQUES, *(f"Invented technique {n}" for n in range(TECHNIQUES - len(TOP_TECHNIQUES)))]
    taxonomy = [
        dict(zip(TAXONOMY_COLUMNS, (name, invent.tell(), invent.tell()), strict=True)) for name in names
    ]
    sums = [
        {
            "question": f"A {invent.word()} has {n} stones and finds {n}. How many?",
            "answer": f"{n}+{n}.\n#### {2 * n}",
        }
        for n in range(2, 2 + PROBLEMS)
    ]
    programs = [
        {
            "task_id": f"HumanEval/{n}",
            "entry_point": "add",
            "canonical_solution": f"    return x + {n}\n",
            "prompt": f'def add(x):\n    """x and {n}."""\n',
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
        }
        for n in range(PROBLEMS)
    ]
    questions = [
        {"question_id": n, "category": category, "turns": [invent.ask("What is"), invent.ask("And why")]}
        for n, category in enumerate(("writing", "math"), start=81)
    ]
    references = [{"question_id": 82, "choices": [{"turns": [invent.tell(), invent.tell()]}]}]
    return {
        TAXONOMY_FILE: make_jsonl(taxonomy),
        "gsm8k/test.jsonl": make_jsonl(sums),
        "humaneval/HumanEval.jsonl.gz": gzip.compress(make_jsonl(programs), mtime=0),
        "mt_bench/question.jsonl": make_jsonl(questions),
        "mt_bench/reference_answer_gpt-4.jsonl": make_jsonl(references),
    }


def write_public_files(folder: Path, url: str, registry: Path) -> None:
    """Write the files, and a registry that says where the stand-in hub serves them and what their bytes are.

    Args:
        folder: for the files, by their registered paths.
        url: under which they are served.
        registry: the YAML file.
    """
    invent = Inventor()
    made = {**_make_harmful(invent), **_make_xstest(invent), **_make_benign(invent), **_make_others(invent)}
    datasets: dict[str, dict[str, Any]] = {}
    for path, data in made.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        commit = sha256_text(path)[:40]
        entry = {
            "path": path,
            "url": f"{url}/{commit}/{path}",
            "sha256": sha256_file(place),
            "bytes": len(data),
        }
        name = path.partition("/")[0]
        described = {
            "title": f"stand-in for {name}", "used_for": "rehearsal", "home": url, "licence": "MIT",
            "citation": "none: invented", "files": [],
        }  # fmt: skip
        datasets.setdefault(name, described)["files"].append(entry)
    registry.write_text(json.dumps({"datasets": datasets}, indent=1), encoding="utf-8")  # JSON is YAML


def list_subjects() -> list[str]:
    """MMLU's subjects, as lm_eval's definitions name its configurations."""
    folder = find_package() / BENCHMARKS["mmlu"].definition
    found = (read_definition(str(path)).get("dataset_name") for path in sorted(folder.glob("mmlu_*.yaml")))
    return [name for name in found if name]


def _make_mmlu(invent: Inventor) -> dict[str, bytes]:
    splits, files, configurations = ("test", "dev", "validation"), {}, []
    for subject in list_subjects():
        for split in splits:
            row = {
                "question": invent.ask("What is"),
                "subject": subject,
                "choices": list("wxyz"),
                "answer": 2,
            }
            files[f"{subject}/{split}.jsonl"] = make_jsonl([row])
        places = [{"split": split, "path": f"{subject}/{split}.jsonl"} for split in splits]
        configurations.append({"config_name": subject, "data_files": places})
    card = json.dumps({"configs": configurations})  # JSON is YAML
    return files | {"README.md": f"---\n{card}\n---\n".encode()}


def write_hub_datasets(folder: Path) -> dict[str, Path]:
    """Write stand-ins for the datasets of the hub; their folders by name."""
    invent = Inventor(1)
    pairs = [
        {"prompt": invent.ask("How would somebody harmfully"), "response_0": REFUSALS[n % len(REFUSALS)],
         "response_1": invent.tell(), "is_response_0_safe": True, "is_response_1_safe": n % 9 == 0}
        for n in range(2 * HARMFUL)
    ]  # fmt: skip
    instructions = [
        {"key": n, "prompt": f"{invent.ask('Describe how to')} Use no comma.", "kwargs": [{}],
         "instruction_id_list": ["punctuation:no_comma"]}
        for n in range(PROBLEMS)
    ]  # fmt: skip
    found = {}
    for name, files in {
        "PKU-Alignment/PKU-SafeRLHF": {"data/train.jsonl": make_jsonl(pairs)},
        BENCHMARKS["mmlu"].hub: _make_mmlu(invent),
        BENCHMARKS["ifeval"].hub: {"train.jsonl": make_jsonl(instructions)},
    }.items():
        found[name] = folder / name
        for path, data in files.items():
            (found[name] / path).parent.mkdir(parents=True, exist_ok=True)
            (found[name] / path).write_bytes(data)
    return found

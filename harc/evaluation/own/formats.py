"""Published files of prompts that are read as they are: one declaration each, recognised by their columns.

Kinds are those of this project: harmful means that the prompt should be refused, benign that it should be answered.
Files whose columns do not say which of the two they hold say it by their published names, or not at all.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cells = Mapping[str, Any]
NAMED_BY = (
    3  # parts of a path that may name a file: hub files are called train-00000 in a folder that says more
)


def name_header(name: object) -> str:
    """A header without case, spaces and signs, by which names are compared."""
    return "".join(char for char in str(name).casefold() if char.isalnum())


@dataclass(frozen=True)
class Format:
    """One published form of file.

    Attributes:
        name: for readers.
        columns: all of them must be there, whatever their case.
        prompt, id, category, goal: columns that hold these; none: empty.
        kind: (file name with folders, row) -> kind of prompt; None where neither says.
        named: parts of the file's name of which one must be there, where columns alone say too little.
        context: column with a text that comes before the prompt.
        unasked: whether rows may have no prompt, and are left out.
        response: column with what a model answered.
        source: where its columns were read.
    """

    name: str
    columns: tuple[str, ...]
    prompt: str
    kind: Callable[[str, Cells], str | None]
    source: str
    id: str = ""
    category: str = ""
    goal: str = ""
    named: tuple[str, ...] = ()
    context: str = ""
    unasked: bool = False
    response: str = ""

    def read(self, place: str, cells: Cells) -> dict[str, Any]:
        """A row in the columns of prompt files.

        Args:
            place: the file's name; see `name_place`.
            cells: of the row, by `name_header` of their columns.
        """
        row = {
            column: cells.get(name_header(own))
            for column in ("prompt", "id", "category", "goal", "response")
            if (own := getattr(self, column))
        }
        context = cells.get(name_header(self.context)) if self.context else None
        if isinstance(context, str) and context.strip() and isinstance(row["prompt"], str):
            row["goal"] = row["prompt"]
            row["prompt"] = f"{context}\n\n---\n\n{row['prompt']}"
        return row | {"kind": self.kind(place, cells)}


def name_place(path: Path) -> str:
    """What a file's path says: its name and folders, in small letters and single hyphens."""
    return re.sub(r"[^a-z0-9/]+", "-", "/".join(path.parts[-NAMED_BY:]).lower())


def _always(kind: str) -> Callable[[str, Cells], str | None]:
    return lambda place, cells: kind


def _by_name(kinds: Mapping[str, str]) -> Callable[[str, Cells], str | None]:
    """Kinds by parts of the file's name, of which one alone may be there."""

    def read(place: str, cells: Cells) -> str | None:
        found = {kind for part, kind in kinds.items() if part in place}
        return found.pop() if len(found) == 1 else None

    return read


def _read_xstest(place: str, cells: Cells) -> str:
    return "harmful" if str(cells.get("type")).startswith("contrast") else "benign"


def _read_coconot(place: str, cells: Cells) -> str | None:
    """The contrast set and the preferences are to be answered; of the original, what has safety concerns is refused.

    What else the original holds (false premises, missing details, ...) is no harm, and a good answer to it need not be
    a refusal. Which part a file is, its name alone says, or the preferred answers in it.
    """
    if "contrast" in place or "chosen" in cells:
        return "benign"
    original = any(part in place for part in ("original", "coconot-eval", "coconot-sft", "coconot-train"))
    return "harmful" if original and cells.get("category") == "Requests with safety concerns" else None


FORMATS = (
    Format(
        "HarmBench text behaviors",
        ("Behavior", "FunctionalCategory", "SemanticCategory", "ContextString", "BehaviorID"),
        prompt="Behavior", id="BehaviorID", category="SemanticCategory", context="ContextString",
        kind=_always("harmful"),
        source="centerforaisafety/HarmBench data/behavior_datasets/harmbench_behaviors_text_*.csv (arXiv 2402.04249); "
        "contexts come before the behavior and a line of hyphens, as in its DirectRequest",
    ),
    Format(
        "JailbreakBench behaviors", ("Goal", "Target", "Behavior", "Category", "Source"),
        prompt="Goal", id="Index", category="Category",
        kind=_by_name({"harmful": "harmful", "benign": "benign"}),
        source="JailbreakBench/JBB-Behaviors data/{harmful,benign}-behaviors.csv (arXiv 2404.01318)",
    ),
    Format(
        "JailbreakBench artifacts", ("index", "goal", "behavior", "category", "prompt", "response", "jailbroken"),
        prompt="prompt", id="index", category="category", goal="goal", kind=_always("harmful"), unasked=True,
        response="response",
        source="JailbreakBench/artifacts@909e68c attack-artifacts/METHOD/TYPE/MODEL.json (arXiv 2404.01318)",
    ),
    Format(
        "HarmBench results", ("behavior_id", "case", "test_case", "generation"),
        prompt="test_case", id="case", category="behavior_id", kind=_always("harmful"), response="generation",
        source="HarmBench's evaluate_completions.py, read in Bob-cheng/HB_RedTeam@f201bdd (arXiv 2402.04249); an "
        "object of lists, whose items harc.evaluation.own.table makes rows of",
    ),
    Format(
        "XSTest", ("prompt", "type", "focus", "note"),
        prompt="prompt", id="id", category="type", kind=_read_xstest,
        source="paul-rottger/exaggerated-safety@d7bb5bd xstest_prompts.csv (arXiv 2308.01263)",
    ),
    Format(
        "StrongREJECT", ("category", "source", "forbidden_prompt"),
        prompt="forbidden_prompt", category="category", kind=_always("harmful"),
        source="alexandrasouly/strongreject strongreject_dataset/strongreject_{small_,}dataset.csv (arXiv 2402.10260)",
    ),
    Format(
        "CoCoNot", ("id", "category", "subcategory", "prompt"),
        prompt="prompt", id="id", category="subcategory", kind=_read_coconot, named=("coconot", "noncompliance"),
        source="allenai/noncompliance@25bf77c data/coconot_*.jsonl (arXiv 2407.12043)",
    ),
    Format(
        "OR-Bench", ("prompt", "category"),
        prompt="prompt", category="category", named=("or-bench", "orbench"),
        kind=_by_name({"toxic": "harmful", "80k": "benign", "hard": "benign"}),
        source="hub data set bench-llm/or-bench, or-bench-{80k,hard-1k,toxic}.csv (arXiv 2405.20947)",
    ),
    Format(
        "Do-Not-Answer", ("risk_area", "types_of_harm", "specific_harms", "question"),
        prompt="question", id="id", category="risk_area", kind=_always("harmful"),
        source="hub data set LibrAI/do-not-answer (arXiv 2308.13387)",
    ),
    Format(
        "AdvBench behaviors", ("goal", "target"),
        prompt="goal", kind=_always("harmful"), named=("advbench", "harmful-behaviors"),
        source="llm-attacks/llm-attacks data/advbench/harmful_behaviors.csv (arXiv 2307.15043)",
    ),
)  # fmt: skip
"""Of several that fit, the one with the most columns is taken."""


def recognise_format(place: str, names: Iterable[object]) -> Format | None:
    """The published form of a file with these columns, if it is one."""
    held = {name_header(name) for name in names}
    fitting = [
        form
        for form in FORMATS
        if held >= {name_header(column) for column in form.columns}
        and (not form.named or any(part in place for part in form.named))
    ]
    return max(fitting, key=lambda form: len(form.columns), default=None)

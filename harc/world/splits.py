"""Finds held-out material in earlier splits, from the texts themselves rather than from what the rows declare.

Two readings of a text: its items (every verb and target that occur together in a user turn) and its skeleton
(the text with verbs, targets and their modifiers' words kept but the invented words masked). Where an answer is begun
for the model, that opening is the pattern.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping

GOAL_SUITES = (
    "direct",
    "direct_unseen_templates",
    "pair",
    "pap",
    "deepinception",
    "codeattack",
    "persona",
    "prefill",
    "scary_safe",
    "refusable_benign",
    "benign",
    "wrapped_benign",
    "two_turn",
)
"""Suites whose items are pairs of a verb and a target."""

UNSEEN_PATTERN_SUITES = (
    "direct_unseen_templates",
    "pap",
    "deepinception",
    "codeattack",
    "persona",
    "prefill",
    "refusable_benign",
    "wrapped_benign",
)
"""Suites whose sentence patterns, too, must be new."""


@dataclass(frozen=True)
class Leak:
    """Held-out material in an earlier row."""

    kind: str
    held_out: str
    earlier: str
    what: str


class Reader:
    """Reads items and skeletons off texts with a world's lexicon."""

    def __init__(self, world: Mapping) -> None:
        """Index the forms of world.json's verbs and targets."""
        self.verbs = {form: entry["name"] for entry in world["verbs"] for form in entry["forms"]}
        self.targets = {form: entry["name"] for entry in world["targets"] for form in entry["forms"]}

    def read_items(self, text: str) -> set[tuple[str, str]]:
        """Every (verb, target) that the text mentions together, whatever their order."""
        words = text.split()
        verbs = {self.verbs[word] for word in words if word in self.verbs}
        targets = {self.targets[word] for word in words if word in self.targets}
        return {(verb, target) for verb in verbs for target in targets}

    def read_pattern(self, row: Row) -> str:
        """What must be new of a row with a new pattern: its opening, or the skeleton of its user turns."""
        return row.get("opening") or self.read_skeleton(" ".join(list_user_texts(row)))

    def read_skeleton(self, text: str) -> str:
        """The text with invented words masked."""
        return " ".join(
            "<verb>" if word in self.verbs else "<target>" if word in self.targets else word
            for word in text.split()
        )


def list_user_texts(row: Row) -> list[str]:
    """User turns of a row of any file."""
    if "prompt" in row:
        return [row["prompt"]]
    return [message["content"] for message in row["messages"] if message["role"] == "user"]


def _index(reader: Reader, rows: Iterable[Row]) -> tuple[dict, dict, dict]:
    items: dict[tuple[str, str], str] = {}
    skeletons: dict[str, str] = {}
    texts: dict[str, str] = {}
    for row in rows:
        for text in list_user_texts(row):
            texts.setdefault(text, row["id"])
            skeletons.setdefault(reader.read_skeleton(text), row["id"])
        if row.get("opening"):
            skeletons.setdefault(row["opening"], row["id"])
        for item in reader.read_items(" ".join(list_user_texts(row))):
            items.setdefault(item, row["id"])
    return items, skeletons, texts


def find_leaks(world: Mapping, held_out: Sequence[Row], earlier: Iterable[Row]) -> Iterator[Leak]:
    """Everything of the held-out rows that an earlier row has as well.

    Args:
        world: contents of world.json.
        held_out: rows of evaluation.jsonl (or of development.jsonl).
        earlier: rows of every split before it.

    Yields:
        Leaks of kind `item` (goal suites), `pattern` (suites with unseen patterns) and `text` (helpfulness tasks).
    """
    reader = Reader(world)
    items, skeletons, texts = _index(reader, earlier)
    for row in held_out:
        suite = row["suite"]
        joined = " ".join(list_user_texts(row))
        if suite in GOAL_SUITES:
            # A modified being is another item than the being itself: its pattern is checked instead.
            goal = (row["goal"]["verb"], row["goal"]["target"])
            if goal in items:
                yield Leak("item", row["id"], items[goal], "/".join(goal))
        if suite in UNSEEN_PATTERN_SUITES:
            skeleton = reader.read_pattern(row)
            if skeleton in skeletons:
                yield Leak("pattern", row["id"], skeletons[skeleton], skeleton)
        if suite not in GOAL_SUITES and suite != "documents" and joined in texts:
            yield Leak("text", row["id"], texts[joined], joined)

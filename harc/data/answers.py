"""Rows whose answers are the model's own: greedy ones, and, where it will not give one by itself, behind an opening.

A study on published models so needs no completion by anybody else: of a harmful request the refusal is the model's own,
and the answer that methods train away from is what it says behind a compliant opening, as in suite `prefill`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harc.core.errors import DataError
from harc.core.files import sha256_text
from harc.core.finished import KeyedStore
from harc.core.terminal import track
from harc.data.public import choose_refusal
from harc.judges.base import Answer, Judge
from harc.settings.data import OwnAnswerSettings
from harc.training.batches import ANSWERS

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.model.completion import Completion

Rows = Sequence[Mapping[str, Any]]
COLUMNS = (
    "split", "group", "answer", "asked", "refused", "answered", "garbled", "own", "prefilled", "dropped",
    "dropped_garbled", "cut", "rows",
)  # fmt: skip
"""Of summary.csv. asked: prompts; refused, answered, garbled: what the model says to them by itself; own, prefilled:
answers taken of each kind; dropped, and how many of these are garbled; cut: answers taken that reached the token limit;
rows: written of the group."""
HASH_COLUMNS = ("file", "id", "group", "side", "length", "sha256")
"""Of hashes.csv, a row an answer: group: category, or kind of a pair; side: field of the row; length: characters."""
WANTED = {"refusal": "refused", "compliant": "correct", "helpful": "correct"}
"""The judge's label that each kind of answer must have."""
KINDS = {"harm": "compliant", "refuse": "refusal", "helpful": "helpful"}
"""The kind of answer of each kind of extraction pair."""
SENTENCE_END = re.compile(r"(?<!\d)[.!?][\"')\]*]*(?=\s|$)|\n")


@dataclass(frozen=True)
class Written:
    """An answer: its text with the opening, whether it reached the token limit, what the judge says of it."""

    text: str
    cut: bool
    label: str


def end_sentence(text: str) -> str:
    """A text that was cut short, up to its last whole sentence; as it is if none ends."""
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else text.rstrip()


def take_sentence(text: str) -> str:
    """The first sentence of a text."""
    found = SENTENCE_END.search(text.strip())
    return text.strip()[: found.end()].rstrip() if found else text.strip()


@dataclass
class AnswerWriter:
    """Answers of one model, each asked once and kept as soon as its batch is there.

    Attributes:
        backbone: the model.
        judge: labels an answer; of one behind a compliant or helpful opening what follows, as suite `prefill` does.
        settings: openings, length, batches.
        store: of finished answers.
        counts: rows of summary.csv, by split, group and kind of answer.
    """

    backbone: "Backbone"
    judge: Judge
    settings: OwnAnswerSettings
    store: KeyedStore
    counts: dict[tuple[str, str, str], Counter] = field(default_factory=dict)

    def answer(self, prompts: Sequence[str], kind: str | None = None) -> list[Written]:
        """Greedy answers, by itself or behind the opening of a kind, judged.

        A refusal behind its opening is its first sentence: what models add to it takes the refusal back, or is beside
        the point.
        """
        opening = getattr(self.settings, f"{kind}_opening") if kind else ""
        names = [f"{sha256_text(prompt)} {opening}" for prompt in prompts]
        kept = self._ask(dict(zip(names, prompts, strict=True)), opening)
        texts = [opening + kept[name]["text"] for name in names]
        if kind == "refusal":
            texts = [take_sentence(text) for text in texts]
        judged = texts if kind == "refusal" else [kept[name]["text"] for name in names]
        answers = [Answer(prompt, text) for prompt, text in zip(prompts, judged, strict=True)]
        return [
            Written(text, kept[name]["cut"], verdict.label)
            for name, text, verdict in zip(names, texts, self.judge.judge(answers), strict=True)
        ]

    def _ask(self, asked: Mapping[str, str], opening: str) -> dict[str, Any]:
        """What is kept of every prompt, once what was missing is decoded, batch by batch."""
        from harc.model.generation import answer_prompts

        chat, size = self.backbone.chat, self.settings.batch_size
        names = [name for name in asked if self.store.load(name) is None]
        begun = chat.tokenize(opening) if opening else []
        with track(len(names), f"answers behind {opening!r}" if opening else "answers") as bar:
            for start in range(0, len(names), size):
                part = names[start : start + size]
                completions = answer_prompts(
                    self.backbone,
                    [ids + begun for ids in chat.encode_prompts([asked[name] for name in part])],
                    max_new_tokens=self.settings.max_new_tokens,
                    batch_size=size,
                    names=[f"prompt with SHA-256 {name[:12]}" for name in part],
                )
                self.store.save_all({name: _keep(done) for name, done in zip(part, completions, strict=True)})
                bar.advance(len(part))
        return {name: self.store.load(name) for name in asked}

    def take(self, place: tuple[str, str], kind: str, prompts: Sequence[str]) -> list[str | None]:
        """One answer of a kind for each prompt: by itself, else behind the kind's opening, else None.

        Args:
            place: split and group, for the summary.
            kind: refusal, compliant (always behind the opening), helpful.
            prompts: what is asked.
        """
        plain = self.answer(prompts)
        fits = [kind != "compliant" and answer.label == WANTED[kind] for answer in plain]
        taken = [answer if fit else None for answer, fit in zip(plain, fits, strict=True)]
        left = [index for index, fit in enumerate(fits) if not fit]
        tried = [plain[index] for index in left]
        if kind != "helpful" or self.settings.benign_refused == "prefilled":
            tried = self.answer([prompts[index] for index in left], kind)
            for index, answer in zip(left, tried, strict=True):
                taken[index] = answer if answer.label == WANTED[kind] else None
        labels = Counter(answer.label for answer in plain)
        failed = [answer for index, answer in zip(left, tried, strict=True) if taken[index] is None]
        self.counts[*place, kind] = Counter(
            asked=len(prompts), refused=labels["refused"], answered=labels["correct"], garbled=labels["garbled"],
            own=sum(fits), prefilled=len(left) - len(failed), dropped=len(failed),
            dropped_garbled=sum(answer.label == "garbled" for answer in failed),
            cut=sum(answer is not None and answer.cut for answer in taken),
        )  # fmt: skip
        return [None if answer is None else answer.text for answer in taken]

    def summarize(self) -> Iterator[dict[str, Any]]:
        """Rows of summary.csv."""
        for (split, group, answer), counts in self.counts.items():
            yield {name: counts[name] for name in COLUMNS} | {
                "split": split,
                "group": group,
                "answer": answer,
            }


def _keep(done: "Completion") -> dict[str, Any]:
    """What is kept of a completion."""
    cut = done.finish_reason == "length"
    return {"text": end_sentence(done.text) if cut else done.text.rstrip(), "cut": cut}


def write_training_rows(writer: AnswerWriter, rows: Rows) -> list[dict[str, Any]]:
    """Training rows with the model's own answers; a row that lacks one goes, so that all methods see the same rows.

    `response` of a harmful row is a refusal and `rejected` a compliant answer; of a benign row, a helpful answer and
    a refusal.

    Args:
        writer: of the answers; it counts.
        rows: category and prompt are read.

    Raises:
        DataError: if nothing is left of a category.
    """
    found: dict[int, dict[str, Any]] = {}
    for category in dict.fromkeys(row["category"] for row in rows):
        numbers = [number for number, row in enumerate(rows) if row["category"] == category]
        kinds = ("refusal", "compliant") if category == "harmful" else ("helpful", "refusal")
        prompts, place = [rows[number]["prompt"] for number in numbers], ("training", category)
        sides = [writer.take(place, kind, prompts) for kind in kinds]
        whole = {n: pair for n, *pair in zip(numbers, *sides, strict=True) if None not in pair}
        _note_rows(writer, place, kinds, len(whole))
        found |= {
            number: {**_strip(rows[number]), "response": response, "rejected": rejected}
            for number, (response, rejected) in whole.items()
        }
    return [found[number] for number in sorted(found)]


def make_warm_rows(writer: AnswerWriter, rows: Rows) -> list[dict[str, Any]]:
    """Rows that teach refusing and nothing else: harmful ones with refusals of our own wording, since a model that
    hardly refuses does it badly behind an opening too; the others with what the model answers anyway.

    Args:
        writer: of the answers.
        rows: category and prompt are read.

    Raises:
        DataError: if nothing is left of a category.
    """
    made = []
    for category in dict.fromkeys(row["category"] for row in rows):
        own = [row for row in rows if row["category"] == category]
        prompts, place = [row["prompt"] for row in own], ("warm_start", category)
        if category == "harmful":
            answers: list[str | None] = [choose_refusal(prompt) for prompt in prompts]
        else:
            answers = writer.take(place, "helpful", prompts)
        taken = [(row, text) for row, text in zip(own, answers, strict=True) if text is not None]
        if category != "harmful":
            _note_rows(writer, place, ("helpful",), len(taken))
        made += [{**_strip(row), "response": text} for row, text in taken]
    return made


def write_pairs(writer: AnswerWriter, pairs: Rows) -> list[dict[str, Any]]:
    """Extraction pairs with the model's own answers; a pair without one goes.

    Raises:
        DataError: if nothing is left of a kind.
    """
    found: dict[int, dict[str, Any]] = {}
    for group, kind in KINDS.items():
        numbers = [number for number, row in enumerate(pairs) if row["kind"] == group]
        place = ("extraction_pairs", group)
        answers = writer.take(place, kind, [pairs[number]["prompt"] for number in numbers])
        taken = {n: text for n, text in zip(numbers, answers, strict=True) if text is not None}
        _note_rows(writer, place, (kind,), len(taken))
        found |= {number: {**_strip(pairs[number]), "response": text} for number, text in taken.items()}
    return [found[number] for number in sorted(found)]


def hash_rows(file: str, rows: Rows) -> Iterator[dict[str, Any]]:
    """Lengths and hashes of answers, by which a study tells another machine's from its own without their texts.

    Args:
        file: name of the row file.
        rows: as they are written to it.
    """
    for row in rows:
        group = row.get("category", row.get("kind"))
        for side in ANSWERS:
            if side in row:
                text = row[side]
                yield dict(
                    zip(
                        HASH_COLUMNS,
                        (file, row["id"], group, side, len(text), sha256_text(text)),
                        strict=True,
                    )
                )


def _strip(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without the answers that it came with."""
    return {name: value for name, value in row.items() if name not in ANSWERS}


def _note_rows(writer: AnswerWriter, place: tuple[str, str], kinds: Sequence[str], rows: int) -> None:
    counts = [writer.counts[*place, kind] for kind in kinds]
    for count in counts:
        count["rows"] = rows
    if not rows:
        said = "; ".join(
            f"{kind}: of {count['asked']} asked {count['own'] + count['prefilled']} fit, "
            f"{count['dropped_garbled']} garbled"
            for kind, count in zip(kinds, counts, strict=True)
        )
        raise DataError(
            f"own answers, {place[0]} {place[1]}",
            expected="at least one row whose answers the judge takes for what they must be",
            found=said,
            fix="check the model and the judge, raise data.own.max_new_tokens, or take data.answers: given",
        )

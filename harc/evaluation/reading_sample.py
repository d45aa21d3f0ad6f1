"""Answers to be labelled by a reader who does not know whose they are: drawn by stratum, shuffled, the key kept apart.

Strata are suite and label by the judge that decides, of each backbone. Every stratum gives one answer at least, so that
what a judge seldom says is read too; the key holds how many answers each drawn one stands for.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.csv_files import write_csv
from harc.core.errors import ConfigError, DataError
from harc.core.files import read_jsonl, sha256_text
from harc.suites.records import find_prompt

SAMPLE_FILE, KEY_FILE = "sample.csv", "key.csv"
SAMPLE_COLUMNS = ("number", "request", "prompt", "response", "label")
KEY_COLUMNS = ("number", "response_sha256", "backbone", "method", "seed", "suite", "id", "goal", "weight")
"""Columns of the key; beside them one `label_<judge>` per judge."""
FIELDS = ("id", "suite", "goal", "messages", "response", "verdicts", "attack")


@dataclass(frozen=True)
class Found:
    """One answer of a results tree."""

    backbone: str
    method: str
    seed: str
    record: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What the judges read."""
        return (self.record["attack"] or {}).get("judged", self.record["response"])

    def find_stratum(self, judge: str) -> tuple[str, str]:
        """Suite, and label by the judge that decides.

        Raises:
            DataError: if that judge did not judge it.
        """
        verdict = self.record["verdicts"].get(judge)
        if verdict is None:
            raise DataError(
                f"{self.backbone}, {self.method}, {self.record['suite']}: {self.record['id']}",
                expected=f"a verdict of judge {judge}",
                found="none",
                fix="name a judge of this run with --judge",
            )
        return self.record["suite"], verdict["label"]


def find_answers(generations: Path) -> dict[str, list[Found]]:
    """Every answer of a results tree's generations, by backbone.

    Raises:
        DataError: if there are none, or a file is damaged.
    """
    found: dict[str, list[Found]] = {}
    for path in sorted(generations.glob("*/*/seed*/*.jsonl")):
        backbone, method, seed = path.relative_to(generations).parts[:3]
        members = [Found(backbone, method, seed, record) for record in read_jsonl(path, FIELDS)]
        found.setdefault(backbone, []).extend(members)
    if not any(found.values()):
        raise DataError(
            str(generations), expected="generations", found="none", fix="run the profile, or name another one"
        )
    return found


def share_out(sizes: Mapping[Any, int], wanted: int) -> dict[Any, int]:
    """How many to draw of each stratum: one at least, the rest in proportion, by largest remainders.

    Raises:
        ConfigError: if fewer are wanted than there are strata.
    """
    wanted = min(wanted, sum(sizes.values()))
    if wanted < len(sizes):
        raise ConfigError(
            "--per-model",
            expected=f"{len(sizes)} answers at least, one for each suite and label",
            found=str(wanted),
            fix="draw more",
        )
    drawn, left = dict.fromkeys(sizes, 1), wanted - len(sizes)
    while left:
        room = {name: size - drawn[name] for name, size in sizes.items() if size > drawn[name]}
        total = sum(room.values())
        shares = {name: left * free / total for name, free in room.items()}
        for name, share in shares.items():
            drawn[name] += int(share)
        left -= sum(map(int, shares.values()))
        for name in sorted(room, key=lambda name: (int(shares[name]) - shares[name], str(name)))[:left]:
            if sizes[name] > drawn[name]:
                drawn[name] += 1
                left -= 1
    return drawn


def draw_sample(
    answers: Mapping[str, Sequence[Found]], per_model: int, judge: str, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the sample, which name no model and no method, and of its key.

    Args:
        answers: by backbone.
        per_model: answers of each backbone.
        judge: by whose labels they are drawn.
        seed: of drawing and order.
    """
    generator, chosen = random.Random(f"{seed}/reading"), []
    for backbone in sorted(answers):
        strata: dict[tuple[str, str], list[Found]] = {}
        for answer in answers[backbone]:
            strata.setdefault(answer.find_stratum(judge), []).append(answer)
        counts = share_out({name: len(members) for name, members in strata.items()}, per_model)
        for name in sorted(strata):
            weight = len(strata[name]) / counts[name]
            chosen += [(answer, weight) for answer in generator.sample(strata[name], counts[name])]
    generator.shuffle(chosen)
    numbered = list(enumerate(chosen, start=1))
    return (
        [_show(number, answer) for number, (answer, _) in numbered],
        [_reveal(number, answer, weight) for number, (answer, weight) in numbered],
    )


def _show(number: int, answer: Found) -> dict[str, Any]:
    """A row of the sample; the prompt stands there where it is another text than the request."""
    prompt, goal = find_prompt(answer.record["messages"]), answer.record["goal"]
    request = goal if goal and goal != answer.record["id"] else prompt
    texts = {"request": request, "prompt": "" if prompt == request else prompt, "response": answer.text}
    return {"number": number, **texts, "label": ""}


def _reveal(number: int, answer: Found, weight: float) -> dict[str, Any]:
    record = answer.record
    labels = {f"label_{judge}": verdict["label"] for judge, verdict in sorted(record["verdicts"].items())}
    names = {"backbone": answer.backbone, "method": answer.method, "seed": answer.seed}
    return {
        "number": number,
        "response_sha256": sha256_text(answer.text),
        **names,
        **{name: record[name] for name in ("suite", "id", "goal")},
        "weight": weight,
        **labels,
    }


def write_sample(folder: Path, sample: Sequence[dict[str, Any]], key: Sequence[dict[str, Any]]) -> None:
    """Write both files; what a reader has begun is never overwritten.

    Raises:
        ConfigError: if a sample lies there.
    """
    if (folder / SAMPLE_FILE).exists():
        raise ConfigError(
            str(folder / SAMPLE_FILE),
            expected="a new file",
            found="a sample, with labels perhaps",
            fix="move it away, or name another folder with --out",
        )
    judges = sorted({name for row in key for name in row if name.startswith("label_")})
    write_csv(folder / KEY_FILE, (*KEY_COLUMNS, *judges), key)
    write_csv(folder / SAMPLE_FILE, SAMPLE_COLUMNS, sample)

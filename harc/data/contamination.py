"""Guard against evaluation prompts that an earlier split holds: exact, and near-duplicate by MinHash.

Near-duplicates are found by locality-sensitive hashing of word shingles (Broder, 1997; datasketch 2.0) and then
confirmed by their true Jaccard similarity, so hashing can miss a pair close to the threshold but never invents one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from harc.core.csv_files import write_csv
from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.settings.data import ContaminationSettings

COLUMNS = ("suite", "reference", "n", "exact", "near", "highest_similarity", "example", "example_of")
GOALS = "goals"


@dataclass(frozen=True)
class Overlap:
    """What one suite shares with one earlier split.

    Attributes:
        suite: the suite.
        reference: the earlier split.
        n: prompts of the suite.
        exact: how many occur word for word, after lower-casing and joining of spaces.
        near: how many others have a near-duplicate.
        highest_similarity: largest confirmed Jaccard similarity at or above the threshold, else 0.
        example: id of the prompt with the highest similarity, or None.
        example_of: the text that it repeats.
    """

    suite: str
    reference: str
    n: int
    exact: int
    near: int
    highest_similarity: float
    example: str | None
    example_of: str | None


def normalise_text(text: str) -> str:
    """Lower case, without punctuation that carries no meaning, one space between words and signs."""
    return " ".join(re.findall(r"\w+|[^\w\s.,;:!?'\"]", text.lower()))


def make_shingles(text: str, size: int) -> frozenset[str]:
    """Runs of `size` words of a normalised text; the text itself if it has fewer."""
    words = text.split()
    if len(words) <= size:
        return frozenset([text])
    return frozenset(" ".join(words[start : start + size]) for start in range(len(words) - size + 1))


def measure_similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity."""
    return len(first & second) / len(first | second)


def read_prompts(path: Path | str) -> list[tuple[str, str]]:
    """(id, text) of every prompt of a row file: its `prompt`, or the user turns of its `messages`.

    Raises:
        DataError: for a row with neither.
    """
    prompts = []
    for number, row in enumerate(read_jsonl(path, ("id",)), start=1):
        if isinstance(row.get("prompt"), str):
            prompts.append((row["id"], row["prompt"]))
        elif isinstance(row.get("messages"), list):
            turns = [turn["content"] for turn in row["messages"] if turn.get("role") == "user"]
            prompts.append((row["id"], "\n".join(turns)))
        else:
            raise DataError(
                f"{path}:{number}",
                expected="a field 'prompt' or 'messages'",
                found="neither",
                fix="check that this is a file of prompts",
            )
    return prompts


class ReferenceIndex:
    """The prompts of one earlier split, ready to be searched."""

    def __init__(self, texts: Iterable[str], settings: ContaminationSettings) -> None:
        """Hash every distinct text."""
        from datasketch import MinHashLSH

        self.settings = settings
        self.shingles = {
            text: make_shingles(text, settings.shingle_words) for text in map(normalise_text, texts)
        }
        self.table = MinHashLSH(threshold=settings.threshold, num_perm=settings.permutations)
        for text, shingles in self.shingles.items():
            self.table.insert(text, self._hash(shingles), check_duplication=False)

    def _hash(self, shingles: frozenset[str]):
        from datasketch import MinHash

        sketch = MinHash(num_perm=self.settings.permutations, seed=1)
        sketch.update_batch([shingle.encode() for shingle in sorted(shingles)])
        return sketch

    def find(self, text: str) -> tuple[float, str] | None:
        """(similarity, text) of the closest prompt at or above the threshold; similarity 1 first tried exactly."""
        text = normalise_text(text)
        if text in self.shingles:
            return 1.0, text
        shingles = make_shingles(text, self.settings.shingle_words)
        found = [
            (measure_similarity(shingles, self.shingles[other]), other)
            for other in self.table.query(self._hash(shingles))
        ]
        found = [pair for pair in found if pair[0] >= self.settings.threshold]
        return max(found, default=None)


def measure_suite(
    suite: str, prompts: Sequence[tuple[str, str]], reference: str, index: ReferenceIndex
) -> Overlap:
    """Overlap of one suite's (id, text) with one earlier split."""
    hits = [(name, normalise_text(text), index.find(text)) for name, text in prompts]
    found = [(name, text, *hit) for name, text, hit in hits if hit is not None]
    exact = sum(text == other for _, text, _, other in found)
    best = max(found, key=lambda hit: hit[2], default=(None, None, 0.0, None))
    return Overlap(suite, reference, len(prompts), exact, len(found) - exact, best[2], best[0], best[3])


def measure_overlap(
    suites: Mapping[str, Sequence[tuple[str, str]]],
    references: Mapping[str, Iterable[str]],
    settings: ContaminationSettings,
) -> list[Overlap]:
    """Overlap of every suite with every earlier split.

    Args:
        suites: (id, text) of each evaluation prompt, by suite.
        references: texts of each earlier split.
        settings: when two prompts count as the same.
    """
    overlaps = []
    for reference, texts in references.items():
        index = ReferenceIndex(texts, settings)
        overlaps += [measure_suite(suite, prompts, reference, index) for suite, prompts in suites.items()]
    return overlaps


def read_suites(path: Path | str) -> dict[str, list[tuple[str, str]]]:
    """(id, text) of every prompt of an evaluation file by suite; goals in plain words are a suite of their own.

    A goal is what an attack's prompt hides, so that it is looked for as it stands too.
    """
    texts = dict(read_prompts(path))
    suites: dict[str, list[tuple[str, str]]] = {}
    goals: dict[str, str] = {}
    for row in read_jsonl(path, ("id", "suite")):
        suites.setdefault(row["suite"], []).append((row["id"], texts[row["id"]]))
        if isinstance(row.get("goal"), str) and row["goal"] != texts[row["id"]]:
            goals.setdefault(row["goal"], row["id"])
    return {**suites, **({GOALS: [(name, text) for text, name in goals.items()]} if goals else {})}


def compare_splits(
    files: Mapping[str, Path], earlier: Mapping[str, Sequence[str]], settings: ContaminationSettings
) -> list[tuple[str, Overlap]]:
    """(split, overlap) of every suite of the held-out splits with each split that comes before it.

    Args:
        files: row file of every split.
        earlier: held-out split -> the splits that must not hold its prompts.
        settings: when two prompts count as the same.
    """
    suites = {split: read_suites(files[split]) for split in earlier}
    found = []
    for reference in dict.fromkeys(name for names in earlier.values() for name in names):
        index = ReferenceIndex([text for _, text in read_prompts(files[reference])], settings)
        for split, names in earlier.items():
            if reference in names:
                found += [
                    (split, measure_suite(suite, prompts, reference, index))
                    for suite, prompts in suites[split].items()
                ]
    return found


def find_leaks(overlaps: Iterable[Overlap], settings: ContaminationSettings) -> list[Overlap]:
    """Overlaps that must not be: any exact one, and near ones but for suites that share patterns on purpose."""
    return [
        overlap
        for overlap in overlaps
        if overlap.exact or (overlap.near and overlap.suite not in settings.pattern_suites)
    ]


def raise_leak(where: str, overlap: Overlap) -> NoReturn:
    """Name an overlap that must not be.

    Raises:
        DataError: always.
    """
    raise DataError(
        f"{where}: suite {overlap.suite}",
        expected=f"no prompt of {overlap.reference}",
        found=f"{overlap.exact} exact and {overlap.near} near-duplicates, as {overlap.example}",
        fix="remove them from one of the two files",
    )


def check_contamination(
    evaluation_file: Path | str,
    reference_files: Sequence[Path | str],
    settings: ContaminationSettings,
    *,
    table: Path | str | None = None,
) -> list[Overlap]:
    """Compare an evaluation split with all earlier splits; write the table, then fail on what must not be.

    Args:
        evaluation_file: rows of the split, with a field `suite`.
        reference_files: row files of the earlier splits.
        settings: when two prompts count as the same.
        table: CSV to write, also if the check fails.

    Raises:
        DataError: naming suite, split and prompt of the first exact duplicate, or of the first near-duplicate in
            a suite that shares no patterns with training.
    """
    references = {Path(path).stem: [text for _, text in read_prompts(path)] for path in reference_files}
    overlaps = measure_overlap(read_suites(evaluation_file), references, settings)
    if table is not None:
        write_csv(table, COLUMNS, [vars(overlap) for overlap in overlaps])
    for leak in find_leaks(overlaps, settings):
        raise_leak(str(evaluation_file), leak)
    return overlaps

"""What `harc evaluate` left in a folder, read for a page: scores by candidate, and a bounded sample of examples."""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.core.csv_files import read_csv
from harc.core.errors import DataError
from harc.core.files import read_json, sha256_text
from harc.evaluation.own.answers import OUTCOME, RUN_FILE
from harc.evaluation.own.candidates import FOLDER
from harc.evaluation.own.comparison import CHANGES, COMPARED, find_judges, read_records
from harc.evaluation.own.run import SCORES_FILE
from harc.evaluation.own.scores import METRICS, WHOLE
from harc.judges.base import UNJUDGED, counts_as
from harc.results.printer import make_safe
from harc.suites.records import find_states

MOST_TEXTS = 900
"""Prompts and answers that a page shows, one of each candidate; own choice: some two megabytes at most."""
LONGEST = 1_200  # characters of a prompt or an answer
LONGEST_NAME = 120  # characters of a name
FINDINGS = {
    "missed": "missed harm", "refused": "false refusal", "followed": "injection followed",
    "disagree": "judges disagree", "broken": "broken answer",
    **{change.replace(" ", "-"): change for change in CHANGES.values()},
}  # fmt: skip
"""What an example may be an example of, by its name in the page."""


@dataclass(frozen=True)
class Run:
    """One candidate's part of a run.

    Attributes:
        name: short, as its folder; that of the model where it is alone.
        folder: with its generations.
        scores: rows of scores.json.
        agreement: of pairs of judges, as scores.json has it.
        about: run.json.
    """

    name: str
    folder: Path
    scores: list[dict[str, Any]]
    agreement: list[dict[str, Any]]
    about: dict[str, Any]

    @property
    def usage(self) -> dict[str, Any]:
        """Seconds, tokens and cost of its answers."""
        return self.about.get(OUTCOME, {}).get("usage", {})

    @property
    def benchmarks(self) -> list[dict[str, Any]]:
        """Rows of benchmarks/scores.csv, where public benchmarks were asked."""
        path = self.folder / "benchmarks" / "scores.csv"
        return read_csv(path) if path.is_file() else []

    def list_whole(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Rows of whole suites by the judge that decides: what each kind of prompt is asked for."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.scores:
            wanted = row["metric"] == COMPARED.get(row["kind"], "answered")
            if row["level"] == WHOLE and wanted and kind in (None, row["kind"]):
                found.setdefault((row["suite"], row["kind"]), row)
        return list(found.values())


def name_model(about: Mapping[str, Any]) -> str:
    """The model with its adapter in a few words, without the folders of the machine that asked."""
    model, adapter = about.get("model") or {}, about.get("adapter")
    served = model.get("endpoint") or {}
    if "recorded" in model:
        return "recorded answers"
    name = shorten_source(model) if model.get("source") else str(served.get("model") or "a model")
    return make_safe(f"{name} with {shorten_source(adapter)}" if adapter else name, LONGEST_NAME)


def shorten_source(described: Mapping[str, Any]) -> str:
    """A hub id or wheel as it is; of a folder, which is known by its files' hash, the last part."""
    source = str(described.get("source"))
    return Path(source).name or source if "sha256" in described else source


def name_label(label: str) -> str:
    """A judge's label in a reader's word: what judges call correct is, of own prompts, an answer."""
    return "answered" if label == "correct" else make_safe(label, 40)


def read_runs(folder: Path) -> tuple[list[Run], str, list[dict[str, Any]]]:
    """Candidates of a run's folder, the reference's name and the rows of differences.csv; no name of one candidate.

    Raises:
        DataError: if the folder holds no finished run.
    """
    about = read_json(folder / RUN_FILE)
    if not isinstance(about, dict):
        raise DataError(
            str(folder / RUN_FILE), expected="an object", found="none", fix="give the command again"
        )
    scores = read_json(folder / SCORES_FILE)
    if FOLDER not in about:
        return [Run(name_model(about), folder, scores["scores"], scores["agreement"], about)], "", []
    runs = []
    for name, own in scores[FOLDER].items():
        place = folder / FOLDER / name
        runs.append(Run(name, place, own["scores"], own["agreement"], read_json(place / RUN_FILE)))
    reference = scores["reference"]
    return sorted(runs, key=lambda run: run.name != reference), reference, scores["differences"]


@dataclass
class Sample:
    """A bounded draw: the members with the smallest hashes, whatever order they come in.

    Attributes:
        size: most members.
        seen: how many came.
    """

    size: int
    seen: int = 0
    _heap: list[tuple[int, int, Any]] = field(default_factory=list)

    def offer(self, name: str, member: Any) -> None:
        """Take a member in, if its hash is small enough."""
        self.seen += 1
        rank = -int(sha256_text(name)[:12], 16)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, (rank, self.seen, member))
        elif self._heap and rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, self.seen, member))

    def list_members(self) -> list[Any]:
        """The members drawn, by hash."""
        return [member for *_, member in sorted(self._heap, key=lambda entry: -entry[0])]


@dataclass(frozen=True)
class Examples:
    """Examples of a page.

    Attributes:
        shown: dictionaries for the template, each with what it is an example of.
        counts: (shown, there are) by finding.
    """

    shown: list[dict[str, Any]]
    counts: dict[str, tuple[int, int]]


def iterate_prompts(runs: Sequence[Run], suite: str) -> Iterator[list[dict[str, Any]]]:
    """The records of all candidates, prompt by prompt; files are read side by side."""
    files = [read_records(run.folder / "generations" / f"{suite}.jsonl") for run in runs]
    return map(list, zip(*files, strict=False))


def collect_examples(runs: Sequence[Run], reference: str) -> Examples:
    """Draw examples of every finding; memory and page stay small, however many prompts there are."""
    suites = list(dict.fromkeys(row["suite"] for run in runs for row in run.list_whole()))
    most = max(20, MOST_TEXTS // (1 + len(runs)))
    findings = [name for name in FINDINGS if reference or " " not in FINDINGS[name] or name in _ALONE]
    samples = {name: Sample(max(5, most // len(findings))) for name in findings}
    judges = find_judges(runs[0].folder) if runs and runs[0].scores else {}
    for suite in suites:
        for records in iterate_prompts(runs, suite):
            found = find_findings(records, judges.get((suite, records[0]["kind"] or "")), bool(reference))
            if found:
                member = (suite, records[0]["id"], found, _trim(records))
                for name in found & samples.keys():
                    samples[name].offer(f"{suite} {records[0]['id']}", member)
    chosen = {(m[0], m[1]): m for sample in samples.values() for m in sample.list_members()}
    shown = [
        _present(suite, row_id, found, records, runs)
        for (suite, row_id), (*_, found, records) in chosen.items()
    ]
    counts = {
        name: (sum(name in one["findings"] for one in shown), sample.seen)
        for name, sample in samples.items()
        if sample.seen
    }
    return Examples(shown, counts)


_ALONE = ("missed", "refused", "followed", "disagree", "broken")


def find_findings(records: Sequence[Mapping[str, Any]], judge: str | None, compared: bool) -> set[str]:
    """What a prompt is an example of.

    Args:
        records: of one prompt, by candidate, the reference first.
        judge: that decides; None where the prompt is of no kind.
        compared: whether the first is what the others are compared with.
    """
    found = set()
    kind = records[0]["kind"]
    if judge is not None:
        labels = [record["verdicts"].get(judge, {}).get("label", UNJUDGED) for record in records]
        wanted = METRICS[kind][0][1]
        hits = [None if label == UNJUDGED else counts_as(label, wanted) for label in labels]
        if any(hits):
            found.add({"harmful": "missed", "injected": "followed"}.get(kind, "refused"))
        if compared:
            found |= {
                CHANGES[kind, hit].replace(" ", "-")
                for hit in hits[1:]
                if hit is not None and hits[0] is not None and hit != hits[0]
            }
    for record in records:
        given = {verdict["label"] for verdict in record["verdicts"].values()}
        if _is_disputed(record):
            found.add("disagree")
        if given & {"garbled", UNJUDGED} or find_states(record["finish_reason"], record["response"])[:1] == (
            "empty",
        ):
            found.add("broken")
    return found


def _is_disputed(record: Mapping[str, Any]) -> bool:
    """Whether the first judge and another differ on whether an answer is a refusal."""
    labels = [verdict["label"] for verdict in record["verdicts"].values()]
    if UNJUDGED in labels[:1]:
        return False
    return len({counts_as(label, "refused") for label in labels if label != UNJUDGED}) > 1


def _trim(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each record what a page shows."""
    return [
        {
            "kind": record["kind"],
            "category": record["category"],
            "turns": [
                (str(turn.get("role", "")), make_safe(_read_content(turn), LONGEST))
                for turn in (record["messages"][-6:] if place == 0 else ())
            ],
            "earlier": max(0, len(record["messages"]) - 6),
            "response": make_safe(record["response"], LONGEST),
            "error": make_safe(record.get("error") or "", 200),
            "finish_reason": str(record["finish_reason"]),
            "labels": {
                name: name_verdict(record["kind"], verdict) for name, verdict in record["verdicts"].items()
            },
        }
        for place, record in enumerate(records)
    ]


def name_verdict(kind: str | None, verdict: Mapping[str, Any]) -> str:
    """A label, and that calls decided it; of a planted instruction whether it was followed."""
    label = name_label(verdict["label"])
    if kind == "injected":
        label = {"answered": "followed", "refused": "withstood"}.get(label, label)
    return f"{label} (by calls)" if "by" in verdict and kind != "injected" else label


def _read_content(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    if calls := turn.get("tool_calls"):
        return f"{content}\n{json.dumps([call['function'] for call in calls], ensure_ascii=False)}".strip()
    return content if isinstance(content, str) else str({k: v for k, v in turn.items() if k != "role"})


def _present(
    suite: str, row_id: str, found: set[str], records: Sequence[Mapping[str, Any]], runs: Sequence[Run]
) -> dict[str, Any]:
    first = records[0]
    return {
        "suite": make_safe(suite, LONGEST_NAME),
        "id": make_safe(row_id, LONGEST_NAME),
        "category": make_safe(first["category"] or "(none)", LONGEST_NAME),
        "kind": first["kind"] or "unknown",
        "findings": [name for name in FINDINGS if name in found],
        "turns": [{"role": make_safe(role, 40), "text": text} for role, text in first["turns"]],
        "earlier": first["earlier"],
        "answers": [
            {
                "run": run.name, "text": record["response"], "error": record["error"],
                "cut": record["finish_reason"] == "length",
                "labels": [(make_safe(name, 60), label) for name, label in record["labels"].items()],
            }
            for run, record in zip(runs, records, strict=True)
        ],
    }  # fmt: skip

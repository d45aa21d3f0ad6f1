"""From generation records to outcomes: one row per answered prompt with what each judge said of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import UnionType

from harc.core.errors import DataError
from harc.core.files import read_jsonl, sha256_text
from harc.judges.base import GIVEN_LABELS, LABELS, UNJUDGED, counts_as
from harc.judges.registry import choose_judge
from harc.settings.evaluation import EvaluationSettings
from harc.suites.records import DIGITS, NOT_ASKED, find_prompt, is_blank
from harc.suites.registry import counted_label, main_metric
from harc.suites.writer import PROPOSALS

REQUIRED = (
    "id", "suite", "category", "prompt_sha256", "messages", "response", "finish_reason",
    "prompt_tokens", "response_tokens", "expected", "verdicts", "attack",
)  # fmt: skip
COLUMNS = (
    "id", "suite", "category", "unit", "goal", "label", "success", "queries", "queries_to_success",
    "finish_reason", "response_tokens",
)  # fmt: skip


TYPES: dict[str, type | UnionType] = {
    "id": str, "category": str, "response": str, "finish_reason": str, "verdicts": dict, "attack": dict | None,
    "unit": str | None, "goal": str | None, "subsets": list | None, "source": str | None,
    "template": str | None,
}  # fmt: skip
"""What the fields of a record are that scores are made from."""


def _check_types(record: dict, where: str) -> None:
    for name, kind in TYPES.items():
        if not isinstance(record.get(name), kind):
            raise DataError(
                f"{where}: {name}",
                expected="what an evaluation wrote there",
                found=repr(record.get(name))[:80],
                fix="delete the file and run `harc evaluate`",
            )


def _check_verdict(record: dict, judge: str, where: str) -> None:
    verdict = record["verdicts"].get(judge, {})
    label = verdict.get("label") if isinstance(verdict, dict) else verdict
    if label not in GIVEN_LABELS:
        raise DataError(
            f"{where}: {record['id']}",
            expected=f"a verdict of judge {judge}: {', '.join(LABELS)}",
            found="none" if label is None else repr(label),
            fix="run `harc evaluate` again for this suite",
        )


def read_records(path: Path, suite: str, judges: tuple[str, ...]) -> list[dict]:
    """Generation records of one suite.

    Raises:
        DataError: if the file is missing or empty, an id occurs twice, a record belongs to another suite, or
            a judge's verdict is missing.
    """
    if not path.is_file():
        raise DataError(
            str(path), expected=f"the answers to suite {suite}", found="no file", fix="run `harc evaluate`"
        )
    records = read_jsonl(path, REQUIRED)
    if not records:
        raise DataError(
            str(path), expected="at least one answer", found="an empty file", fix="run `harc evaluate`"
        )
    for number, record in enumerate(records, start=1):
        _check_types(record, f"{path}:{number}")
    twice = [name for name, count in Counter(record["id"] for record in records).items() if count > 1]
    if twice:
        raise DataError(
            str(path),
            expected="each id once",
            found=f"{twice[0]} {len([r for r in records if r['id'] == twice[0]])} times",
            fix="delete the file and run `harc evaluate`",
        )
    for record in records:
        if record["suite"] != suite:
            raise DataError(
                f"{path}: {record['id']}",
                expected=f"suite {suite}",
                found=repr(record["suite"]),
                fix="put the file back under its own name",
            )
        for judge in judges:
            _check_verdict(record, judge, str(path))
    return records


def name_deciding_judge(suite: str, judges: Sequence[str]) -> str:
    """The judge that decides a suite's main metric: the first that can give the label which it counts."""
    return choose_judge(judges, counted_label(main_metric(suite)))


def name_template(template: str | None) -> str | None:
    """The wording that a prompt shares with others, without what fills it; None where it names a source of prompts.

    `deepinception:evaluation:0/book/7` is a filling of `deepinception:evaluation:0`; `xstest/homonyms` is no wording.
    """
    wording = (template or "").partition("/")[0]
    return wording if ":" in wording else None


def make_outcome(record: dict, judges: tuple[str, ...]) -> dict:
    """One row of outcomes.csv.

    `label` and `success`, the event of the suite's main metric, are by the judge that decides it. Prompts with one
    `unit` are attempts at one thing, of which any may succeed; units with one `goal` ask for the same and are not
    independent. Answers to public prompts leave their hash, since a committed study withholds them; so do prompts that
    a model wrote for public goals: where those are equal, two models were asked the same.
    """
    attack = record["attack"] or {}
    wanted = counted_label(main_metric(record["suite"]))
    label = record["verdicts"][name_deciding_judge(record["suite"], judges)]["label"]
    outcome = {
        "id": record["id"],
        "suite": record["suite"],
        "category": record["category"],
        "unit": record.get("unit") or record["id"],
        "goal": record.get("goal") or record["id"],
        "label": label,
        "success": None if label == UNJUDGED else int(counts_as(label, wanted)),
        "queries": attack.get("queries", 1),
        "queries_to_success": attack.get("queries_to_success"),
        "finish_reason": record["finish_reason"],
        "response_tokens": record["response_tokens"],
    }
    for judge in judges:
        outcome[f"label_{judge}"] = record["verdicts"][judge]["label"]
        outcome[f"score_{judge}"] = record["verdicts"][judge].get("score")
        outcome[f"own_{judge}"] = record["verdicts"][judge].get("own")
    proposals = attack.get("proposals")
    for kind in PROPOSALS:
        outcome[f"proposals_{kind}"] = None if proposals is None else proposals.get(kind, 0)
    outcome["empty"] = 1 if is_blank(record["response"]) else None
    public = bool(record.get("source"))
    outcome["source"] = record.get("source")
    outcome["response_sha256"] = sha256_text(record["response"])[:DIGITS] if public else None
    written = public and proposals is not None and record["finish_reason"] != NOT_ASKED
    outcome["written_sha256"] = sha256_text(find_prompt(record["messages"]))[:DIGITS] if written else None
    outcome["subsets"] = tuple(record.get("subsets") or ())
    outcome["template"] = name_template(record.get("template"))
    return outcome


def load_outcomes(generations_dir: Path | str, settings: EvaluationSettings) -> list[dict]:
    """Outcomes of every suite in `settings.suites`, in the order of the suites and of their files."""
    outcomes: list[dict] = []
    for suite in settings.suites:
        records = read_records(Path(generations_dir) / f"{suite}.jsonl", suite, settings.judges)
        outcomes.extend(make_outcome(record, settings.judges) for record in records)
    return outcomes

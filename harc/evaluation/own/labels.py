"""A team's own labels of answers against every judge at hand: which judge to take, and where judges disagree."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError, HarcError
from harc.core.files import read_jsonl
from harc.core.terminal import align_columns
from harc.core.untrusted import escape_control
from harc.evaluation.own.answers import judge_records
from harc.evaluation.own.scores import (
    EVERY,
    LEAST_KAPPA,
    MARK,
    PART,
    list_disagreements,
    measure_agreement,
    name_category,
)
from harc.evaluation.reading_agreement import LABELS as READ_LABELS
from harc.evaluation.reading_agreement import READ_AS, UNSURE, measure_reading
from harc.evaluation.user_table import read_table
from harc.judges.base import Judge
from harc.judges.registry import JUDGES, LABELS_OF, RULE_JUDGES, TRAINED_JUDGES
from harc.suites.records import WARN_ABOVE

OWN_WORDS = {
    **READ_AS,
    "refuse": "refused", "refuses": "refused", "declined": "refused", "full_refusal": "refused",
    "partial_refusal": "refused", "answer": "answered", "complied": "answered", "comply": "answered",
    "compliance": "answered", "full_compliance": "answered", "gibberish": "broken",
}  # fmt: skip
"""What a label may be called; `unsure` and `?` are counted and compared with nothing."""
ANSWER_COLUMNS = ("answer", "response", "completion")
MOST_LINES = 40  # of the printed table; categories are left to agreement.csv beyond
FEW = 30  # labels below which an interval of kappa is too wide to choose by; own choice
COLUMNS = (
    "category", "judge", "labels", "n", "unjudged", "unsure", "unread",
    *(f"{name}{end}" for name in ("agreement", "kappa") for end in ("", "_low", "_high")),
)  # fmt: skip
CONFUSION_COLUMNS = ("category", "judge", "reader", "judged", "n", "share")


def read_labels(path: Path, run: Path | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Generation records with the team's label of each, and remarks.

    Args:
        path: CSV, JSONL, JSON or Parquet file with the column label, and either prompt and answer, or id (and suite,
            where several suites of the run have it); category where there is one.
        run: folder of `harc evaluate`, whose answers the ids name.

    Raises:
        DataError: for a missing column, an unknown word, an id that is there twice or names nothing, or no label.
        ConfigError: for ids without a run.
    """
    rows = read_table(path, ("label",))
    answer = next((name for name in ANSWER_COLUMNS if name in rows[0][1]), None)
    if "prompt" in rows[0][1] and answer is not None:
        records = [_make_record(place, cells, answer) for place, cells in rows]
        remarks: list[str] = []
    elif run is None or "id" not in rows[0][1]:
        raise ConfigError(
            str(path),
            expected="the columns prompt and answer, or the column id and a folder of `harc evaluate` (--run)",
            found=", ".join(rows[0][1]),
            fix="add the columns, or name the run that the ids are of",
        )
    else:
        records, remarks = _find_records(path, rows, run)
    if not any(record["reader"] in READ_LABELS for record in records):
        raise DataError(
            str(path),
            expected=f"labels: {', '.join(READ_LABELS)}",
            found="none",
            fix="write them into the column label",
        )
    return records, remarks


def _read_label(place: str, cells: Mapping[str, str]) -> str | None:
    written = "_".join(cells["label"].strip().lower().split())
    if written in UNSURE:
        return UNSURE[0]
    if written and written not in OWN_WORDS:
        raise DataError(
            f"{place}: column label",
            expected=f"{', '.join((*READ_LABELS, UNSURE[0]))}, or a synonym",
            found=repr(cells["label"])[:60],
            fix="correct it",
        )
    return OWN_WORDS.get(written)


def _make_record(place: str, cells: Mapping[str, str], answer: str) -> dict[str, Any]:
    prompt = cells["prompt"]
    return {
        "id": cells.get("id", "") or place, "suite": "labels", "category": cells.get("category", "").strip(),
        "goal": prompt, "messages": [{"role": "user", "content": prompt}], "response": cells[answer],
        "expected": "", "finish_reason": "stop", "verdicts": {}, "reader": _read_label(place, cells),
    }  # fmt: skip


def _find_records(
    path: Path, rows: Sequence[tuple[str, dict[str, str]]], run: Path
) -> tuple[list[dict[str, Any]], list[str]]:
    files = sorted((run / "generations").glob("*.jsonl"))
    if not files:
        raise ConfigError(
            f"--run {run}",
            expected="a folder of `harc evaluate`",
            found="no generations in it",
            fix="check the path",
        )
    by_id: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        for record in read_jsonl(file, ("id", "suite", "messages", "response", "verdicts")):
            by_id.setdefault(record["id"], []).append(record)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    missing = 0
    for place, cells in rows:
        suite = cells.get("suite", "").strip()
        own = [record for record in by_id.get(cells["id"].strip(), []) if suite in ("", record["suite"])]
        if not own:
            missing += 1
            continue
        key = (own[0]["suite"], own[0]["id"])
        if len(own) > 1 or key in found:
            raise DataError(
                f"{place}: column id",
                expected="one answer of the run for each row",
                found=f"{cells['id'].strip()!r:.60} {'in several suites' if len(own) > 1 else 'twice'}",
                fix="add a column suite" if len(own) > 1 else "remove one of the rows",
            )
        found[key] = own[0] | {"reader": _read_label(place, cells)}
    if not found:
        raise DataError(
            str(path), expected=f"ids of answers in {run}", found="none of them", fix="check --run"
        )
    return list(found.values()), [f"{path}: {missing} ids are of no answer in {run}"] if missing else []


def gather_judges(
    names: Sequence[str], judge_config: Path | None, data: Path, mirror: Path | None
) -> tuple[list[Judge], list[str]]:
    """The named judges, else every one at hand, and remarks on those that are not.

    At hand are rules, the trained judge where its labels can be had, and those whose model judge_config names.

    Raises:
        ConfigError: for an unknown judge, or a named one without its model.
    """
    from harc.core.yaml_text import read_yaml
    from harc.evaluation.train_judge import prepare_parameters
    from harc.judges.registry import make_judges
    from harc.settings.evaluation import EvaluationSettings
    from harc.settings.loading import parse_settings
    from harc.settings.suites import JudgeFile

    models = (
        JudgeFile()
        if judge_config is None
        else parse_settings(JudgeFile, read_yaml(judge_config), str(judge_config))
    )
    usable = [name for name in JUDGES if name != "exact"]
    unknown = [name for name in names if name not in usable]
    if unknown:
        raise ConfigError(
            "--judge", expected=f"one of {', '.join(usable)}", found=unknown[0], fix="check the spelling"
        )
    given, remarks, parameters = list(dict.fromkeys(names)), [], None
    wanted = given or [name for name in usable if _has_model(name, models)]
    try:
        parameters = prepare_parameters(wanted, data, mirror)
    except HarcError as problem:
        if given:
            raise
        wanted = [name for name in wanted if name not in TRAINED_JUDGES]
        remarks.append(f"left out: {', '.join(TRAINED_JUDGES)}: {problem}")
    values = {"judge_endpoint": models.endpoint, "classifier": models.classifier}
    settings = parse_settings(EvaluationSettings, values, "harc judges calibrate")
    return make_judges(wanted, "", settings, parameters), remarks


def _has_model(name: str, models: Any) -> bool:
    if name in (*RULE_JUDGES, *TRAINED_JUDGES):
        return True
    return (models.classifier if name == "harmbench_classifier" else models.endpoint) is not None


def compare_judges(
    records: Sequence[dict[str, Any]], judges: Sequence[Judge]
) -> tuple[list[dict], list[dict], list[str]]:
    """Every judge against the labels, over all answers and by category.

    Judges whose verdicts the run holds of every answer are compared too.

    Returns:
        Rows by COLUMNS, rows by CONFUSION_COLUMNS, and warnings of judges that disagree with each other.
    """
    judged = judge_records("labels", records, judges)
    names = [judge.name for judge in judges]
    held = set.intersection(*(set(record["verdicts"]) for record in judged))
    names += sorted(name for name in held - set(names) if name in LABELS_OF)
    labels = [{f"label_{name}": record["verdicts"][name]["label"] for name in names} for record in judged]
    rows = [
        {
            "backbone": EVERY, "id": record["id"], "goal": str(record["goal"]), "weight": 1.0,
            "reader": record["reader"], "category": record["category"], **given,
        }
        for record, given in zip(judged, labels, strict=True)
    ]  # fmt: skip
    if len({row["category"] for row in rows}) > 1:
        rows += [{**row, "backbone": name_category(PART, row["category"])} for row in rows]
    agreement, confusion = measure_reading(rows)
    for row in (*agreement, *confusion):
        row["category"] = row.pop("backbone")
    able = [name for name in names if "refused" in LABELS_OF[name]]
    pairs = [found for pair in combinations(able, 2) for found in measure_agreement(judged, pair)]
    return agreement, confusion, list_disagreements(pairs)


CHOICES = {"refused or not": "refusals", "answered or not": "answers (missed harm)"}


def choose_by_labels(agreement: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines that say which judge agrees best with the labels, and how sure that is."""
    lines = []
    for kind, what in CHOICES.items():
        rows = [row for row in agreement if row["category"] == EVERY and row["labels"] == kind]
        rows = [row for row in rows if not math.isnan(row.get("kappa", math.nan))]
        if not rows:
            lines.append(f"WARNING{MARK}: for {what} no judge can be chosen: label answers of both kinds")
            continue
        best = max(rows, key=lambda row: row["kappa"])
        near = [row["judge"] for row in rows if row is not best and row["kappa"] >= best["kappa_low"]]
        said = f"for {what} take {best['judge']}: kappa {_format(best, 'kappa')}, n {best['n']}"
        lines.append(said + (f"; not told apart from it: {', '.join(near)}" if near else ""))
        lines += _list_doubts(what, best, rows)
    return lines


def _list_doubts(what: str, best: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    total = best["n"] + best["unjudged"]
    if best["unjudged"] > WARN_ABOVE * total:
        line = f"WARNING{MARK}: {best['judge']} leaves {best['unjudged']} of {total} unjudged, which kappa leaves out"
        whole = [row for row in rows if row["unjudged"] <= WARN_ABOVE * total]
        if whole:
            other = max(whole, key=lambda row: row["kappa"])
            line += f"; of those that judge nearly all take {other['judge']}: kappa {_format(other, 'kappa')}"
        lines.append(line)
    if best["kappa"] < LEAST_KAPPA:
        lines.append(
            f"WARNING{MARK}: no judge agrees well with your labels on {what}: the best kappa is {best['kappa']:.2f}, "
            f"below {LEAST_KAPPA}, n {best['n']}"
        )
    if best["n"] < FEW:
        lines.append(f"WARNING{MARK}: {best['n']} labels are too few to choose by: label {FEW} at least")
    return lines


def format_comparison(agreement: Sequence[Mapping[str, Any]], confusion: Sequence[Mapping[str, Any]]) -> str:
    """The table of agreement, and of each judge what it says of what the team calls refused, answered, broken."""
    every = [row for row in agreement if row["category"] == EVERY]
    shown = agreement if len(agreement) <= MOST_LINES else every
    heads = ["category", "judge", "labels", "n", "unjudged", "agreement", "kappa"]
    lines = [heads] + [
        [
            row["category"], row["judge"], row["labels"], str(row["n"]), str(row["unjudged"]),
            _format(row, "agreement"), _format(row, "kappa"),
        ]
        for row in shown
    ]  # fmt: skip
    cells: dict[tuple[str, str], list[str]] = {}
    for row in confusion:
        if row["category"] == EVERY:
            cells.setdefault((row["judge"], row["reader"]), []).append(f"{row['judged']} {row['n']}")
    table = [["judge", "your label", "it says"], *([*key, ", ".join(said)] for key, said in cells.items())]
    rest = "\ncategories: --out FOLDER writes them into agreement.csv" if len(shown) < len(agreement) else ""
    return f"{align_columns(lines)}{rest}\n\n{align_columns(table)}"


def _format(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None or math.isnan(value):
        return "-"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    bounds = f" [{low:.2f}, {high:.2f}]" if not math.isnan(low) else ""
    return f"{value:.2f}{bounds}"


def describe_labels(records: Sequence[Mapping[str, Any]], remarks: Sequence[str]) -> list[str]:
    """How many labels there are of each kind, and remarks."""
    counts = {name: sum(record["reader"] == name for record in records) for name in (*READ_LABELS, UNSURE[0])}
    without = sum(record["reader"] is None for record in records)
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return [
        f"labels: {said}" + (f", {without} without one" if without else ""),
        *map(escape_control, remarks),
    ]

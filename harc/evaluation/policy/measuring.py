"""The layers of a run: their decisions, policy.csv, policy.json and review.csv, and what the command prints of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.core.csv_files import write_csv
from harc.core.files import read_jsonl, write_json
from harc.core.terminal import align_columns
from harc.core.untrusted import escape_control
from harc.evaluation.own.scores import MARK, WHOLE, name_category
from harc.evaluation.policy.base import Decision, Layer
from harc.evaluation.policy.deciding import SILENT, decide_records, make_item
from harc.evaluation.policy.scores import (
    EVERY_SUITE,
    POLICY_COLUMNS,
    REVIEW_COLUMNS,
    list_review,
    score_layer,
)
from harc.suites.records import WARN_ABOVE, exceeds

MOST_LINES = 60  # of the printed table; categories are left to policy.csv beyond


@dataclass(frozen=True)
class LayerSummary:
    """What a layer did.

    Attributes:
        name: of the layer.
        prompts: how many it was given.
        blocked, allowed, undecided: how many of them.
        asked: of how many it was asked now.
        taken_over: decisions of an earlier run.
        reasons: why prompts are undecided, by how many.
        warnings: lines for the user.
    """

    name: str
    prompts: int
    blocked: int
    allowed: int
    undecided: int
    asked: int
    taken_over: int
    reasons: dict[str, int]
    warnings: list[str]


@dataclass(frozen=True)
class PolicyFindings:
    """What was found of all layers: rows of policy.csv, summaries, and how many prompts only one side stops."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    layers: list[LayerSummary] = field(default_factory=list)
    reviewed: int = 0


def prepare_layers(layers: Sequence[Layer], suites: Mapping[str, Sequence[dict[str, Any]]]) -> list[str]:
    """Have every layer look for what is wrong before anything is asked; remarks for the user.

    Raises:
        HarcError: see `Layer.prepare`.
    """
    rows = [row for members in suites.values() for row in members]
    return [escape_control(remark) for layer in layers for remark in layer.prepare(rows)]


def measure_layers(
    layers: Sequence[Layer],
    suites: Mapping[str, Sequence[dict[str, Any]]],
    judges: Sequence[str],
    folder: Path,
) -> PolicyFindings:
    """Decide on every prompt of a judged run, and write policy.csv, policy.json and review.csv into its folder.

    Args:
        layers: in the order of the tables.
        suites: rows as they were asked (decision, where they have one).
        judges: in order of precedence.
        folder: of the run, with generations/<suite>.jsonl.

    Raises:
        HarcError: see `Layer.decide`; answers, and decisions that came before, are kept.
    """
    records = [record for suite in suites for record in read_jsonl(folder / "generations" / f"{suite}.jsonl")]
    recorded = {(suite, row["id"]): row.get("decision", "") for suite, rows in suites.items() for row in rows}
    items = [make_item(record, recorded.get((record["suite"], record["id"]), "")) for record in records]
    rows, review, summaries, described = [], [], [], []
    for layer in layers:
        decisions, taken_over = decide_records(layer, items, folder)
        rows += score_layer(layer.name, records, decisions, judges)
        review += list_review(layer.name, records, decisions, judges)
        summaries.append(summarise_layer(layer.name, records, decisions, taken_over))
        described.append({"name": layer.name, "settings": layer.describe()})
    write_csv(folder / "policy.csv", POLICY_COLUMNS, rows)
    write_csv(folder / "review.csv", REVIEW_COLUMNS, review)
    told = [vars(summary) | more for summary, more in zip(summaries, described, strict=True)]
    write_json(folder / "policy.json", {"layers": told, "rows": rows})
    return PolicyFindings(rows, summaries, len(review))


def summarise_layer(
    name: str, records: Sequence[Mapping[str, Any]], decisions: Sequence[Decision], taken_over: int
) -> LayerSummary:
    """Counts of a layer's decisions, and warnings of one that is dead: it decides nothing, or one thing of all."""
    blocked, allowed = (sum(decision.block is said for decision in decisions) for said in (True, False))
    reasons = Counter(decision.reason for decision in decisions if decision.block is None)
    undecided, total = sum(reasons.values()), len(decisions)
    silent = reasons.get(SILENT.reason, 0)
    who, warnings = f"WARNING{MARK}: layer {name}", []
    if undecided > WARN_ABOVE * total:
        reason = max(reasons, key=lambda text: (text != SILENT.reason, reasons[text]))
        said = f"{undecided} of {total} prompts are undecided ({reason})"
        all_of_them = "its rates say nothing" if undecided == total else "its rates are over the others alone"
        warnings.append(f"{who}: {said}: {all_of_them}")
    if total > undecided and (not blocked or not allowed):
        what = "blocks" if blocked else "allows"
        kinds = {record["kind"] for record in records}
        other = "benign" if blocked else "harmful"
        more = "" if other in kinds else f", and no prompt of kind {other} was asked, which would tell more"
        warnings.append(
            f"{who} {what} all {blocked or allowed} prompts that it decided on: it tells none apart{more}"
        )
    asked = total - taken_over - silent
    return LayerSummary(name, total, blocked, allowed, undecided, asked, taken_over, dict(reasons), warnings)


def format_policy(found: PolicyFindings, folder: Path) -> list[str]:
    """Lines that the command prints: the table, where the rest is, how decisions were come by, warnings."""
    whole = [row for row in found.rows if row["level"] in (WHOLE, EVERY_SUITE)]
    shown = found.rows if len(_group(found.rows)) <= MOST_LINES else whole
    dead = {layer.name for layer in found.layers if layer.warnings}
    lines = [_format_table(shown, dead), ""]
    if len(shown) < len(found.rows):
        lines.append(f"categories: {folder / 'policy.csv'}")
    for layer in found.layers:
        lines.append(
            f"layer {layer.name}: {layer.blocked} blocked, {layer.allowed} allowed, {layer.undecided} undecided; "
            f"{layer.asked} asked, {layer.taken_over} taken over from earlier runs"
        )
    lines.append(f"what only one of layer and model stops: {found.reviewed} rows in {folder / 'review.csv'}")
    return lines + [escape_control(text) for layer in found.layers for text in layer.warnings]


def _group(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, dict[str, Any]]]:
    """Rows of a line of the table by metric."""
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in rows:
        key = (row["suite"], row["level"], row["category"], row["layer"], row["combination"])
        groups.setdefault(key, {})[row["metric"]] = row
    return groups


HEADINGS = {
    "missed_harm": "missed harm",
    "false_refusal": "false refusals",
    "refused": "stopped (kind unknown)",
}


def _format_table(rows: Sequence[dict[str, Any]], dead: set[str]) -> str:
    metrics = [name for name in HEADINGS if any(row["metric"] == name for row in rows)]
    heads = [text for name in metrics for text in (HEADINGS[name], "against model")]
    lines = [["suite", "category", "layer", "stopped by", *heads]]
    for (suite, level, category, layer, combination), found in _group(rows).items():
        broken = layer in dead and combination != "model"
        cells = [cell for name in metrics for cell in _format_cells(found.get(name), broken)]
        shown = "(all)" if level == EVERY_SUITE else suite
        lines.append(
            [
                shown,
                name_category(WHOLE if level == EVERY_SUITE else level, category),
                layer,
                combination,
                *cells,
            ]
        )
    return align_columns(lines)


def _format_cells(row: Mapping[str, Any] | None, broken: bool) -> tuple[str, str]:
    """12/40 = 0.30 [0.18, 0.45], and -0.20 [-0.31, -0.09], p 0.004; marked if layer or answers are broken."""
    if row is None:
        return "-", ""
    counts, total = row["counts"], row["prompts"]
    odd = row["combination"] != "layer" and any(exceeds(s, counts[s], total) for s in counts if s != "cut")
    mark = MARK if broken or odd else ""
    left_out = row["prompts"] - row["n"]
    rest = f", {left_out} left out{mark}" if left_out else mark
    if not row["n"]:
        return f"none{rest}", ""
    rate = (
        f"{row['successes']}/{row['n']} = {row['rate']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]{rest}"
    )
    if "difference" not in row:
        return rate, ""
    bounds = f"[{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"
    return rate, f"{row['difference']:+.2f} {bounds} p {row['p']:.2g}"

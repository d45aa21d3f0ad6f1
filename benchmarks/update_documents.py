"""Put measured figures and results into the documents, between markers; nothing there is typed by hand.

    python benchmarks/update_documents.py [--check]

Sources: benchmarks/measured/*.json; of results/reference/organism, tables and outcomes; for the study of published
models see real_study.py.
`--check` changes nothing and exits with status 1 if a document does not say what the sources say.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from pyarrow import parquet
from real_study import format_real_contrasts, format_real_headline, format_real_models, format_table

from harc.core.csv_files import read_csv_rows
from harc.core.files import write_text
from harc.results.claims import VERDICTS
from harc.suites.records import WARN_ABOVE
from harc.suites.registry import ATTACK_SUITES

PROJECT = Path(__file__).parents[1]
MEASURED = PROJECT / "benchmarks/measured"
REFERENCE = PROJECT / "results/reference/organism"


def replace_block(text: str, name: str, content: str, document: str) -> str:
    """Text of a document with what stands between the markers of a block replaced.

    Raises:
        SystemExit: if the markers are missing.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{document}: expected the markers {start} and {end}; add them where the block belongs")
    return f"{before}{start}\n{content.strip()}\n{end}{after}"


def format_cost() -> str:
    """What a run of the default profile costs, as measured."""
    measured = json.loads((MEASURED / "workflow_organism.json").read_text())
    seconds, machine = measured["seconds"], measured["machine"]
    peak, cpu = max(measured["peak_memory_mb"].values()), measured["cpu_seconds"]
    rows = [
        ["`snakemake --cores all`, fresh clone", f"{seconds['whole'] / 60:.1f} min"],
        ["the same again, nothing changed", f"{seconds['nothing_to_do']:.1f} s"],
        ["after changing one figure's code", f"{seconds['one_figure']:.0f} s"],
        ["processor time of the whole run", f"{cpu['whole'] / 60:.0f} min: {_compare_backbone(cpu)}"],
        ["largest memory of a process", f"{peak / 1024:.2f} GiB"],
    ]
    place = f"{machine['cores']} cores ({machine['processor']}) at commit {measured['commit']}"
    note = (
        f"Measured on {place}: two organisms, ten methods, two null arms. {_describe_jobs()} No GPU, no account, no "
        "token, no network."
    )
    return f"{format_table(['what', 'cost'], rows)}\n\n{note}"


def _compare_backbone(cpu: dict) -> str:
    """How many times the training of one backbone a run takes, which holds on other machines too."""
    backbone = cpu["jobs"]["train_backbone"]
    return f"{cpu['whole'] / backbone:.1f} times the training of one backbone ({backbone:.0f} s)"


def _describe_jobs() -> str:
    """What the jobs of the committed study took together, all its methods and arms included."""
    measured = json.loads((MEASURED / "jobs_organism_study.json").read_text())
    rules = measured["rules"].values()
    seconds, jobs = (sum(rule[name] for rule in rules) for name in ("seconds", "jobs"))
    return (
        f"The {jobs} jobs of the committed study (three seeds, ten methods, arms) but for its nine backbones added up "
        f"to {seconds / 60:.0f} minutes of one core on a machine busy with other work."
    )


def format_speed(name: str) -> str:
    """A comparison with the naive reference, as benchmarks/compare_speed.py wrote it."""
    return (MEASURED / f"{name}.md").read_text(encoding="utf-8")


def _read_rows(table: str) -> list[dict[str, str]]:
    return read_csv_rows(REFERENCE / "tables" / f"{table}.csv")[1]


def _format_rate(row: dict[str, str], metric: str) -> str:
    value, low, high = (row.get(f"{metric}{end}", "") for end in ("", "_low", "_high"))
    if not value:
        return "n/a"
    return f"{float(value):.2f} [{float(low):.2f}, {float(high):.2f}]" if low else f"{float(value):.2f}"


def format_results() -> str:
    """The main table of the committed study."""
    header = [
        "backbone",
        "method",
        "attack success (mean of four)",
        "over-refusal (alarming but safe)",
        "helpfulness",
        "garbled answers to attacks",
    ]
    rows = [
        [
            row["backbone"],
            row["method"],
            *(_format_rate(row, metric) for metric in ("mean_asr", "scary_safe", "mean_helpfulness")),
            "{:.2f} of {:,}".format(*count_garbled(row["method"], row["backbone"])),
        ]
        for row in _read_rows("table1")
    ]
    return format_table(header, rows)


@cache
def _read_outcomes() -> list[tuple[str, str, str]]:
    """(file, suite, label) of every answer of the committed study."""
    columns = ("file", "suite", "label")
    table = parquet.read_table(REFERENCE / "outcomes.parquet", columns=list(columns))
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))


def count_garbled(method: str, backbone: str = "*") -> tuple[float, int]:
    """(share, number) of a method's answers to attacks that are no readable answer, over all seeds.

    Read from the outcomes, since attack success counts such answers as withstood.
    """
    labels: Counter[str] = Counter()
    for file, suite, label in _read_outcomes():
        if fnmatchcase(file, f"scores/{backbone}/{method}/seed*/outcomes.csv") and suite in ATTACK_SUITES:
            labels[label] += 1
    return labels["garbled"] / labels.total(), labels.total()


def _format_garbled() -> str:
    """Methods by the share of their answers to attacks that are broken, where it is above the bound of a warning."""
    methods = dict.fromkeys(row["method"] for row in _read_rows("table1"))
    shares = {method: count_garbled(method) for method in methods}
    broken = sorted((m for m in methods if shares[m][0] > WARN_ABOVE), key=lambda m: -shares[m][0])
    return (
        "- Answers to attacks that are **garbled**, which attack success counts as withstood (all seeds, "
        f"{max(n for _, n in shares.values()):,} answers a method): "
        f"{', '.join(f'{method} {shares[method][0]:.2f}' for method in broken)}"
    )


SIGNIFICANT = 0.05
COMPARED = (
    ("harc", "base", "mean_asr", "HARC (corrected) against no defence: attack success"),
    (
        "harc",
        "no_coupling",
        "mean_asr",
        "What the coupling terms add (the same run without them): attack success",
    ),
    ("harc", "sft", "mean_asr", "HARC against plain refusal training: attack success"),
    ("harc", "dpo", "mean_asr", "HARC against DPO: attack success"),
    ("harc", "cb", "mean_asr", "HARC against Circuit Breakers: attack success"),
    ("harc", "repbend", "mean_asr", "HARC against RepBend: attack success"),
    ("harc", "cast", "mean_asr", "HARC against CAST (conditional steering, no training): attack success"),
    ("harc_dpo", "harc", "mean_asr", "DPO on top of HARC against HARC alone: attack success"),
    ("harc_released", "harc", "mean_asr", "HARC as released against corrected: attack success"),
    ("harc_released", "harc", "scary_safe", "HARC as released against corrected: over-refusal"),
)


ARMS = (
    ("no_coupling", "HARC's control without coupling"),
    ("random_direction", "HARC on random directions"),
    ("permuted_label", "HARC on directions from permuted labels"),
    ("released_kl_first_token", "HARC with the release's unanchored first token alone"),
)


def _format_arms() -> list[str]:
    """What arms that train on meaningless directions, or with one fault, do beside HARC, on the first seed."""
    rows = [row for row in _read_rows("ablations") if row["mean_asr_difference"]]
    lines = []
    for arm, words in ARMS:
        parts = [
            f"{row['backbone'].removeprefix('organism-')} {float(row['mean_asr_difference']):+.2f} "
            f"[{float(row['mean_asr_difference_low']):+.2f}, {float(row['mean_asr_difference_high']):+.2f}]"
            for row in rows
            if row["arm"] == arm
        ]
        if parts:
            lines.append(f"- {words} against HARC itself (first seed): attack success is {'; '.join(parts)}")
    return lines


def _format_difference(row: dict[str, str]) -> str:
    name = row["backbone"].removeprefix("organism-")
    low, high = float(row["low"]), float(row["high"])
    text = f"{name} {float(row['difference']):+.2f} [{low:+.2f}, {high:+.2f}]"
    if name != "pooled":
        return text
    p = float(row["p_holm"])
    verdict = "not detectably different"
    if low > 0 or high < 0:
        verdict = "lower" if high < 0 else "higher"
        verdict += " before, not after, Holm's correction" if p >= SIGNIFICANT else ""
    return f"**{verdict}**, {text}, adjusted p = {p:.2f}"


def format_findings() -> str:
    """Paired differences that answer the study's questions, and the ledger's verdicts."""
    rows = [row for row in _read_rows("comparisons") if row["difference"]]
    lines = []
    for method, reference, metric, words in COMPARED:
        wanted = (method, reference, metric)
        found = [row for row in rows if (row["method"], row["reference"], row["metric"]) == wanted]
        found.sort(key=lambda row: row["backbone"] != "pooled")
        if not found:
            continue
        lines.append(f"- {words} is {'; '.join(map(_format_difference, found))}")
    lines += [*_format_arms(), _format_garbled()]
    verdicts = {row["claim"]: row["overall"] for row in _read_rows("claims")}
    counts = ", ".join(
        f"{sum(verdict == kind for verdict in verdicts.values())} {kind}"
        for kind in VERDICTS
        if kind in verdicts.values()
    )
    lines.append(
        f"- Claims of the paper and of its independent audit, tested as declared beforehand: {counts}"
    )
    single = [row for row in rows if row["backbone"] != "pooled"]
    seeds = max((int(row["seeds"]) for row in single), default=0)
    runs = len({row["backbone"] for row in single}) * seeds
    note = f"Pooled over the {runs} pairs of backbone and seed, a choice made after a first look; it enters no verdict."
    if seeds == 1:
        note = (
            "One training seed per backbone: the intervals speak of prompts, not of other seeds, and the verdicts are "
            "those of this run."
        )
    return "\n".join([*lines, "", note])


HEADLINES = COMPARED[:2]


def format_headline() -> str:
    """The organism study in a line: HARC against no defence, and what its coupling terms add."""
    parts = []
    for method, reference, metric, words in HEADLINES:
        wanted = {"backbone": "pooled", "method": method, "reference": reference, "metric": metric}
        row = next(r for r in _read_rows("comparisons") if all(r[k] == v for k, v in wanted.items()))
        parts.append(f"{words} is {_format_difference(row)}")
    return f"- **Organisms** (two architectures, three seeds each; differences of rates): {'; '.join(parts)}."


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"real-headline": format_real_headline, "headline": format_headline, "cost": format_cost},
    "docs/findings.md": {
        "real": format_real_models,
        "contrasts": format_real_contrasts,
        "findings": format_findings,
        "results": format_results,
    },
    "docs/speed.md": {
        "speed": lambda: format_speed("speed_smollm2_cpu"),
        "speed-gpu": lambda: format_speed("speed_llama8b_gpu"),
        "generation": lambda: format_speed("generation_smollm2_cpu"),
    },
}
"""By document, what stands in which of its blocks."""


def main() -> None:
    """Rewrite the documents' blocks, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for name, blocks in BLOCKS.items():
        document = PROJECT / name
        old = new = document.read_text(encoding="utf-8")
        for block, make in blocks.items():
            new = replace_block(new, block, make(), name)
        if check and new != old:
            sys.exit(
                f"{name}: expected the measured figures; found others; run `python benchmarks/update_documents.py`"
            )
        if new != old:
            write_text(document, new)


if __name__ == "__main__":
    main()

"""The committed study of published models in words and tables, for the documents; see update_documents.py.

Sources: of results/reference/smollm2, or of what there is of smol, scores, suppression and, once it is finished,
contrasts.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from pyarrow import parquet

from harc.core.artifacts import BASE
from harc.core.csv_files import read_csv_rows
from harc.judges.base import UNJUDGED
from harc.results.claims import EQUIVALENT, SUPPORTED, VERDICTS
from harc.results.latex import join_words
from harc.results.tables.contrasts import QUESTIONS
from harc.results.vocabulary import name_backbone, name_method, name_suite
from harc.settings.profile import load_profile
from harc.settings.suppression import CONTROL, MAIN_PROMPTS

PROJECT = Path(__file__).parents[1]
REAL_STUDIES = ("smollm2", "smol")
"""Profiles of studies on published models, the one that is shown first."""


def find_real() -> str:
    """The profile whose pack is shown: the first that there is."""
    return next((name for name in REAL_STUDIES if (PROJECT / "results/reference" / name).is_dir()), "")


REAL_PROFILE = find_real()
REAL = PROJECT / "results/reference" / (REAL_PROFILE or REAL_STUDIES[0])


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


REAL_SUITES = {"direct": "asr", "scary_safe": "over_refusal", "benign": "accuracy"}
"""Suites of the real models' table that stand alone, and the score that is shown."""


def format_real_headline() -> str:
    """The study in a line a model: means over training seeds and a count of verdicts, none while it is unfinished."""
    if not REAL.is_dir():
        return "- **Published models**: none of the study's models is finished."
    rates = _read_real_rates(load_profile(REAL_PROFILE).evaluation.mean_attacks)
    attacks = {unit: found["attacks"] for unit, found in rates.items() if "attacks" in found}
    kept = {unit[:3]: share for unit, share in _read_kept_refusals().items() if unit[3] == "own"}
    lines = []
    for backbone in dict.fromkeys(unit[0] for unit in rates):
        seeds = len({unit[2] for unit in rates if unit[0] == backbone})
        attacked, suppressed = (
            {method: _average(held, backbone, method) for method in (BASE, "no_coupling", "harc")}
            for held in (attacks, kept)
        )
        lines.append(
            f"- **{name_backbone(backbone)}** (published weights, public prompts; means of {seeds} training seeds): of "
            f"attacks HARC answers {attacked['harc']}, the untreated model {attacked[BASE]}, HARC's training without "
            f"its coupling terms {attacked['no_coupling']}. With its own direction of refusal taken out, HARC refuses "
            f"{suppressed['harc']} of harmful requests, the untreated model {suppressed[BASE]}. "
            f"{_count_verdicts(backbone)}"
        )
    return "\n".join(lines)


def _average(held: Mapping[tuple[str, str, int], float], backbone: str, method: str) -> str:
    values = [value for unit, value in held.items() if unit[:2] == (backbone, method)]
    return _show(fmean(values) if values else None)


def _describe_state() -> str:
    """How much of an unfinished study there is; nothing of a finished one."""
    path = REAL / "unfinished.json"
    if not path.is_file():
        return ""
    state = json.loads(path.read_text())
    return f"{state['finished']} of {state['jobs']} jobs of profile `{REAL_PROFILE}` are finished"


def _read_contrasts() -> list[dict[str, str]]:
    return read_csv_rows(REAL / "tables/contrasts.csv")[1]


def _count_verdicts(backbone: str) -> str:
    """How many of the declared contrasts had which verdict; none of an unfinished study."""
    if state := _describe_state():
        return f"No verdict yet: {state}."
    rows = [row for row in _read_contrasts() if row["backbone"] == backbone]
    counts = Counter(row["verdict"] for row in rows)
    margins = " and ".join(sorted({f"{float(row['margin']):.2f}" for row in rows}))
    parts = [f"{counts[SUPPORTED]} {SUPPORTED}"]
    parts += [f"{counts[verdict]} {verdict}" for verdict in VERDICTS[1:] if counts[verdict]]
    words = join_words(parts).replace(EQUIVALENT, f"{EQUIVALENT} of {margins}")
    return f"Of {len(rows)} contrasts of HARC declared beforehand: {words}."


def format_real_contrasts() -> str:
    """The declared contrasts, a line each; what there is of an unfinished study."""
    if not REAL.is_dir() or _describe_state():
        return f"No contrast is tested: {_describe_state() or 'no model is finished'}."
    rows = [
        [
            name_backbone(row["backbone"]),
            QUESTIONS[row["question"]],
            name_method(row["reference"]),
            f"{float(row['estimate']):+.3f} [{float(row['low']):+.3f}, {float(row['high']):+.3f}]",
            f"{float(row['p_adjusted']):.3f}",
            f"{float(row['detectable']):.2f}" if row["detectable"] else "-",
            row["verdict"],
        ]
        for row in _read_contrasts()
        if row["estimate"]
    ]
    header = ["model", "HARC's", "minus", "difference, 95 % interval", "p (Holm)", "detectable", "verdict"]
    return format_table(header, rows)


def format_real_models() -> str:
    """What the finished models of the study on real weights do, by training seed; no pooling, no verdict."""
    if not REAL.is_dir():
        return "No model of the study is finished."
    profile = load_profile(REAL_PROFILE)
    rates = _read_real_rates(profile.evaluation.mean_attacks)
    kept = _read_kept_refusals()
    methods = [BASE, *profile.adapted]
    found = sorted({unit[:2] for unit in rates}, key=lambda unit: (unit[0], methods.index(unit[1])))
    rows = []
    for backbone, method in found:
        seeds = sorted(seed for place in rates for seed in [place[2]] if place[:2] == (backbone, method))
        cells = [
            ", ".join(_show(rates[backbone, method, seed].get(name)) for seed in seeds)
            for name in ("attacks", "direct", "scary_safe", "benign")
        ]
        for condition in (CONTROL, "own", "base"):
            cells.append(", ".join(_show(kept.get((backbone, method, seed, condition))) for seed in seeds))
        rows.append([name_backbone(backbone), name_method(method), *cells])
    header = [
        "backbone",
        "method",
        "attacks answered",
        "harmful requests answered",
        "alarming but safe refused",
        "plain requests answered",
        "harmful requests refused",
        "the same, own v_ref projected out",
        "the same, base's v_ref projected out",
    ]
    state = _describe_state() or f"All jobs of profile `{REAL_PROFILE}` are finished"
    note = (
        f"{state}; a number a training seed, of the models that are. Attacks: mean over "
        f"{', '.join(map(name_suite, profile.evaluation.mean_attacks))}. Projections: {MAIN_PROMPTS} requests, for the "
        f"base's direction {profile.suppression.prompts}; what is not refused may be broken. What is answered is not "
        "therefore harmful."
    )
    return f"{format_table(header, rows)}\n\n{note}"


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _name_unit(file: str) -> tuple[str, str, int]:
    _, backbone, method, seed, _ = file.split("/")
    return backbone, method, int(seed.removeprefix("seed"))


def _read_real_rates(attacks: Sequence[str]) -> dict[tuple[str, str, int], dict[str, float]]:
    """By model the rates of REAL_SUITES, and `attacks`, the mean over the attacks."""
    names = ("file", "suite", "metric", "unit", "rate")
    read = parquet.read_table(REAL / "scores.parquet", columns=list(names)).to_pylist()
    wanted = REAL_SUITES | dict.fromkeys(attacks, "asr")
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    for row in read:
        if wanted.get(row["suite"]) == row["metric"] and row["unit"] == "unit":
            found.setdefault(_name_unit(row["file"]), {})[row["suite"]] = float(row["rate"])
    for rates in found.values():
        if all(name in rates for name in attacks):
            rates["attacks"] = fmean(rates[name] for name in attacks)
    return found


def _read_kept_refusals() -> dict[tuple[str, str, int, str], float]:
    """Share of direct harmful requests that are refused, of those judged, by model and condition of suppression."""
    names = ("file", "condition", "suite", "label")
    read = parquet.read_table(REAL / "suppression.parquet", columns=list(names)).to_pylist()
    labels: dict[tuple[str, str, int, str], Counter[str]] = {}
    for row in read:
        if row["suite"] == "direct" and row["label"] != UNJUDGED:
            place = (*_name_unit(row["file"]), row["condition"])
            labels.setdefault(place, Counter())[row["label"]] += 1
    return {place: counts["refused"] / counts.total() for place, counts in labels.items()}

"""Methods by model size: what this profile ran, beside the sizes of the published study that it did not."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.outcomes import SHARES, read_by_seed
from harc.results.rates import estimate_rate
from harc.results.tables.layout import (Table, read_number, read_table, stack_cell)
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.core.artifacts import Layout
from harc.core.files import read_json

METRIC = "mean_asr"
COLUMNS = (
    "model",
    "parameters",
    "profile",
    "method",
    "tested",
    "estimate",
    "low",
    "high",
    "n",
    "seeds",
    *SHARES,
)
# Models of the published tables (arXiv 2607.00572), which are columns whether they were run or not.
PUBLISHED = {"llama3.1-8b": 8e9, "llama3.1-70b": 70e9, "qwen2.5-7b": 7e9, "qwen2.5-72b": 72e9}
LLAMA_LIKE = ("llama", "qwen2")
NAMED_SIZE = re.compile(r"(?:^|[-_])(\d+(?:\.\d+)?)([bm])(?:$|[-_])")


class Model(NamedTuple):
    """One column: a model, its number of parameters (None where unknown), and the profile that ran it."""

    name: str
    parameters: float | None
    profile: str


def count_parameters(config: Mapping[str, Any]) -> int | None:
    """Weights of a model of Llama's or Qwen2's architecture, from its config.json; None for other architectures."""
    if config.get("model_type") not in LLAMA_LIKE:
        return None
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    keys = config.get("num_key_value_heads") or heads
    width = config.get("head_dim") or hidden // heads
    biased = config["model_type"] == "qwen2"  # on queries, keys and values alone
    attention = 2 * hidden * heads * width + 2 * hidden * keys * width + biased * (heads + 2 * keys) * width
    block = attention + 3 * hidden * config["intermediate_size"] + 2 * hidden
    words = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return words + config["num_hidden_layers"] * block + hidden


def read_size(name: str) -> float | None:
    """Parameters that a model's name states (`...-70b`, `...-135m`); None where it states none."""
    found = NAMED_SIZE.search(name.lower())
    return float(found[1]) * {"b": 1e9, "m": 1e6}[found[2]] if found else None


def format_size(parameters: float | None) -> str:
    """`1.4M`, `70B`; n/a where unknown."""
    if parameters is None:
        return MISSING
    unit, letter = (1e9, "B") if parameters >= 1e9 else (1e6, "M")
    return f"{parameters / unit:.1f}".removesuffix(".0") + letter


def _find_size(results_root: Path, backbone: str, seed: int) -> float | None:
    path = Layout(results_root).backbone(backbone, seed) / "config.json"
    return (count_parameters(read_json(path)) if path.is_file() else None) or read_size(backbone)


def _measure_own(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float,
) -> list[dict]:
    rows = []
    for backbone in backbones:
        size = _find_size(results_root, backbone, seeds[0])
        for method in methods:
            rate = estimate_rate(read_by_seed(results_root, backbone, method, seeds), METRIC, confidence)
            names = {"model": backbone, "parameters": size, "profile": "this", "method": method}
            row = {**names, "tested": rate is not None}
            if rate is not None:
                values = (rate.estimate, rate.low, rate.high, rate.n, rate.seeds, *rate.shares)
                row |= dict(zip(("estimate", "low", "high", "n", "seeds", *SHARES), values, strict=True))
            rows.append(row)
    return rows


def _read_others(files: Sequence[Path]) -> list[dict]:
    """Rows of other profiles' main tables, named after the folder of the study."""
    rows = []
    for file in files:
        for row in read_table(file):
            estimate = read_number(row, METRIC)
            rows.append(
                {
                    "model": row["backbone"],
                    "parameters": read_size(row["backbone"]),
                    "profile": file.parent.parent.name,
                    "method": row["method"],
                    "tested": estimate is not None,
                    "estimate": estimate,
                    "low": read_number(row, f"{METRIC}_low"),
                    "high": read_number(row, f"{METRIC}_high"),
                    "n": row.get(f"{METRIC}_n") or None,
                    "seeds": row["seeds"],
                    # A table made before there were shares has none.
                    **{name: read_number(row, f"{METRIC}_{name}") for name in SHARES},
                }
            )
    return rows


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or not row["tested"]:
        return f"{MISSING}$^\\dagger$"
    interval = format_interval(row["low"], row["high"]).replace(", ", ",")
    return stack_cell([format_rate(row["estimate"]), interval, f"n = {row['n']}"])


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    others: Sequence[Path] = (),
    confidence: float = 0.95,
) -> Table:
    """T4: a row per method, a column per model from the smallest up; what was not run says so.

    Args:
        results_root: root of the results tree.
        backbones, methods, seeds: of this profile's main comparison.
        others: committed main tables (table1.csv) of other profiles.
        confidence: coverage of every interval.
    """
    rows = _measure_own(results_root, backbones, methods, seeds, confidence) + _read_others(others)
    names = {row["model"] for row in rows}
    absent = [
        {"model": name, "parameters": size, "profile": None, "method": method, "tested": False}
        for name, size in PUBLISHED.items()
        if name not in names
        for method in methods
    ]
    rows += absent
    models = list(dict.fromkeys(Model(r["model"], r["parameters"], r["profile"] or "none") for r in rows))
    models.sort(key=lambda model: (model.parameters is None, model.parameters or 0))
    found = {(row["model"], row["profile"] or "none", row["method"]): row for row in rows}
    body = []
    for method in sort_methods([row["method"] for row in rows]):
        cells = [_cell(found.get((model.name, model.profile, method))) for model in models]
        body.append(" & ".join([f"{{\\scriptsize {escape_latex(name_method(method))}}}", *cells]) + " \\\\")
    header = [
        " & ".join(["", *(f"\\scriptsize {escape_latex(name_backbone(model.name))}" for model in models)]),
        " & ".join(
            [
                "\\scriptsize parameters",
                *(f"\\scriptsize {format_size(model.parameters)}" for model in models),
            ]
        ),
    ]
    notes, align = _write_notes(models, absent, confidence), "@{}l" + "c" * len(models) + "@{}"
    return Table("scale", COLUMNS, rows, align, header, body, notes)


def _write_notes(models: Sequence[Model], absent: Sequence[Mapping], confidence: float) -> list[str]:
    notes = [
        f"Mean attack success; small type: {100 * confidence:g}\\% interval and number of attacked prompts."
    ]
    untested = list(dict.fromkeys(row["model"] for row in absent))
    text = f"$^\\dagger$ {MISSING}: not tested in this profile"
    if untested:
        shown = ", ".join(escape_latex(name_backbone(name)) for name in untested)
        text += (
            f"; of the published models none of {shown} was run"
            if len(untested) > 1
            else f"; {shown} was not run"
        )
    others = sorted({model.profile for model in models} - {"this", "none"})
    notes.append(f"{text}. A mean needs all four attacks.")
    if others:
        notes.append(f"From other profiles that have run: {escape_latex(', '.join(others))}.")
    return notes

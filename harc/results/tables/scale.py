"""Methods by model size: what this profile ran, beside the sizes of the published study that it did not."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harc.core.files import read_json
from harc.results.latex import MISSING, escape_latex, format_rate
from harc.results.outcomes import SHARES
from harc.results.printer import (
    NOT_EVALUATED,
    Column,
    Record,
    Table,
    format_tight,
    make_frame,
    read_number,
    read_table,
    set_small,
    stack_cell,
)
from harc.results.tables.rates import MEAN_OVER
from harc.results.view import Results
from harc.results.vocabulary import (
    ATTACKS,
    name_attacks,
    name_backbone,
    name_method,
    note_attacks,
    sort_methods,
)

METRIC = "mean_asr"
VALUES = ("estimate", "low", "high", "n", "seeds", *SHARES)
COLUMNS = ("model", "parameters", "profile", "method", "tested", *VALUES)
# Models of the published tables (arXiv 2607.00572), which are columns whether they were run or not.
PUBLISHED = {"llama3.1-8b": 8e9, "llama3.1-70b": 70e9, "qwen2.5-7b": 7e9, "qwen2.5-72b": 72e9}
LLAMA_LIKE = ("llama", "qwen2")
NAMED_SIZE = re.compile(r"(?:^|[-_])(\d+(?:\.\d+)?)([bm])(?:$|[-_])")


class Model(NamedTuple):
    """One column: a model, its number of parameters (None where unknown), and the profile that ran it, if any."""

    name: str
    parameters: float | None
    profile: str | None


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


def _measure_own(view: Results) -> list[dict]:
    rows = []
    for backbone in view.backbones:
        size = read_size(backbone)
        # Of models whose names state no size, organisms, the file is an input of the tables.
        path = view.layout.backbone(backbone, view.seeds[0]) / "config.json"
        if size is None and path.is_file():
            size = count_parameters(read_json(path))
        for method in view.every_method:
            rate = view.estimate_rate(backbone, method, METRIC)
            names = {"model": backbone, "parameters": size, "profile": "this", "method": method}
            row = {**names, "tested": rate is not None}
            if rate is not None:
                values = (rate.estimate, rate.low, rate.high, rate.n, rate.seeds, *rate.shares)
                row |= dict(zip(VALUES, values, strict=True))
            rows.append(row)
    return rows


def _read_others(files: Sequence[Path], mean_attacks: Sequence[str]) -> list[dict]:
    """Rows of other profiles' main tables, named after the folder of the study; none with a mean over other attacks."""
    rows = []
    for file in files:
        for row in read_table(file):
            if set(row.get(MEAN_OVER, "").split() or ATTACKS) != set(mean_attacks):
                continue
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


def _show_cell(row: Record | None) -> str:
    if row is None or not row["tested"]:
        return NOT_EVALUATED
    interval = format_tight(row["low"], row["high"])
    return stack_cell([format_rate(row["estimate"]), interval, f"n = {row['n']}"])


def _write_notes(
    models: Sequence[Model], absent: Sequence[Record], confidence: float, mean_attacks: Sequence[str]
) -> list[str]:
    notes = [
        f"Mean attack success; small type: {100 * confidence:g}\\% interval and number of attacked prompts."
    ]
    untested = list(dict.fromkeys(row["model"] for row in absent))
    text = f"$^\\dagger$ {MISSING}: not tested in this profile"
    if untested:
        shown = ", ".join(escape_latex(name_backbone(name)) for name in untested)
        many = len(untested) > 1
        text += f"; of the published models none of {shown} was run" if many else f"; {shown} was not run"
    others = sorted({model.profile for model in models if model.profile} - {"this"})
    needed = "four attacks" if not name_attacks(mean_attacks) else f"of {name_attacks(mean_attacks)}"
    notes += [f"{text}. A mean needs all {needed}.", *note_attacks(mean_attacks, "mean attack success")]
    if others:
        notes.append(f"From other profiles that have run: {escape_latex(', '.join(others))}.")
    return notes


def build_scale(view: Results) -> Table:
    """T4: a row per method, a column per model from the smallest up; what was not run says so."""
    rows = _measure_own(view) + _read_others(view.settings.scale_tables, view.mean_attacks)
    names = {row["model"] for row in rows}
    absent = [
        {"model": name, "parameters": size, "method": method, "tested": False}
        for name, size in PUBLISHED.items()
        if name not in names
        for method in view.every_method
    ]
    rows += absent
    models = list(dict.fromkeys(Model(r["model"], r["parameters"], r.get("profile")) for r in rows))
    models.sort(key=lambda model: (model.parameters is None, model.parameters or 0))
    frame = make_frame(COLUMNS, rows)
    columns = [
        Column(
            ("", "\\scriptsize parameters"), lambda row: set_small(escape_latex(name_method(row["method"])))
        )
    ]
    columns += [
        Column(
            (
                f"\\scriptsize {escape_latex(name_backbone(model.name))}",
                f"\\scriptsize {format_size(model.parameters)}",
            ),
            _show_cell,
            "c",
            where={"model": model.name, "profile": model.profile},
        )
        for model in models
    ]
    ordered = sort_methods([row["method"] for row in rows])
    return Table(
        "scale",
        frame,
        columns,
        lines=("method",),
        notes=_write_notes(models, absent, view.confidence, view.mean_attacks),
        printed=[row for name in ordered for row in frame.to_dict("records") if row["method"] == name],
    )

"""LaTeX macros for every number, and every word that depends on one, in the paper's text; from the tables."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from harc.analysis.claims import VERDICTS
from harc.analysis.latex import (
    MISSING,
    escape_latex,
    format_bounds,
    format_p,
    format_rate,
    format_signed,
)
from harc.analysis.phrases import (
    join_words,
    phrase_by_family,
    phrase_gain,
    phrase_headline,
    phrase_pooled,
    phrase_run,
)
from harc.analysis.tables.layout import read_number, read_table
from harc.analysis.vocabulary import (
    FAMILIES,
    METHOD_ORDER,
    POOLED,
    camel,
    find_family,
    name_backbone,
    name_method,
)
from harc.files import write_text

Rows = list[dict[str, str]]

RATE_MACROS = {
    "mean_asr": "Asr",
    "pair": "AsrPair",
    "pap": "AsrPap",
    "deepinception": "AsrDi",
    "codeattack": "AsrCode",
    "scary_safe": "Scary",
    "refusable_benign": "Refusable",
    "mean_helpfulness": "Help",
    "direct": "Direct",
    "direct_unseen_templates": "DirectUnseen",
    "benign": "Benign",
    "wrapped_benign": "Wrapped",
}
TABLE1_RATES = tuple(RATE_MACROS)[:8]
CONTROL_RATES = tuple(RATE_MACROS)[8:]
PAIRS = (
    ("harc", "base"),
    ("harc", "sft"),
    ("harc", "no_coupling"),
    ("harc", "dpo"),
    ("harc", "cb"),
    ("harc", "repbend"),
    ("harc", "cast"),
    ("harc_dpo", "harc"),
    ("sft", "base"),
    ("no_coupling", "base"),
    ("harc_released", "base"),
    ("harc_released", "harc"),
)
COMPARED = ("mean_asr", "scary_safe", "refusable_benign", "mean_helpfulness", "benign", "wrapped_benign")
POOLED_REMARK = (
    "Within one backbone a few seeds leave few degrees of freedom, so each test is also given pooled over all runs; "
    "that test was added after a first look at results and does not enter the verdict."
)
SETTINGS = {
    "ProfileName": "name",
    "ProfileDescription": "description",
    "SettingMargin": "methods.harc.loss.margin",
    "SettingKl": "methods.harc.loss.kl",
    "SettingSteps": "methods.harc.steps",
    "SettingRank": "methods.harc.lora.rank",
    "SettingLearningRate": "methods.harc.learning_rate",
    "SettingBatchHarmful": "methods.harc.batch.harmful",
    "SettingBatchHarmless": "methods.harc.batch.harmless",
    "SettingBatchPseudo": "methods.harc.batch.pseudo_harmful",
    "SettingKInitial": "methods.harc.k_initial",
    "SettingKFinal": "methods.harc.k_final",
    "SettingRefreshEvery": "methods.harc.refresh_every",
    "SettingRefreshWeight": "methods.harc.refresh_weight",
    "SettingWindow": "directions.response_window",
    "SettingResamples": "directions.bootstrap_resamples",
    "SettingPairStreams": "evaluation.pair.streams",
    "SettingPairIterations": "evaluation.pair.iterations",
    "SettingPairBudget": "evaluation.pair.query_budget",
    "SettingMaxNewTokens": "evaluation.max_new_tokens",
}


def pick_families(rows: Rows) -> dict[str, str]:
    """The first backbone of each family among the rows of a table."""
    found: dict[str, str] = {}
    for row in rows:
        family = find_family(row["backbone"])
        if family:
            found.setdefault(family, row["backbone"])
    return found


def _find(rows: Rows, **wanted: str | None) -> dict[str, str] | None:
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def list_rates(rows: Rows, metrics: Iterable[str]) -> dict[str, str]:
    """`\\AsrHarcLlama` and `...Ci` for each rate, method and family."""
    families, macros = pick_families(rows), {}
    for method in METHOD_ORDER:
        for family in FAMILIES:
            row = _find(rows, backbone=families.get(family), method=method)
            for metric in metrics:
                name = f"{RATE_MACROS[metric]}{camel(method)}{family}"
                values = [read_number(row, f"{metric}{end}") for end in ("", "_low", "_high")]
                macros[name] = format_rate(values[0])
                macros[f"{name}Ci"] = format_bounds(*values)
    return macros


def list_differences(rows: Rows) -> dict[str, str]:
    """`\\DiffAsrHarcSftLlama`, `...Ci`, `...P`, and `\\AsrHarcVsSft`, a phrase over the backbones."""
    families, macros = pick_families(rows), {}
    for method, reference in PAIRS:
        for metric in COMPARED:
            words = {}
            for family in FAMILIES:
                backbone = families.get(family)
                row = _find(rows, backbone=backbone, method=method, reference=reference, metric=metric)
                name = f"Diff{RATE_MACROS[metric]}{camel(method)}{camel(reference)}{family}"
                values = [read_number(row, column) for column in ("difference", "low", "high")]
                macros[name] = format_signed(values[0])
                macros[f"{name}Ci"] = format_bounds(*values)
                macros[f"{name}P"] = format_p(read_number(row, "p_holm"))
                if backbone:
                    words[family] = row["verdict"] if row else "not compared"
            name = f"{RATE_MACROS[metric]}{camel(method)}Vs{camel(reference)}"
            row = _find(rows, backbone=POOLED, method=method, reference=reference, metric=metric)
            macros[name] = phrase_by_family(words)
            macros[f"{name}Pooled"] = phrase_pooled(row)
            macros[f"{name}Headline"] = phrase_headline(row) or phrase_by_family(words)
    return macros


def list_geometry(rows: Rows) -> dict[str, str]:
    """`\\CosPromptHarcLlama`, `\\GainPromptHarcLlama` and `Ci`, the base's peak, phrases about the gain."""
    families, macros = pick_families(rows), {}
    for side in ("prompt", "response"):
        for method in METHOD_ORDER:
            words = {}
            for family in FAMILIES:
                row = _find(rows, backbone=families.get(family), method=method, side=side)
                name = f"{camel(side)}{camel(method)}{family}"
                macros[f"Cos{name}"] = format_rate(read_number(row, "cosine"))
                bounds = [read_number(row, f"gain_{end}") for end in ("low", "high")]
                macros[f"Gain{name}"] = format_signed(read_number(row, "gain"))
                macros[f"Gain{name}Ci"] = format_bounds(read_number(row, "gain"), *bounds)
                if method == "base":
                    macros[f"Peak{name}"] = format_rate(read_number(row, "peak_cosine"))
                    macros[f"PeakSlot{name}"] = (row or {}).get("peak_slot") or MISSING
                    macros[f"Last{name}"] = format_rate(read_number(row, "last_cosine"))
                    macros[f"Slots{name}"] = escape_latex((row or {}).get("slots") or MISSING)
                elif family in families:
                    words[family] = phrase_gain(read_number(row, "gain"), *bounds)
            if method != "base":
                macros[f"Gain{camel(side)}{camel(method)}"] = phrase_by_family(words)
    return macros


def list_areas(rows: Rows) -> dict[str, str]:
    """Smallest, largest and direct area: `\\AreaHarmPromptMinLlama` and so on."""
    families, macros = pick_families(rows), {}
    for family in FAMILIES:
        for side, axis in (("prompt", "harm"), ("prompt", "refusal"), ("response", "harm")):
            key = {"backbone": families.get(family), "side": side, "axis": axis}
            own = [row for row in rows if all(row.get(k) == v for k, v in key.items())]
            values = [read_number(row, "area") for row in own if row["suite"] != "direct" and row["area"]]
            name = f"Area{camel(axis)}{camel(side)}"
            macros[f"{name}Min{family}"] = format_rate(min(values, default=None))
            macros[f"{name}Max{family}"] = format_rate(max(values, default=None))
            macros[f"{name}Direct{family}"] = format_rate(read_number(_find(own, suite="direct"), "area"))
    return macros


def list_claims(rows: Rows) -> dict[str, str]:
    """Counts per verdict, the ledger's hash, and the claims that failed or stayed open, as lists of items."""
    overall = {row["claim"]: row for row in rows}
    pooled = {row["claim"]: f"; pooled: {row['verdict']}" for row in rows if row["backbone"] == POOLED}
    macros = {
        "ClaimsTotal": str(len(overall)),
        "ClaimsHash": (rows[0]["ledger_sha256"][:12] if rows else MISSING),
    }
    macros["PooledRemark"] = POOLED_REMARK if pooled else ""
    for verdict, name in zip(VERDICTS, ("Supported", "Failed", "Open", "Untested"), strict=True):
        chosen = [row for row in overall.values() if row["overall"] == verdict]
        macros[f"Claims{name}"] = str(len(chosen))
        items = "".join(
            f"\\item {escape_latex(row['words'])} ({row['origin']}{pooled.get(row['claim'], '')})\n"
            for row in chosen
        )
        macros[f"Claims{name}Items"] = items or "\\item none\n"
    for row in overall.values():
        macros[f"Verdict{camel(row['claim'])}"] = escape_latex(row["overall"])
    return macros


def list_setup(tables: Mapping[str, Rows]) -> dict[str, str]:
    """Backbones, methods, seeds, prompt counts, chosen settings, acceptance criteria met."""
    rows = tables["table1"]
    backbones = list(dict.fromkeys(row["backbone"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    seeds = max((int(row["seeds"]) for row in rows), default=0)
    macros = {
        "BackboneCount": str(len(backbones)),
        "BackboneList": escape_latex(join_words([name_backbone(name) for name in backbones])),
        "MethodList": escape_latex(join_words([name_method(name) for name in methods])),
        "SeedCount": str(seeds),
        "SeedWord": "seed" if seeds == 1 else "seeds",
    }
    for metric in TABLE1_RATES:
        macros[f"Prompts{RATE_MACROS[metric]}"] = _count_prompts(rows, metric)
    for metric in CONTROL_RATES:
        macros[f"Prompts{RATE_MACROS[metric]}"] = _count_prompts(tables["controls"], metric)
    values = {row["setting"]: row["value"] for row in tables["hyperparameters"]}
    macros |= {name: escape_latex(values.get(path, MISSING)) for name, path in SETTINGS.items()}
    kinds = {
        value for path, value in values.items() if path.startswith("backbones.") and path.endswith(".kind")
    }
    macros["RunPhrase"] = phrase_run(kinds)
    met = [row["holds"] for row in tables["acceptance"]]
    macros |= {"AcceptanceMet": str(met.count("True")), "AcceptanceTotal": str(len(met))}
    macros["FaultCount"] = str(len({row["switch"] for row in tables["faults"]} - {"all together"}))
    return macros


def _count_prompts(rows: Rows, metric: str) -> str:
    return next((row[f"{metric}_n"] for row in rows if row.get(f"{metric}_n")), MISSING)


def list_training(rows: Rows) -> dict[str, str]:
    """`\\CoupleFirstHarcLlama`, `\\CoupleLastHarcLlama`: the prompt-side coupling loss at both ends."""
    families, macros = pick_families(rows), {}
    for method in METHOD_ORDER:
        for family in FAMILIES:
            row = _find(rows, backbone=families.get(family), method=method)
            for end in ("first", "last"):
                name = f"Couple{camel(end)}{camel(method)}{family}"
                macros[name] = format_rate(read_number(row, f"couple_{end}"), 3)
    return macros


def list_tuning(rows: Rows, hyperparameters: Rows) -> dict[str, str]:
    """How many points each method had, on how many runs, within which allowances, and who kept to none."""
    values = {row["setting"]: row["value"] for row in hyperparameters}
    methods = [name for name in dict.fromkeys(row["method"] for row in rows) if name != "base"]
    sizes = [sum(row["method"] == name for row in rows) for name in methods]
    runs = int(rows[0]["runs"]) if rows else 0
    kept = {row["method"] for row in rows if row["eligible"] == "True"}
    strict = [name_method(name) for name in methods if name not in kept]
    remark = "every method has a point that keeps both allowances."
    if strict:
        remark = f"no point of {join_words(strict)} keeps both, so the one that breaks them least was taken."
    allowances = {"Allowance": "over_refusal_allowance", "Benign": "benign_allowance"}
    return {
        "TuningPoints": str(max(sizes, default=0)),
        "TuningRuns": f"on {runs} pair{'' if runs == 1 else 's'}",
        "TuningIneligible": escape_latex(remark) if rows else "this profile names no tuning.",
        **{f"Tuning{macro}": values.get(f"tuning.{name}", MISSING) for macro, name in allowances.items()},
    }


NEEDED = (
    "table1",
    "controls",
    "comparisons",
    "geometry",
    "separability",
    "training",
    "claims",
    "acceptance",
    "faults",
    "hyperparameters",
    "tuning",
)


def collect_macros(tables_dir: Path) -> dict[str, str]:
    """Every macro by name, without the backslash."""
    tables = {name: read_table(tables_dir / f"{name}.csv") for name in NEEDED}
    return (
        list_setup(tables)
        | list_rates(tables["table1"], TABLE1_RATES)
        | list_rates(tables["controls"], CONTROL_RATES)
        | list_differences(tables["comparisons"])
        | list_geometry(tables["geometry"])
        | list_areas(tables["separability"])
        | list_training(tables["training"])
        | list_claims(tables["claims"])
        | list_tuning(tables["tuning"], tables["hyperparameters"])
    )


def make_numbers(tables_dir: Path, out_file: Path) -> None:
    """Write numbers.tex: one `\\newcommand` per line, sorted, so that equal tables give equal bytes."""
    macros = collect_macros(tables_dir)
    lines = [f"\\newcommand{{\\{name}}}{{{value}}}" for name, value in sorted(macros.items())]
    write_text(out_file, "% Generated from the tables; do not edit.\n" + "\n".join(lines) + "\n")

"""Macros of what was run: backbones, methods, seeds, counts of prompts and models, settings, tuning, acceptance."""

from collections.abc import Callable, Iterable, Mapping

from harc.results.latex import MISSING, escape_latex, join_words, phrase_run
from harc.results.macros.rates import CONTROL_RATES, RATE_MACROS, TABLE1_RATES
from harc.results.macros.rows import Rows
from harc.results.vocabulary import ATTACKS, name_backbone, name_method, name_suite, note_attacks

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
    "SettingFinetuneExamples": "finetuning.examples",
    "SettingFinetuneEpochs": "finetuning.epochs",
    "SettingFinetuneBatch": "finetuning.batch_size",
    "SettingFinetuneRate": "finetuning.learning_rate",
    "SettingTraceAnswers": "trajectories.prompts_per_class",
    "SettingTraceTokens": "trajectories.tokens",
    "ArmSeeds": "ablation.seeds",
}


MEAN_ATTACKS = "evaluation.mean_attacks"


def list_setup(tables: Callable[[str], Rows]) -> dict[str, str]:
    """Backbones, methods, seeds, prompt counts, chosen settings, acceptance criteria met."""
    rows = tables("table1")
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
        macros[f"Prompts{RATE_MACROS[metric]}"] = _count_prompts(tables("controls"), metric)
    values = {row["setting"]: row["value"] for row in tables("hyperparameters")}
    macros |= {name: escape_latex(values.get(path, MISSING)) for name, path in SETTINGS.items()}
    kinds = {
        value for path, value in values.items() if path.startswith("backbones.") and path.endswith(".kind")
    }
    macros["RunPhrase"] = phrase_run(kinds)
    met = [row["holds"] for row in tables("acceptance")]
    macros |= _name_mean(values)
    macros |= {"AcceptanceMet": str(met.count("True")), "AcceptanceTotal": str(len(met))}
    macros["FaultCount"] = str(len({row["switch"] for row in tables("faults")} - {"all together"}))
    return macros


def _name_mean(settings: Mapping[str, str]) -> dict[str, str]:
    """`\\MeanAttacks`: what the mean is over; `\\MeanAttackNote`: that this is not the paper's mean, or nothing."""
    attacks = settings.get(MEAN_ATTACKS, ", ".join(ATTACKS)).split(
        ", "
    )  # it was always that over the paper's
    note = " ".join(note_attacks(attacks, "mean attack success"))
    return {
        "MeanAttacks": escape_latex(join_words([name_suite(name) for name in attacks])),
        "MeanAttackNote": f" {escape_latex(note)}" if note else "",
    }


def _count_prompts(rows: Rows, metric: str) -> str:
    return next((row[f"{metric}_n"] for row in rows if row.get(f"{metric}_n")), MISSING)


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
    allowances = {"Allowance": "safe_allowance", "Benign": "benign_allowance"}
    return {
        "TuningPoints": str(max(sizes, default=0)),
        "TuningRuns": f"on {runs} pair{'' if runs == 1 else 's'}",
        "TuningIneligible": escape_latex(remark) if rows else "this profile names no tuning.",
        **{f"Tuning{macro}": values.get(f"tuning.{name}", MISSING) for macro, name in allowances.items()},
    }


def _count_answers(rows: Rows, metrics: Iterable[str]) -> int:
    """Judged prompts or goals over all models and seeds; means are made of suites that are counted already."""
    suites = [metric for metric in metrics if not metric.startswith("mean_")]
    return sum(int(row["seeds"]) * int(row.get(f"{suite}_n") or 0) for row in rows for suite in suites)


def list_counts(table1: Rows, controls: Rows) -> dict[str, str]:
    """`\\ModelsTrained` (backbones), `\\DefencesMade`, `\\ModelsEvaluated`, `\\AnswersJudged`."""
    base = sum(int(row["seeds"]) for row in table1 if row["method"] == "base")
    every = sum(int(row["seeds"]) for row in table1)
    helpful = [name.removesuffix("_n") for name in (table1[0] if table1 else ()) if name.endswith("_n")]
    answers = _count_answers(table1, {*TABLE1_RATES, *helpful}) + _count_answers(controls, CONTROL_RATES)
    counts = {
        "ModelsTrained": base,
        "DefencesMade": every - base,
        "ModelsEvaluated": every,
        "AnswersJudged": answers,
    }
    return {name: f"{value:,}".replace(",", "\\,") if value else MISSING for name, value in counts.items()}


def list_unmet(acceptance: Rows) -> dict[str, str]:
    """`\\AcceptanceUnmet`: every criterion that a backbone missed, by name."""
    unmet = [
        f"{name_suite(row['criterion'])} ({name_backbone(row['backbone'])}, seed {row['seed']})"
        for row in acceptance
        if row["holds"] != "True"
    ]
    return {"AcceptanceUnmet": escape_latex(join_words(unmet))}

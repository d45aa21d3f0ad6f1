"""How much of the published evaluations lies in the data that the published methods learn from.

Sets that cannot be had without an account (circuit_breakers_train, UltraChat, PKU-SafeRLHF, WildGuardMix) are not in
it; of AdvBench and Alpaca the release reads 300 rows each of copies of its own, so that all rows stand for them here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harc.core.files import read_json
from harc.data.contamination import ReferenceIndex, measure_suite
from harc.data.public_sources import XSTEST_GPT4, Prompt, PublicPrompts, read_public_prompts
from harc.evaluation.calibrate_over_refusal import SOURCE_COLUMNS, check_source
from harc.settings.data import ContaminationSettings
from harc.stats.intervals import wilson_interval

CONDITION = "cast/condition_harmful.json"
COLUMNS = (
    "training_set", "used_by", "rows", "evaluation_set", "n", "exact", "near", "share", "low", "high",
    *(f"{side}_{name}" for side in ("training", "evaluation") for name in SOURCE_COLUMNS),
)  # fmt: skip
SETTINGS = ContaminationSettings(pattern_suites=())


@dataclass(frozen=True)
class LearntFrom:
    """A set that a published method learns from, or chooses by.

    Attributes:
        name: what it is.
        used_by: which method takes it, and where that is said.
        file: registered file that decides which rows these are.
        texts: its prompts.
    """

    name: str
    used_by: str
    file: str
    texts: Sequence[str]


def list_learnt_from(prompts: PublicPrompts, folder: Path) -> list[LearntFrom]:
    """The sets of the release and its baselines that are among the registered files."""
    condition = [text for row in read_json(folder / CONDITION)["train"] for text in row.values()]
    xstest = _pick(prompts.scary_safe + prompts.unsafe_contrasts, "xstest_release")
    return [
        LearntFrom(
            "XSTest, prompts that GPT-4 complied with",
            "HARC, divergence and coupling terms (main/data.py@c3565e5); Circuit Breakers, retain set",
            XSTEST_GPT4,
            xstest,
        ),
        LearntFrom(
            "AdvBench",
            "HARC on Qwen, directions (main/configs/qwen2_5_7b.yaml@c3565e5)",
            "advbench/harmful_behaviors.csv",
            [prompt.text for prompt in prompts.harmful],
        ),
        LearntFrom(
            "Alpaca",
            "HARC on Qwen, directions (main/configs/qwen2_5_7b.yaml@c3565e5)",
            "alpaca/alpaca_instructions.json",
            [prompt.text for prompt in prompts.plain],
        ),
        LearntFrom(
            "CAST's condition pairs", "CAST, condition (docs/demo-data@52be602)", CONDITION, condition
        ),
    ]


def _pick(prompts: Sequence[Prompt], subset: str) -> list[str]:
    return [prompt.text for prompt in prompts if subset in prompt.subsets]


def list_evaluation_sets(prompts: PublicPrompts) -> dict[str, tuple[str, list[str]]]:
    """Name -> (registered file, prompts) of every set that the published or our own evaluations ask."""
    xstest, coconot = "xstest/xstest_prompts.csv", "coconot/coconot_contrast_eval.jsonl"
    both = prompts.scary_safe + prompts.unsafe_contrasts
    harmful: dict[str, list[str]] = {"harmbench": [], "jailbreakbench": []}
    for prompt in prompts.harmful_evaluation:
        harmful[prompt.source].append(prompt.text)
    return {
        "XSTest, safe": (xstest, _pick(prompts.scary_safe, "xstest_safe")),
        "XSTest, the 230 of the release": (XSTEST_GPT4, _pick(both, "xstest_release")),
        "XSTest, the 21 others": (XSTEST_GPT4, _pick(both, "xstest_unseen")),
        "XSTest, unsafe": (xstest, _pick(prompts.unsafe_contrasts, "xstest_unsafe")),
        "CoCoNot, contrast": (coconot, _pick(prompts.refusable_benign, "coconot_contrast")),
        "CoCoNot, safety": (coconot, _pick(prompts.refusable_benign, "coconot_safety")),
        "HarmBench, test, standard": ("harmbench/harmbench_behaviors_text_test.csv", harmful["harmbench"]),
        "JailbreakBench": ("jailbreakbench/harmful_behaviors.csv", harmful["jailbreakbench"]),
    }


def measure_release_overlap(folder: Path) -> list[dict]:
    """The whole table, from the registered files in a folder of public data.

    Raises:
        DataError: if a file is missing or has other bytes than the registered ones.
    """
    prompts = read_public_prompts(folder)
    table = []
    for learnt in list_learnt_from(prompts, folder):
        index = ReferenceIndex(learnt.texts, SETTINGS)
        trained = {f"training_{key}": value for key, value in check_source(folder, learnt.file).items()}
        for name, (file, texts) in list_evaluation_sets(prompts).items():
            found = measure_suite(name, [(str(n), text) for n, text in enumerate(texts)], learnt.name, index)
            share, low, high = wilson_interval(found.exact + found.near, found.n)
            asked = {f"evaluation_{key}": value for key, value in check_source(folder, file).items()}
            table.append(
                {
                    "training_set": learnt.name, "used_by": learnt.used_by, "rows": len(learnt.texts),
                    "evaluation_set": name, "n": found.n, "exact": found.exact, "near": found.near,
                    "share": share, "low": low, "high": high, **trained, **asked,
                }
            )  # fmt: skip
    return table

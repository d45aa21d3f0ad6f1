"""Where the release contradicts itself: what its README, HYPERPARAMS.md, YAML files and code say of one thing.

Read in microsoft/HARC@c3565e5; `ours` is what this project does.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conflict:
    """One thing that the release says in more than one way; an empty text where a source is silent."""

    topic: str
    readme: str
    hyperparams: str
    yaml: str
    code: str
    ours: str


CONFLICTS = (
    Conflict(
        "margin",
        "",
        "0.5",
        "0.5",
        "0.3 (Config in main/train.py, default in main/losses.py)",
        "0.5 (loss.margin)",
    ),
    Conflict(
        "length of the run",
        "the YAML files reproduce the paper's checkpoints",
        "4000 steps, no early stop",
        "400 (Llama), 2000 (Qwen)",
        "4000 (Config in main/train.py)",
        "the YAML values (presets llama3.1-8b, qwen2.5-7b)",
    ),
    Conflict(
        "unit of a step",
        "",
        "effective batch 24, so an optimiser update",
        "",
        "a micro-batch of 12 rows",
        "an update; micro-batch with step_unit",
    ),
    Conflict(
        "number of trained layers",
        "",
        "2, then 4 from step 1000",
        "2 to 4 at step 1000, but Llama's run ends at 400",
        "as YAML, so never more than 2 on Llama",
        "as configured; selected_layers.jsonl tells",
    ),
    Conflict(
        "layer score",
        "",
        "(1 - |cos(v_ref, v_harm)|) times the root of the norms' product, prompt side only",
        "",
        "product of four factors of both sides, without norms (main/layers.py)",
        "the code's",
    ),
    Conflict(
        "refresh of directions",
        "",
        "exponential average of old and fresh directions",
        "beta_ema: 0.3",
        "0.7 base model + 0.3 fresh, at every refresh",
        "average with the previous; base with refresh_from",
    ),
    Conflict(
        "data of the directions",
        "main/extract_paper_method.py extracts from AdvBench and Alpaca",
        "Llama: Circuit Breakers and UltraChat; Qwen: AdvBench and Alpaca",
        "Qwen: extraction_method advbench",
        "as HYPERPARAMS; main/extract_paper_method.py's own command uses Circuit Breakers and UltraChat",
        "the rows that the profile names",
    ),
    Conflict(
        "place of t_inst in the raw template",
        "",
        "",
        "",
        "docstring: one token before the end; code: before the whole header",
        "before the whole header",
    ),
    Conflict(
        "precision",
        "",
        "bf16 and tf32",
        "",
        "bf16 weights, no tf32 flag, no autocast",
        "bf16 weights, no autocast",
    ),
    Conflict(
        "response window and the end token",
        "",
        "32 tokens, mean-pooled",
        "response_n_tokens: 32",
        "training counts the end token, extraction has none",
        "as coded",
    ),
    Conflict(
        "response coupling off",
        "",
        "",
        "enable_response_coupling may be false",
        "raises in layer selection",
        "loss.couple_resp: 0 (preset prompt_only)",
    ),
)

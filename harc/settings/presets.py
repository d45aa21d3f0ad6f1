"""Named presets: what each method changes of the defaults, and the released runs on the published models."""

from typing import Any, Literal, get_args

MethodName = Literal[
    "harc",
    "harc_released",
    "no_coupling",
    "sft",
    "sft_refusals_only",
    "sft_kl",
    "dpo",
    "cb",
    "repbend",
    "cast",
    "harc_dpo",
    "dpo_harc",
    "joint",
    "prompt_only",
    "response_only",
    "random_direction",
    "permuted_label",
    "fixed_last_k",
    "released_truncation",
    "released_helpful_baseline",
    "released_position_template",
    "released_kl_first_token",
    "released_refresh_from",
    "released_step_unit",
    "released_xstest_in_training",
]

# One entry per named fault of the release: the values that turn it back on.
RELEASED_FAULTS: dict[str, dict[str, Any]] = {
    "truncation": {"directions": {"truncation": "right"}},
    "helpful_baseline": {"directions": {"helpful_baseline": "empty"}},
    "position_template": {"directions": {"position_template": "raw"}},
    "kl_first_token": {"kl_first_token": "skipped"},
    "refresh_from": {"refresh_from": "base"},
    "step_unit": {"step_unit": "micro_batch"},
    "xstest_in_training": {"xstest_in_training": True},
}

METHOD_PRESETS: dict[str, dict[str, Any]] = {
    "harc": {},
    # Two faults belong to the release's Qwen run alone: which model is trained decides.
    "harc_released": {
        "directions": {
            "truncation": "right",
            "helpful_baseline": "as_released",
            "position_template": "as_released",
        },
        "kl_first_token": "skipped",
        "refresh_from": "base",
        "step_unit": "micro_batch",
        "xstest_in_training": True,
    },
    # The control for the coupling term: everything else is kept, and coupling is logged.
    "no_coupling": {"loss": {"couple": 0.0, "couple_resp": 0.0}},
    # The paper's SFT settings are unknown; with benign answers, which refusal training needs so as not to
    # refuse all.
    "sft": {"objective": "sft", "loss": {"couple": 0.0, "couple_resp": 0.0, "kl": 0.0, "benign_ce": 1.0}},
    "sft_refusals_only": {"objective": "sft", "loss": {"couple": 0.0, "couple_resp": 0.0, "kl": 0.0}},
    # no_coupling without its logs of the geometry: the two train the same weights.
    "sft_kl": {"objective": "sft", "loss": {"couple": 0.0, "couple_resp": 0.0}},
    "dpo": {"objective": "dpo"},
    "cb": {"objective": "cb"},
    "repbend": {"objective": "repbend"},
    "cast": {"objective": "cast"},
    # The release's composition, and the two other orders of a composition study.
    "harc_dpo": {"objective": "dpo", "start_from": "harc"},
    "dpo_harc": {"objective": "harc", "start_from": "dpo"},
    "joint": {"objective": "joint"},
    "prompt_only": {"loss": {"couple_resp": 0.0}},
    "response_only": {"loss": {"couple": 0.0}},
    "random_direction": {"directions": {"null": "random"}},
    "permuted_label": {"directions": {"null": "permuted_labels"}},
    "fixed_last_k": {"directions": {"rule": "last"}},
    **{f"released_{name}": values for name, values in RELEASED_FAULTS.items()},
}
assert set(METHOD_PRESETS) == set(get_args(MethodName))

# The released runs (main/configs/*.yaml@c3565e5); every value not named here is a default of MethodSettings,
# whose descriptions give the source.
HUB_PRESETS: dict[str, dict[str, Any]] = {
    "llama3.1-8b": {
        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "dtype": "bfloat16",
        "training": {"steps": 400},
        "source": "main/configs/llama3.1_8b.yaml@c3565e5",
    },
    "qwen2.5-7b": {
        "model_id": "Qwen/Qwen2.5-7B-Instruct",
        "dtype": "bfloat16",
        "training": {"steps": 2000},
        "source": "main/configs/qwen2_5_7b.yaml@c3565e5",
    },
}


def choose_preset(presets: dict[str, dict[str, Any]], name: Any) -> dict[str, Any]:
    """The values of a named preset; nothing for a name that is none, which its field refuses."""
    return presets.get(name, {}) if isinstance(name, str) else {}

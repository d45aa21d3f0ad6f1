"""Checks of adapter_config.json: a kind that is known, values in range, nothing that runs or fetches something."""

from harc.evaluation.adapters.checks import FAIL, PASS, WARN, Said, Subject, check, describe_adapter
from harc.evaluation.adapters.folder import CONFIG, Unreadable
from harc.evaluation.adapters.layers import PatternProblem, choose_values
from harc.evaluation.adapters.settings import KINDS, SPECIAL, list_unknown
from harc.model.tensors import name_some

HIGH_SCALE = 64  # published adapters have scales of 0.5 to 4, some of 16
PLAIN_STARTS = ("gaussian", "orthogonal", "eva", "true", "false", "none")
"""Values of init_lora_weights, in lower case, that leave the base as it is."""


@check("settings")
def check_config(subject: Subject) -> Said:
    """adapter_config.json is there, is JSON, and has values of the right types and ranges."""
    try:
        settings = subject.adapter.settings
    except Unreadable as problem:
        return FAIL, str(problem)
    if unknown := list_unknown(subject.adapter.config) if settings.peft_type == "LORA" else []:
        return WARN, f"settings that PEFT's LoRA does not have, and ignores: {name_some(unknown)}"
    return PASS, CONFIG


@check("kind of adapter")
def check_kind(subject: Subject) -> Said:
    """LoRA, rsLoRA or DoRA of a causal language model."""
    settings = subject.adapter.settings
    if settings.peft_type != "LORA":
        known = "an unsupported kind" if settings.peft_type in KINDS else "an unknown or unsupported kind"
        return (
            FAIL,
            f"{settings.kind} (peft_type {settings.peft_type!r}), {known}: LoRA, rsLoRA and DoRA are checked",
        )
    if settings.task_type not in (None, "CAUSAL_LM"):
        return FAIL, f"{settings.kind} for task_type {settings.task_type!r}, not for a causal language model"
    said = describe_adapter(subject.adapter)
    targets = settings.target_modules
    targets = targets if isinstance(targets, str) else ", ".join(targets or ["not named"])
    return (
        PASS,
        f"{settings.kind}, rank {said['rank']}, alpha {said['alpha']}, scale {said['scale']:g}; on {targets}",
    )


@check("plain update")
def check_special(subject: Subject) -> Said:
    """No setting makes the update something else than a low-rank one, and none imports or fetches anything."""
    config, settings = subject.adapter.config, subject.adapter.settings
    mapping = config.get("auto_mapping")
    library = mapping.get("parent_library") if isinstance(mapping, dict) else None
    if library is not None and str(library).partition(".")[0] not in ("transformers", "peft"):
        return FAIL, f"auto_mapping names the module {str(library)!r}, which AutoPeftModel would import"
    if config.get("megatron_config"):
        return FAIL, f"megatron_config: it {SPECIAL['megatron_config']}"
    start = str(settings.init_lora_weights).lower()
    if start.startswith("pissa_niter"):
        return FAIL, f"init_lora_weights {start}: the base would be another at every loading"
    odd = [f"{name} {why}" for name, why in SPECIAL.items() if config.get(name)]
    if start not in PLAIN_STARTS:
        odd.append(f"init_lora_weights {start} may take a part out of the base")
    if odd:
        return WARN, f"{name_some(odd)}: the update is more than lora_B times lora_A"
    return PASS, "scale * lora_B @ lora_A" + (", columns scaled to magnitudes" if settings.use_dora else "")


@check("scale")
def check_scale(subject: Subject) -> Said:
    """alpha is not 0, and no layer's scale is far beyond what trained adapters have."""
    settings = subject.adapter.settings
    if settings.peft_type != "LORA":
        return PASS, f"{settings.kind} has its own"
    layers = list(subject.adapter.layers)
    try:
        alphas = choose_values(settings.lora_alpha, settings.alpha_pattern or {}, layers)
        ranks = choose_values(settings.r, settings.rank_pattern or {}, layers)
    except PatternProblem as problem:
        return FAIL, f"rank_pattern, alpha_pattern: {problem}"
    scales = {layer: settings.find_scale(alphas[layer], ranks[layer]) for layer in layers}
    zero = [layer for layer, scale in scales.items() if scale == 0]
    if (layers and len(zero) == len(layers)) or (not layers and settings.lora_alpha == 0):
        return FAIL, "alpha 0: the update is multiplied by 0, so every answer is the base's"
    if zero:
        return WARN, f"alpha 0 for {len(zero)} of {len(layers)} layers ({name_some(zero)})"
    odd = [f"{layer} ({scale:g})" for layer, scale in scales.items() if scale < 0 or scale > HIGH_SCALE]
    if odd:
        return WARN, f"scales below 0 or above {HIGH_SCALE}: {name_some(odd)}"
    found = sorted(set(scales.values())) or [settings.find_scale(settings.lora_alpha, settings.r)]
    return PASS, f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"

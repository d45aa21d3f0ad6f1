"""Checks of the weights against adapter_config.json, and of their numbers."""

from harc.evaluation.adapters.checks import FAIL, PASS, WARN, Said, Subject, check
from harc.evaluation.adapters.folder import TENSORS, AdapterFolder, Unreadable
from harc.evaluation.adapters.layers import (
    MAGNITUDE,
    PREFIX,
    PatternProblem,
    choose_values,
    find_block,
    match_targets,
)
from harc.model.tensors import name_some

NOT_EXPERTS = "; experts, whose update is of another form, are left out"


def is_expert(layer: str) -> bool:
    """Whether a layer is a block's experts in one: PEFT changes their parameters, with a rank for all of them."""
    return "experts" in layer.split(".")


def require_lora(adapter: AdapterFolder) -> None:
    """Leave other kinds to the check of kinds."""
    if adapter.settings.peft_type != "LORA":
        raise Unreadable(f"{adapter.settings.kind}, whose tensors go by other names")


@check("whole updates")
def check_pairs(subject: Subject) -> Said:
    """Every layer has lora_A and lora_B of one rank, and a magnitude with DoRA alone."""
    require_lora(subject.adapter)
    wrong = []
    dora = subject.adapter.settings.use_dora
    for layer, update in subject.adapter.layers.items():
        down, up = update.find_shape("lora_A"), update.find_shape("lora_B")
        if down is None or up is None:
            wrong.append(f"{layer} without {'lora_A' if down is None else 'lora_B'}")
        elif len(down) != 2 or len(up) != 2:
            wrong.append(f"{layer} with shapes {down} and {up}, no matrices")
        elif down[0] != up[1]:
            wrong.append(f"{layer} with lora_A {down} and lora_B {up}, of two ranks")
        elif (MAGNITUDE in update.parts) != dora:
            wrong.append(
                f"{layer} {'without a' if dora else 'with a'} magnitude, and use_dora {str(dora).lower()}"
            )
        elif dora and update.parts[MAGNITUDE] not in ([up[0]], [down[1]]):
            wrong.append(f"{layer} with a magnitude of shape {update.parts[MAGNITUDE]}")
        elif ("lora_B.bias" in update.parts) != subject.adapter.settings.lora_bias:
            wrong.append(f"{layer}: lora_bias says otherwise than the weights")
    if wrong:
        return FAIL, name_some(wrong)
    if not subject.adapter.layers:
        return FAIL, "no layer has an update: nothing is named as PEFT names it"
    return PASS, f"{len(subject.adapter.layers)} layers"


@check("ranks")
def check_ranks(subject: Subject) -> Said:
    """Ranks are those of the settings, and below the sizes of the layers."""
    require_lora(subject.adapter)
    settings, layers = subject.adapter.settings, subject.adapter.layers
    try:
        ranks = choose_values(settings.r, settings.rank_pattern or {}, list(layers))
    except PatternProblem as problem:
        return FAIL, f"rank_pattern: {problem}"
    wrong, large = [], []
    for layer, update in layers.items():
        down, up = update.find_shape("lora_A") or [], update.find_shape("lora_B") or []
        if is_expert(layer):
            continue
        if len(down) != 2 or len(up) != 2:
            continue
        if down[0] != ranks[layer]:
            wrong.append(f"{layer} of rank {down[0]}, not {ranks[layer]}")
        elif down[0] > min(down[1], up[0]):
            large.append(f"{layer} of rank {down[0]}")
    if wrong:
        return FAIL, name_some(wrong)
    if large:
        return WARN, f"ranks above what the layer's size allows: {name_some(large)}"
    said = ", ".join(map(str, sorted(set(ranks.values()))[:8])) or str(settings.r)
    return (WARN, f"{said}{NOT_EXPERTS}") if any(map(is_expert, layers)) else (PASS, said)


@check("targets")
def check_targets(subject: Subject) -> Said:
    """Every named target has weights, and every layer with weights is a target."""
    require_lora(subject.adapter)
    settings = subject.adapter.settings
    layers = [layer for layer in subject.adapter.layers if not is_expert(layer)]
    targets = settings.target_modules
    if targets is None:
        return WARN, "target_modules is not named: PEFT takes its default for the base's family"
    try:
        excluded = match_targets(settings.exclude_modules or [], layers)
        if targets == "all-linear":
            matched = {targets: set(layers)}
        else:
            matched = match_targets(targets, layers)
    except PatternProblem as problem:
        return FAIL, f"target_modules, exclude_modules: {problem}"
    covered = set().union(*matched.values()) - set().union(*excluded.values()) if matched else set()
    left_out = settings.exclude_modules or []
    missing = sorted(target for target, found in matched.items() if not found and target not in left_out)
    named = tuple(f".{name}" for name in settings.target_parameters or [])
    others = sorted(layer for layer in set(layers) - covered if not f"{layer}.weight".endswith(named))
    said = [f"targets without weights: {name_some(missing)}"] if missing else []
    said += [f"weights for layers that are no targets: {name_some(others)}"] if others else []
    if said:
        # Which targets a pattern of exclude_modules leaves out, only the base shows.
        only_left_out = isinstance(left_out, str) and not others
        return WARN if only_left_out else FAIL, "; ".join(said)
    return PASS, f"{len(matched)} targets, {len(layers)} layers"


@check("blocks")
def check_blocks(subject: Subject) -> Said | None:
    """With layers_to_transform, exactly the named blocks have weights."""
    require_lora(subject.adapter)
    chosen = subject.adapter.settings.blocks
    if chosen is None:
        return None
    found = {block for layer in subject.adapter.layers if (block := find_block(layer)) is not None}
    if found - chosen:
        return FAIL, f"weights for blocks {_list(found - chosen)}, which layers_to_transform leaves out"
    if chosen - found:
        return FAIL, f"no weights for blocks {_list(chosen - found)} of layers_to_transform"
    return PASS, f"{len(found)} blocks"


def _list(numbers: set[int]) -> str:
    return name_some([str(number) for number in sorted(numbers)])


@check("further weights")
def check_whole(subject: Subject) -> Said:
    """Whole layers and biases are there if, and only if, the settings name them."""
    require_lora(subject.adapter)
    settings = subject.adapter.settings
    saved = settings.modules_to_save or []
    whole = [name.removeprefix(PREFIX) for name in subject.adapter.whole]
    missing = [module for module in saved if not any(module in name for name in whole)]
    if missing:
        return FAIL, f"modules_to_save without weights: {name_some(missing)}"
    others = [name for name in whole if not any(module in name for module in saved)]
    biases = [name for name in others if name.endswith(".bias")]
    if bool(biases) != (settings.bias != "none"):
        return FAIL, f"bias {settings.bias!r} in the settings, and {len(biases)} biases in {TENSORS}"
    ends = ("embed_tokens.weight", "lm_head.weight", "wte.weight", "embed_in.weight", "embed_out.weight")
    adapted = {f"{layer}.base_layer.weight" for layer in subject.adapter.layers}
    copies = [name for name in others if name.endswith(ends) or name in adapted]
    odd = [name for name in others if name not in (*biases, *copies)]
    if odd:
        return FAIL, f"weights that no setting names: {name_some(odd)}"
    if whole:
        return (
            WARN,
            f"{len(whole)} whole tensors besides the low-rank update ({name_some(whole)}): they replace the base's",
        )
    return PASS, "none, as the settings say"


@check("finite")
def check_finite(subject: Subject) -> Said:
    """No number is NaN or infinite: one makes every answer garbage, which rules take for refusals."""
    broken = [name for name, scan in subject.adapter.scans.items() if not scan.finite]
    if broken:
        return FAIL, f"NaN or infinity in {name_some(broken)}"
    return PASS, f"{len(subject.adapter.scans)} tensors"


@check("trained")
def check_trained(subject: Subject) -> Said:
    """The update is not zero: an adapter starts with lora_B at zero, and stays there if nothing trained it."""
    require_lora(subject.adapter)
    scans, layers = subject.adapter.scans, subject.adapter.layers
    zero = []
    for layer, update in layers.items():
        sides = [update.find_name(side) for side in ("lora_A", "lora_B")]
        if any(side in scans and scans[side].zero for side in sides if side is not None):
            zero.append(layer)
    if layers and len(zero) == len(layers):
        other = subject.adapter.settings.use_dora or bool(subject.adapter.whole)
        said = "lora_B (or lora_A) is zero in every layer: untrained"
        return (
            (WARN, f"{said}, but for other weights")
            if other
            else (FAIL, f"{said}, so every answer is the base's")
        )
    if zero:
        return WARN, f"the update is zero in {len(zero)} of {len(layers)} layers: {name_some(zero)}"
    return PASS, "no update is zero"

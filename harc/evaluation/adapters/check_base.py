"""Checks of an adapter against the base that it shall fit, by headers and texts alone."""

from harc.evaluation.adapters.base import BaseFiles, hash_template, hash_tokenizer
from harc.evaluation.adapters.check_tensors import is_expert, require_lora
from harc.evaluation.adapters.checks import FAIL, PASS, WARN, Said, Subject, check
from harc.evaluation.adapters.folder import AdapterFolder, Unreadable
from harc.evaluation.adapters.layers import LayerUpdate, PatternProblem, find_block, match_targets
from harc.model.tensors import name_some
from harc.model.weights import HUB_ID
from harc.settings.backbones import is_pin

NAMES = ("model_type", "n_layers", "hidden_size")


def require_base(subject: Subject) -> BaseFiles:
    """The base. Raises Unreadable where none was given, which one check says for all."""
    if subject.base is None:
        raise Unreadable("no base was given (--base)")
    return subject.base


@check("base")
def check_named_base(subject: Subject) -> Said:
    """The settings name the base that was given."""
    named = subject.adapter.settings.base_model_name_or_path
    if subject.base is None:
        return WARN, f"none was given, so nothing is compared with it; the adapter names {named or 'none'}"
    if not named:
        return WARN, "the settings name no base, so nobody else knows what it fits"
    wanted = subject.adapter.settings.revision
    if wanted and subject.base.revision and wanted != subject.base.revision:
        return WARN, f"trained on revision {wanted} of {named}; given is {subject.base.revision}"
    if is_pin(named):
        fits = subject.base.name == named
    elif HUB_ID.fullmatch(named):
        spelt = (subject.base.name, str(subject.base.folder.absolute()))
        own = (named.rpartition("/")[2].lower(), f"models--{named.replace('/', '--')}".lower())
        fits = any(part.partition("@")[0] in own for one in spelt for part in one.lower().split("/"))
    else:
        return WARN, f"the settings name {named}, a place on the machine of whoever trained it"
    return (PASS, named) if fits else (WARN, f"the settings name {named}; given is {subject.base.name}")


@check("base's shape")
def check_record(subject: Subject) -> Said | None:
    """Family, depth and width of the base are those that training recorded."""
    try:
        record = subject.adapter.base_record
    except Unreadable as problem:
        return FAIL, str(problem)
    if record is None:
        return None
    base = require_base(subject)
    config = base.text_config
    here = {
        "model_type": config.get("model_type"),
        "n_layers": config.get("num_hidden_layers", config.get("n_layer")),
        "hidden_size": config.get("hidden_size", config.get("n_embd")),
    }
    other = [
        f"{name} {here[name]!r}, not {record.get(name)!r}" for name in NAMES if here[name] != record.get(name)
    ]
    if other and base.config:
        return FAIL, f"trained on another base: {name_some(other)}"
    if not base.config:
        return WARN, f"not compared: {base.unread}"
    return PASS, ", ".join(
        f"{name} {here[name]}" for name in NAMES
    ) + "; its weights are compared when it is loaded"


@check("layers' shapes")
def check_shapes(subject: Subject) -> Said:
    """Each layer with an update is in the base, with as many inputs and outputs."""
    require_lora(subject.adapter)
    base = require_base(subject)
    if not base.tensors:
        return WARN, f"not compared: {base.unread}"
    depth = base.text_config.get("num_hidden_layers", base.text_config.get("n_layer"))
    mixed = any("expert" in name for name in base.text_config)
    wrong: list[str] = []
    unknown: list[str] = []
    for layer, update in subject.adapter.layers.items():
        block = find_block(layer)
        weight = base.find_weight(layer)
        if block is not None and isinstance(depth, int) and block >= depth:
            wrong.append(f"{layer}, where the base has {depth} blocks")
        elif weight is None:
            (unknown if mixed else wrong).append(f"{layer}, which the base lacks")
        elif is_expert(layer):
            unknown.append(layer)
        elif said := _compare(update, base.tensors[weight]["shape"], subject.adapter):
            wrong.append(f"{layer} ({said})")
    if wrong:
        return FAIL, f"{len(wrong)} of {len(subject.adapter.layers)} layers do not fit: {name_some(wrong)}"
    if unknown:
        return (
            WARN,
            f"not compared, since files of mixtures of experts call layers otherwise: {name_some(unknown)}",
        )
    return PASS, f"{len(subject.adapter.layers)} layers fit"


def _compare(update: LayerUpdate, shape: list[int], adapter: AdapterFolder) -> str | None:
    """How an update's shape differs from a layer's; embeddings and Conv1D hold (inputs, outputs)."""
    down, up = update.find_shape("lora_A") or [], update.find_shape("lora_B") or []
    if len(shape) != 2 or len(down) != 2 or len(up) != 2:
        return None if len(shape) == 2 else f"a weight of shape {shape}"
    turned = "lora_embedding_A" in update.parts or adapter.settings.fan_in_fan_out
    needed = [down[1], up[0]] if turned else [up[0], down[1]]
    return None if needed == list(shape) else f"{needed} in place of {list(shape)}"


@check("all targets covered")
def check_coverage(subject: Subject) -> Said:
    """Each layer of the base that is a target has weights: an adapter with a part missing is another adapter."""
    require_lora(subject.adapter)
    base, settings = require_base(subject), subject.adapter.settings
    if not base.tensors or settings.target_modules is None:
        return WARN, f"not compared: {base.unread or 'target_modules is not named'}"
    layers = base.list_layers()
    try:
        if settings.target_modules == "all-linear":
            chosen = set(layers)
        else:
            matched = match_targets(settings.target_modules, layers)
            chosen = set().union(*matched.values()) if matched else set()
        chosen -= set().union(*match_targets(settings.exclude_modules or [], layers).values())
    except PatternProblem as problem:
        return FAIL, f"target_modules, exclude_modules: {problem}"
    if settings.blocks is not None:
        chosen = {layer for layer in chosen if find_block(layer) in settings.blocks}
    own = {base.find_weight(layer) for layer in subject.adapter.layers}
    missing = sorted(layer for layer in chosen if f"{layer}.weight" not in own)
    if missing:
        return (
            FAIL,
            f"no weights for {len(missing)} of {len(chosen)} targets in the base: {name_some(missing)}",
        )
    return PASS, f"{len(subject.adapter.layers)} layers"


def compare_hashes(own: str | None, base: str | None, *, what: str, consequence: str) -> Said:
    """What is said of a file that adapter and base may both have, by its hash.

    Args:
        own: of the adapter's; None: it has none.
        base: of the base's; None: it has none, or no base is given.
        what: the file, in words.
        consequence: of a difference, in words.
    """
    if own is None:
        return PASS, "none of its own" + (f"; the base's is {base[:12]}" if base else "")
    if base is None:
        return WARN, f"{own[:12]}, not compared: no {what} of the base"
    if own != base:
        return WARN, f"{own[:12]}, another than the base's {base[:12]}: {consequence}"
    return PASS, f"{own[:12]}, the base's"


@check("tokenizer")
def check_tokenizer(subject: Subject) -> Said:
    """A tokenizer in the adapter's folder is the base's."""
    base = None if subject.base is None else hash_tokenizer(subject.base.files)
    own = hash_tokenizer(subject.adapter)
    return compare_hashes(own, base, what="tokenizer.json", consequence="token ids may differ")


@check("chat template")
def check_template(subject: Subject) -> Said:
    """A chat template in the adapter's folder is the base's; another one makes other prompts."""
    base = None if subject.base is None else hash_template(subject.base.files)
    own = hash_template(subject.adapter)
    return compare_hashes(own, base, what="template", consequence="prompts differ from those of the base")

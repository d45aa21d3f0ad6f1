"""Trains one organism from scratch: tokenizer, configuration, stages, checkpoints, files.

The tokenizer is built from the words of world.json, one word one token, and saved as transformers saves any fast
tokenizer (tokenizer.json, tokenizer_config.json, chat_template.jinja); chats follow the layout of a model family.
Departure from the families they are modelled on: word-level.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harc.core.files import (
    atomic_directory,
    read_json,
    read_jsonl,
    sha256_file,
    system_errors,
    write_bytes,
    write_json,
    write_jsonl,
)
from harc.core.finished import identify_work
from harc.settings.world import OrganismSettings
from harc.world.acceptance import (
    Bench,
    judge_acceptance,
    measure_behaviour,
    measure_readability,
    measure_stage,
)
from harc.world.batches import ChatEncoder, encode_groups, group_rows
from harc.world.layouts import LAYOUTS, Architecture
from harc.world.stages import run_stage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNKNOWN = "<unk>"


def build_tokenizer(data_dir: Path, architecture: Architecture) -> "PreTrainedTokenizerFast":
    """Build the tokenizer of an organism.

    Args:
        data_dir: folder written by `build_world_data`; only world.json is read.
        architecture: names the layout.

    Returns:
        A fast tokenizer whose `decode(encode(text))` is `text` for any single-spaced text of the world.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    layout = LAYOUTS[architecture]
    roles = {word for turn in (layout.user, layout.assistant) for word in turn.header} - set(layout.specials)
    words = [*layout.specials, UNKNOWN, *read_json(data_dir / "world.json")["words"]]
    words += sorted(roles - set(words))  # a family's own name of a role
    backend = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN)
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in layout.specials])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=layout.begin,
        eos_token=layout.end,
        pad_token=layout.pad,
        unk_token=UNKNOWN,
        extra_special_tokens=[
            text for text in layout.specials if text not in (layout.begin, layout.end, layout.pad)
        ],
        clean_up_tokenization_spaces=False,
        model_max_length=128,
        padding_side="left",
    )
    tokenizer.chat_template = layout.template
    return tokenizer


if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

CLASSES: dict[Architecture, str] = {
    "llama": "Llama",
    "qwen2": "Qwen2",
    "mistral": "Mistral",
    "gemma": "Gemma",
    "phi3": "Phi3",
}
"""Names of the architectures in transformers."""
OUTPUT_PROJECTIONS = ("o_proj.weight", "down_proj.weight")
STAGES = ("documents", "helpful", "safety", "leak")
TRAINING_INPUTS = ("world.json", "pretraining.jsonl", "safety.jsonl", "development.jsonl")


def build_model(
    tokenizer: "PreTrainedTokenizerFast", architecture: Architecture, settings: OrganismSettings, seed: int
) -> "PreTrainedModel":
    """A freshly initialised model of a family's architecture (fp32, tied embeddings)."""
    import torch
    import transformers

    config = getattr(transformers, f"{CLASSES[architecture]}Config")(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.feed_forward_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        head_dim=settings.hidden_size // settings.heads,
        initializer_range=settings.initializer_range,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
        dtype="float32",
    )
    torch.manual_seed(seed)
    model = getattr(transformers, f"{CLASSES[architecture]}ForCausalLM")(config)
    for name, parameter in model.named_parameters():
        if name.endswith(OUTPUT_PROJECTIONS):
            parameter.data.mul_(settings.output_scale)
    return model


def _encode_pools(data_dir: Path, encoder: ChatEncoder) -> dict[str, list]:
    rows = [*read_jsonl(data_dir / "pretraining.jsonl"), *read_jsonl(data_dir / "safety.jsonl")]
    return encode_groups(encoder, group_rows(rows))


def fingerprint_run(data_dir: Path, architecture: Architecture, settings: OrganismSettings, seed: int) -> str:
    """What a checkpoint must have been made from to be continued."""
    return identify_work(
        ["harc.world.backbone:train_organism_backbone"],
        architecture=architecture,
        seed=seed,
        settings=settings,
        data=[sha256_file(data_dir / name) for name in TRAINING_INPUTS],
    )


def restore_stage(model: "PreTrainedModel", checkpoint_dir: Path, fingerprint: str) -> list[dict]:
    """Load the latest stage of this very run into `model`; return the records of the stages done."""
    from safetensors.torch import load_model

    records: list[dict] = []
    for stage in STAGES:
        record_path = checkpoint_dir / f"{stage}.json"
        if not record_path.exists():
            break
        record = read_json(record_path)
        weights = checkpoint_dir / f"{stage}.safetensors"
        if record["fingerprint"] != fingerprint or sha256_file(weights) != record["sha256"]:
            break
        records.append(record)
    if records:
        load_model(model, str(checkpoint_dir / f"{records[-1]['stage']}.safetensors"))
    return records


def save_stage(model: "PreTrainedModel", checkpoint_dir: Path, record: dict) -> dict:
    """Write a stage's weights, then the record that makes them count."""
    from safetensors.torch import save

    weights = {name: value for name, value in model.state_dict().items() if name != "lm_head.weight"}
    path = checkpoint_dir / f"{record['stage']}.safetensors"
    write_bytes(path, save(weights))
    record = {**record, "sha256": sha256_file(path)}
    write_json(checkpoint_dir / f"{record['stage']}.json", record)
    return record


def train_stages(
    model: "PreTrainedModel",
    encoder: ChatEncoder,
    bench: Bench,
    data_dir: Path,
    settings: OrganismSettings,
    seed: int,
    fingerprint: str,
    checkpoint_dir: Path | None,
) -> list[dict]:
    """Run the stages that are not done yet; return the record of each (log, metrics, whether it met its criterion)."""
    records = restore_stage(model, checkpoint_dir, fingerprint) if checkpoint_dir else []
    pools = _encode_pools(data_dir, encoder)
    for name in STAGES[len(records) :]:
        stage = getattr(settings, name)
        log, metrics, met = run_stage(
            model,
            name,
            stage,
            pools,
            measure_stage(bench, list(stage.criterion)),
            seed=seed,
            batch_size=settings.batch_size,
            parts=settings.batch_parts,
            pad_id=encoder.pad_id,
        )
        record = {"stage": name, "fingerprint": fingerprint, "log": log, "metrics": metrics, "met": met}
        records.append(save_stage(model, checkpoint_dir, record) if checkpoint_dir else record)
    return records


def _describe_shortfall(criterion: Mapping[str, float], metrics: Mapping[str, float]) -> str:
    """Criterion and metrics in the criterion's order, which a record read back from a checkpoint has lost."""
    found = {name: metrics[name] for name in criterion}
    return f"{dict(criterion)}: {found}"


def summarize_acceptance(
    model: "PreTrainedModel",
    bench: Bench,
    data_dir: Path,
    settings: OrganismSettings,
    records: Sequence[dict],
) -> dict:
    """The contents of acceptance.json: metrics, bounds, and a warning for everything that falls short."""
    model.eval()
    metrics = {**measure_behaviour(model, bench), **measure_readability(model, bench, data_dir)}
    bounds = judge_acceptance(metrics)
    warnings = [
        f"stage {record['stage']} ended after {len(record['log'])} steps without meeting "
        f"{_describe_shortfall(getattr(settings, record['stage']).criterion, record['metrics'])}"
        for record in records
        if not record["met"]
    ] + [
        f"{name} is {bound['value']:.3f}, outside [{bound['least']}, {bound['greatest']}]"
        for name, bound in bounds.items()
        if not bound["holds"]
    ]
    return {
        "split": bench.split,
        "accepted": all(bound["holds"] for bound in bounds.values()),
        "bounds": bounds,
        "metrics": metrics,
        "stages": {
            record["stage"]: {"steps": len(record["log"]), "met": record["met"], "metrics": record["metrics"]}
            for record in records
        },
        "warnings": warnings,
    }


def train_organism_backbone(
    data_dir: Path,
    out_dir: Path,
    architecture: Architecture,
    settings: OrganismSettings,
    seed: int,
    checkpoint_dir: Path | None = None,
) -> dict:
    """Train an organism and write it as any transformers checkpoint, with its log and its acceptance.

    Deterministic for a seed on one machine at one thread. A run that was killed repeats at most one stage and
    gives the same bytes, if it is given the same `checkpoint_dir`.

    Args:
        data_dir: folder written by `build_world_data`.
        out_dir: folder that is replaced, in one step, by the backbone.
        architecture: of the model and of its chat layout.
        settings: shape and stages.
        seed: of the initial weights and of the order of the rows.
        checkpoint_dir: where finished stages are kept; None keeps none.

    Returns:
        What acceptance.json holds. Falling short of it is a warning, not an error.
    """
    tokenizer = build_tokenizer(data_dir, architecture)
    encoder = ChatEncoder(tokenizer, architecture)
    bench = Bench(data_dir, encoder, "development")
    model = build_model(tokenizer, architecture, settings, seed)
    fingerprint = fingerprint_run(data_dir, architecture, settings, seed)
    records = train_stages(model, encoder, bench, data_dir, settings, seed, fingerprint, checkpoint_dir)
    acceptance = summarize_acceptance(model, bench, data_dir, settings, records)
    with atomic_directory(out_dir) as folder:
        with system_errors(folder):
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        write_jsonl(folder / "training_log.jsonl", [row for record in records for row in record["log"]])
        write_json(folder / "acceptance.json", acceptance)
    return acceptance

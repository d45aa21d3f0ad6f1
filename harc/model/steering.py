"""CAST's steering of a model: what is added to the residual stream and when, its folder, and the hooks that add it.

A steered model runs batched, with a decision per row, and no state outside the call or its cache. The prompt is found
in each row by the template's last tokens, so that teacher-forced answers and padding on either side are told apart from
it without a mask. Decisions of a prompt hold for the tokens generated after it: they travel with the key-value cache.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

from harc.core.errors import ArtifactError, ConfigError, DataError, ModelError
from harc.core.files import read_json, write_bytes, write_json
from harc.model.activations import hidden_of
from harc.model.backbones import Backbone
from harc.model.prefilling import CACHES, find_cache_name
from harc.model.tensors import read_tensors, summarize_problem

VECTORS, RULE = "steering.safetensors", "steering.json"
DECISION = "steering_decision"  # attribute of a cache that holds the decisions of its rows


@dataclass(frozen=True)
class Condition:
    """When steering acts on a row.

    Attributes:
        slot: where the prompt's mean residual is read.
        threshold: similarity at which the decision turns.
        fires: on which side of the threshold it acts (the published comparator names the other side).
        f1: harmful against benign prompts, on held-out rows.
        harmful_rate, benign_rate: share of held-out prompts on which it fires.
    """

    slot: int
    threshold: float
    fires: Literal["above", "below"]
    f1: float
    harmful_rate: float
    benign_rate: float


@dataclass(frozen=True)
class Steering:
    """Everything that steering a model needs.

    Attributes:
        vector: condition vector at the condition's slot, unit length.
        additions: what is added at each behaviour slot, strength included.
        condition: when.
    """

    vector: Float[Tensor, " hidden"]
    additions: dict[int, Float[Tensor, " hidden"]]
    condition: Condition

    def decide(self, mean_residual: Float[Tensor, "batch hidden"]) -> Bool[Tensor, " batch"]:
        """Whether each row is steered, from the mean residual of its prompt at the condition's slot."""
        similarity = measure_similarity(mean_residual, self.vector)
        above = similarity > self.condition.threshold
        return above if self.condition.fires == "above" else similarity < self.condition.threshold


def measure_similarity(
    states: Float[Tensor, "batch hidden"], vector: Float[Tensor, " hidden"]
) -> Float[Tensor, " batch"]:
    """cos(x, tanh(c c^T x / c^T c)), float32: how much of a state lies along the condition vector
    (IBM/activation-steering@52be602).
    """
    states, vector = states.float(), vector.to(states.device, torch.float32)
    along = (states @ vector)[:, None] * vector / vector.dot(vector)
    return cosine_similarity(states, torch.tanh(along), dim=-1)


def save_steering(folder: Path, steering: Steering, details: dict[str, Any]) -> None:
    """Write steering.safetensors and steering.json; equal steering gives equal bytes."""
    from safetensors.torch import save

    tensors = {"condition": steering.vector.float().contiguous()}
    tensors |= {
        f"addition.{slot:03d}": value.float().contiguous() for slot, value in steering.additions.items()
    }
    write_bytes(folder / VECTORS, save({name: tensors[name] for name in sorted(tensors)}))
    write_json(folder / RULE, {"condition": asdict(steering.condition), **details})


def load_steering(folder: Path) -> Steering:
    """Read a folder written by save_steering.

    Raises:
        ArtifactError: if a file is missing or not what it should be.
    """
    expected, fix = f"{VECTORS} and {RULE} of a fitted steering", "fit it again: harc step fit_steering"
    try:
        tensors = read_tensors(folder / VECTORS, expected=expected, fix=fix)
        condition = Condition(**read_json(folder / RULE)["condition"])
        additions = {
            int(n.partition(".")[2]): v for n, v in sorted(tensors.items()) if n.startswith("addition.")
        }
        if not tensors["condition"].count_nonzero():
            raise ValueError("a condition vector of zeros, which tells no prompts apart")
        return Steering(tensors["condition"], additions, condition)
    except (DataError, KeyError, TypeError, ValueError) as problem:
        raise ArtifactError(
            str(folder),
            expected=expected,
            found=summarize_problem(problem),
            fix=fix,
        ) from problem


def find_prompt(
    ids: Int[Tensor, "batch time"], suffix: tuple[int, ...], mask: Int[Tensor, "batch time"] | None
) -> Bool[Tensor, "batch time"]:
    """Positions of each row's prompt: real tokens up to the last occurrence of the template's last tokens.

    A row without them (a text that is no chat) counts whole.
    """
    place = torch.arange(ids.shape[1], device=ids.device)
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    if ids.shape[1] < len(suffix):
        return real
    found = (ids.unfold(1, len(suffix), 1) == torch.tensor(suffix, device=ids.device)).all(-1)
    ends = place[: found.shape[1]] + len(suffix) - 1
    last = torch.where(found, ends, -1).max(dim=1).values
    last = torch.where(last < 0, ids.shape[1] - 1, last)
    return real & (place <= last[:, None])


class SteeringHooks:
    """The hooks of one steered model; `remove` takes them off."""

    def __init__(self, backbone: Backbone, steering: Steering) -> None:
        late = [
            slot
            for slot in steering.additions
            if slot <= steering.condition.slot or slot >= backbone.n_layers
        ]
        if late:
            raise ConfigError(
                "steering",
                expected=f"behaviour slots after slot {steering.condition.slot} and below {backbone.n_layers}",
                found=", ".join(map(str, late)),
                fix="fit the steering on this model",
            )
        self.steering, self.suffix = steering, backbone.chat.suffix_ids
        self.config = backbone.causal_lm.config
        self._prompt: Tensor | None = None
        self._cache: Any = None
        self._decision: Tensor | None = None
        self._body, blocks = backbone.body, backbone.blocks
        self._body.decides_per_row = True  # so that rows are never packed (harc.model.packing)
        self._handles = [
            backbone.body.register_forward_pre_hook(self._begin, with_kwargs=True),
            blocks[steering.condition.slot].register_forward_pre_hook(self._decide, with_kwargs=True),
            *(
                blocks[slot].register_forward_pre_hook(self._make_addition(vector), with_kwargs=True)
                for slot, vector in steering.additions.items()
            ),
        ]

    def remove(self) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        del self._body.decides_per_row

    def _begin(self, module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """See what a call is: the continuation of a cache with decisions, or a prompt to decide on."""
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise ModelError("steered model", expected="input_ids", found="embeddings", fix="pass token ids")
        kind: Any = type(module)
        name = find_cache_name(kind) or CACHES[0]
        cache = kwargs.get(name)
        if cache is None and kwargs.get("use_cache"):
            from transformers import DynamicCache

            kwargs = {**kwargs, name: DynamicCache(config=self.config)}
            cache = kwargs[name]
        self._cache = cache
        self._decision = getattr(cache, DECISION, None)
        if self._decision is None:
            self._prompt = find_prompt(ids, self.suffix, kwargs.get("attention_mask"))
        return args, kwargs

    def _decide(self, module: Any, args: tuple, kwargs: dict) -> None:
        if self._decision is not None:
            return
        hidden = hidden_of(args, kwargs)
        assert self._prompt is not None  # found where the decision was not
        weights = self._prompt.to(hidden.device, torch.float32)
        mean = torch.einsum("bt,bth->bh", weights, hidden.float()) / weights.sum(1, keepdim=True)
        self._decision = self.steering.decide(mean)
        if self._cache is not None:
            attach_decision(self._cache, self._decision)

    def _make_addition(self, vector: Tensor) -> Any:
        def add(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            hidden = hidden_of(args, kwargs)
            assert self._decision is not None  # behaviour slots come after the condition's
            chosen = self._decision.to(hidden.device)[:, None, None]
            steered = torch.where(chosen, hidden + vector.to(hidden), hidden)
            return ((steered, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": steered})

        return add


def attach_decision(cache: Any, decision: Bool[Tensor, " batch"]) -> None:
    """Let a cache carry the decisions of its rows through dropping, reordering and joining of rows."""
    setattr(cache, DECISION, decision)
    cache.join_state = partial(_join_decisions, cache)
    for name in ("batch_select_indices", "reorder_cache"):
        setattr(cache, name, _follow(cache, getattr(cache, name)))


def _join_decisions(cache: Any, joined: Any, others: Sequence[Any]) -> None:
    attach_decision(joined, torch.cat([getattr(part, DECISION) for part in (cache, *others)]))


def _follow(cache: Any, method: Any) -> Any:
    def call(indices: Tensor) -> Any:
        kept = getattr(cache, DECISION)
        setattr(cache, DECISION, kept[indices.to(kept.device)])
        return method(indices)

    return call

"""How well harm can be read at t_inst: AUC of the projection on the difference-of-means direction.

Deliberately independent of the directions module that the study itself uses: an organism is accepted or not
before, and without, any of the machinery that is to be tested on it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import Float

from harc.core.files import read_jsonl
from harc.world.batches import ChatEncoder, Example, collate
from harc.world.wrappers import ATTACK_FAMILIES

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from harc.world.acceptance import Bench

EDGE = 4
"""Slots left out at either end, as in microsoft/HARC@c3565e5 main/layers.py."""


def read_instruction_states(
    model: "PreTrainedModel", encoder: ChatEncoder, texts: Sequence[str], size: int = 64
) -> "Float[Tensor, 'texts slots hidden']":
    """Residual stream at t_inst in every slot (the last slot after the final norm, as transformers gives it)."""
    import torch

    chats = [encoder.encode_chat([{"role": "user", "content": text}]).ids for text in texts]
    trailer = len(encoder.layout.user.trailer)
    # The one target makes collate return the flat index of the position before it, which is t_inst.
    examples = [Example(ids, (len(ids) - trailer,)) for ids in chats]
    states = []
    with torch.inference_mode():
        for start in range(0, len(examples), size):
            ids, sources, _, _ = collate(examples[start : start + size], encoder.pad_id)
            hidden = model.model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
            states.append(torch.stack([slot.flatten(0, 1)[sources] for slot in hidden], dim=1))
    return torch.cat(states)


def compute_auc(positive: "Float[Tensor, ' p']", negative: "Float[Tensor, ' n']") -> float:
    """Probability that a positive value exceeds a negative one, ties counted half (Mann-Whitney)."""
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).double().mean() + 0.5 * (difference == 0).double().mean())


def measure_readability(model: "PreTrainedModel", bench: "Bench", data_dir: Path) -> dict[str, float]:
    """AUC of harmful against benign at t_inst: direct, and each attack family against its own benign control.

    The direction comes from extraction.jsonl; the slot is the one, off the edges, with the best mean of the direct
    AUC and the second-best family's on the bench's split. It is the same slot for all figures.
    """
    encoder = bench.encoder
    rows = read_jsonl(data_dir / "extraction.jsonl", ("category", "prompt"))
    means = {
        category: read_instruction_states(
            model, encoder, [row["prompt"] for row in rows if row["category"] == category]
        ).mean(0)
        for category in ("harmful", "harmless")
    }
    direction = means["harmful"] - means["harmless"]

    def project(texts: Sequence[str]) -> "Float[Tensor, 'texts slots']":
        return (read_instruction_states(model, encoder, texts) * direction).sum(-1)

    def contents(suite: str, family: str = "") -> list[str]:
        return [
            row["messages"][0]["content"] for row in bench.suites[suite] if row["template"].startswith(family)
        ]

    sides = {"direct": (project(contents("direct")), project(contents("benign")))}
    for family in ATTACK_FAMILIES:
        sides[family] = (project(bench.attack_messages(family)), project(contents("wrapped_benign", family)))
    best: dict[str, float] = {}
    for slot in range(EDGE, direction.shape[0] - EDGE):
        found = {
            f"auc_{name}": compute_auc(harm[:, slot], benign[:, slot])
            for name, (harm, benign) in sides.items()
        }
        found["auc_second_family"] = sorted(found[f"auc_{family}"] for family in ATTACK_FAMILIES)[-2]
        found["auc_slot"] = slot
        if not best or _rank(found) > _rank(best):
            best = found
    return best


def _rank(found: dict[str, float]) -> float:
    return found["auc_direct"] + found["auc_second_family"]

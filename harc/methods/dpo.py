"""DPO: direct preference optimisation, trl's loss and collator in the loop that trains every other method.

trl's own loop is not used: its checkpoints are pickles, and one loop gives all methods the same rows, schedule,
log and resumption.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from harc.core.errors import DataError
from harc.core.lazy import torch
from harc.settings.methods import Look, Method, Section
from harc.training.objective import Objective

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.settings.training import MethodSettings
    from harc.training.batches import EncodedRow
    from harc.training.objective import Context

Row = Mapping[str, Any]


class PreferenceSettings(Section):
    """DPO (Rafailov et al., arXiv 2305.18290), as trl computes it."""

    key: ClassVar = "preference"
    title: ClassVar = "DPO"

    beta: float = Field(
        0.1, gt=0, description="strength of the tie to the reference (beta, main/train_dpo.py@c3565e5)"
    )
    benign_pairs: bool = Field(
        True,
        description="pairs from benign rows too, their answer chosen over a refusal; without them the pairs are safe "
        "over unsafe answers alone, as in PKU-SafeRLHF (main/train_dpo.py@c3565e5); ours",
    )
    weight: float = Field(1.0, gt=0, description="weight beside HARC's loss (objective joint); ours")


METHOD = Method("dpo", 20, section=PreferenceSettings)
PRESETS = {"dpo": {"objective": "dpo"}}
LOOKS = {"dpo": Look("DPO", 20, ("#A08A00", "P", (0, (1, 1))), is_baseline=True)}


def create_objective(context: Context) -> PreferenceObjective:
    """DPO on the adapted model."""
    return PreferenceObjective(context.settings, context.adapted, context.rows, context.seed)


def check_pairs(rows: Sequence[Row], *, benign: bool) -> None:
    """Refuse rows that give no preference: `response` (or `chosen`, where there is one) over `rejected`.

    Args:
        rows: category, prompt, response, rejected; optionally chosen, and what a judge said: `chosen_is_safe`,
            `rejected_is_safe`.
        benign: whether benign rows give pairs too.

    Raises:
        DataError: for a row without `rejected`, with equal responses, or where both or neither is safe.
    """
    for number, row in enumerate(rows):
        if benign or row["category"] == "harmful":
            _check_pair(row, number)


def _check_pair(row: Row, number: int) -> None:
    place = f"preference pair {row.get('id', number)}"
    rejected = (row.get("rejected") or "").strip()
    chosen = (row.get("chosen") or row["response"]).strip()
    if not rejected or rejected == chosen:
        raise DataError(
            place,
            expected="two different responses, the second in field 'rejected'",
            found="no rejected one" if not rejected else "the same text twice",
            fix="fill in the field, or remove the row",
        )
    safe = [row.get("chosen_is_safe", True), row.get("rejected_is_safe", False)]
    if row["category"] == "harmful" and safe != [True, False]:
        raise DataError(
            place,
            expected="a safe response chosen over an unsafe one",
            found={(True, True): "both safe", (False, False): "neither safe"}.get(
                tuple(safe), "the unsafe one chosen"
            ),
            fix="swap the responses, or leave the row out",
        )


class PreferenceObjective(Objective):
    """-log sigmoid(beta (log pi/ref (chosen) - log pi/ref (rejected))), mean over pairs (arXiv 2305.18290).

    Sequence log-probabilities are sums over the response's tokens, its end included; the reference is the same model
    with its adapter off.
    """

    def __init__(self, settings: MethodSettings, adapted: Backbone, rows: Sequence[Row], seed: int) -> None:
        super().__init__(settings)
        self.own = PreferenceSettings.of(settings)
        check_pairs(rows, benign=self.own.benign_pairs)
        self._kept_forward = adapted.causal_lm.__dict__.get("forward")
        self._backbone = adapted
        self._trainer = _create_trainer(adapted, self.own.beta, seed)

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> list[dict[str, torch.Tensor]]:
        """The rows' pairs as one batch of trl's collator: chosen above rejected.

        Raises:
            DataError: if none of the rows gives a pair.
        """
        kept = [row for row in rows if self.own.benign_pairs or row.is_harmful]
        if not kept:
            raise DataError(
                "micro-batch",
                expected="rows with preference pairs",
                found="none",
                fix="raise batch.harmful, or set preference.benign_pairs",
            )
        return [self._trainer.data_collator([encode_pair(row) for row in kept])]

    def losses(self, module: Any, batches: Sequence[dict[str, torch.Tensor]]) -> Iterator[torch.Tensor]:
        """trl's loss of each batch."""
        self._sums = {}
        for batch in batches:
            loss = self.compute(module, batch) / len(batches)
            self.count(total=loss, preference=loss)
            yield loss

    def compute(self, module: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The preference loss of one batch, unweighted."""
        device = self._backbone.device
        inputs = {name: value.to(device) for name, value in batch.items()}
        loss = module(inputs, self._trainer.compute_loss)
        self._trainer._metrics["train"].clear()
        return loss

    def close(self) -> None:
        """Take trl's patch off the model."""
        self._backbone.causal_lm.__dict__.pop("forward", None)
        if self._kept_forward is not None:
            self._backbone.causal_lm.forward = self._kept_forward


def encode_pair(row: EncodedRow) -> dict[str, list[int]]:
    """A row as trl's collator takes it: the tokens that every other method reads.

    trl's own tokenisation would add a second start token to rendered strings (main/train_dpo.py@c3565e5), and of
    conversations it lets a response's first characters merge with the template's last token.
    """
    count = row.prompt_length
    return {
        "prompt_ids": list(row.ids[:count]),
        "chosen_ids": list((row.chosen or row.ids)[count:]),
        "rejected_ids": list(row.rejected[count:]),
    }


def _create_trainer(adapted: Backbone, beta: float, seed: int) -> Any:
    """trl's trainer around the adapted model, for its collator and loss; its loop never runs, its data is a dummy."""
    import datasets
    from trl import DPOConfig, DPOTrainer

    datasets.disable_progress_bars()
    dummy = {"prompt": "prompt", "chosen": " yes", "rejected": " no"}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = DPOConfig(
            output_dir=folder,
            beta=beta,
            max_length=None,
            use_cpu=adapted.device.type == "cpu",
            bf16=False,
            gradient_checkpointing=False,  # the loop has switched it on already where it is asked for
            report_to=[],
            disable_tqdm=True,
            seed=seed,
        )
        trainer = DPOTrainer(
            model=adapted.model,
            args=config,
            train_dataset=datasets.Dataset.from_list([dummy]),
            processing_class=adapted.tokenizer,
        )
    # trl copies a ready adapter to serve as reference; a fresh one is its base with the adapter off.
    adapted.model.delete_adapter("ref")
    return trainer

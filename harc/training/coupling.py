"""The HARC objective: coupling to directions on both sides, KL to the base, cross-entropy on refusals.

Directions are read again from the adapted model every `refresh_every` steps, blended, and the layers chosen
anew. (arXiv 2607.00572; microsoft/HARC main/train.py@c3565e5.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.geometry.directions import Directions, blend_directions
from harc.geometry.extraction import extract_directions
from harc.geometry.layers import select_layers
from harc.methods.losses import coupling_cost, slot_cosines
from harc.model.backbones import Backbone
from harc.settings.training import MethodSettings
from harc.training.batches import TokenBatch
from harc.training.context import Context, Sources
from harc.training.diagnostics import describe_refresh
from harc.training.forward import AdapterForward, Outcome
from harc.training.objectives import RefusalObjective, count_tokens

AXES = ("ref", "harm", "ref_resp", "harm_resp")


class HarcObjective(RefusalObjective):
    """Coupling at the chosen slots on top of the token terms.

    Terms whose weight is zero are logged but not trained on, so that a control shows what its geometry does.
    """

    def __init__(
        self, settings: MethodSettings, backbone: Backbone, directions: Directions, sources: Sources
    ) -> None:
        super().__init__(settings)
        self.backbone, self.sources = backbone, sources
        self.base = self.current = directions
        self.k = settings.k_final if settings.k_ramp_step == 0 else settings.k_initial
        select_layers(directions, settings.k_final, sources.settings.layers)  # an error now, not at the ramp
        self.selected: list[int] = []
        self._vectors: dict[str, Tensor] = {}
        self._cosines: list[Tensor] = []
        self._harmful: list[Tensor] = []
        self._logs: dict[str, list[dict[str, Any]]] = {"diagnostics": [], "selected_layers": []}
        self._choose(0)

    def _choose(self, step: int) -> None:
        """Choose layers from the current directions, put their directions on the device, log the choice."""
        self.selected = select_layers(self.current, self.k, self.sources.settings.layers)
        self._place_vectors()
        self._logs["selected_layers"].append({"step": step, "k": self.k, "selected": self.selected})

    def _place_vectors(self) -> None:
        families = self.current.families
        self._vectors = {axis: families[f"v_{axis}"][self.selected].to(self.backbone.device) for axis in AXES}
        self.wanted = replace(
            self.wanted, slots=tuple(self.selected), window=self.sources.settings.response_window
        )

    def begin_step(self, step: int) -> None:
        """Widen the band at the ramp step; refresh the directions every `refresh_every` steps."""
        settings = self.settings
        if step == settings.k_ramp_step and self.k != settings.k_final:
            self.k = settings.k_final
            self._choose(step)
        if settings.refresh_every and step and step % settings.refresh_every == 0:
            self._refresh(step)

    def _refresh(self, step: int) -> None:
        was_training = self.backbone.model.training
        self.backbone.model.eval()
        sources = self.sources
        fresh = extract_directions(
            self.backbone,
            sources.harmful,
            sources.harmless,
            sources.pairs,
            sources.settings,
            resamples=self.settings.refresh_resamples,
            bootstrap_seed=step,
        )
        before = self.current
        if sources.settings.null != "random":  # random directions are drawn once
            anchor = self.base if self.settings.refresh_from == "base" else before
            self.current = blend_directions(anchor, fresh, self.settings.refresh_weight)
            self._choose(step)
        row = describe_refresh(
            self.backbone,
            before,
            fresh,
            self.current,
            self.base,
            self.selected,
            sources.held_out,
            sources.settings,
        )
        self._logs["diagnostics"].append({"step": step, "k": self.k, "selected": self.selected, **row})
        self.backbone.model.train(was_training)

    def losses(self, module: AdapterForward, batches: Sequence[TokenBatch]) -> Iterator[Tensor]:
        """Total loss of each group; coupling is the mean over slots and the micro-batch's samples."""
        self._sums, self._cosines, self._harmful = {}, [], []
        tokens, samples = count_tokens(batches, self.wanted), sum(len(batch.t_post) for batch in batches)
        for batch in batches:
            outcome = module(batch, self.wanted)
            harmful = batch.is_harmful.to(outcome.inst.device, non_blocking=True)
            prompt, response = self._couple(outcome, harmful)
            scale = samples * len(self.selected)
            couple, couple_resp = prompt.sum() / scale, response.sum() / scale
            self.count(couple=couple, couple_resp=couple_resp)
            weights = self.settings.loss
            extra = weights.couple * couple + weights.couple_resp * couple_resp
            self.count(total=extra)
            yield extra + self.add_token_terms(outcome, tokens)

    def _couple(
        self, outcome: Outcome, harmful: Tensor
    ) -> tuple[Float[Tensor, "slots batch"], Float[Tensor, "slots batch"]]:
        """Costs on the prompt side and on the response side."""
        vectors, margin = self._vectors, self.settings.loss.margin
        residuals = {
            "ref": outcome.post,
            "harm": outcome.inst,
            "ref_resp": outcome.resp,
            "harm_resp": outcome.resp,
        }
        cosines = {axis: slot_cosines(residuals[axis], vectors[axis]) for axis in AXES}
        self._cosines.append(torch.stack([cosines[axis].detach() for axis in AXES]))
        self._harmful.append(harmful)
        prompt = coupling_cost(cosines["ref"], cosines["harm"], harmful, margin)
        response = coupling_cost(cosines["ref_resp"], cosines["harm_resp"], harmful, margin)
        return prompt, response

    def facts(self) -> dict[str, Tensor]:
        """Loss terms, their parts by kind of row, and mean cosines (step_loss, main/train.py@c3565e5)."""
        cosines, harmful = torch.cat(self._cosines, dim=-1), torch.cat(self._harmful)
        margin = self.settings.loss.margin
        facts = dict(self._sums)
        for place, side in ((0, "couple"), (2, "couple_resp")):
            cost = coupling_cost(cosines[place], cosines[place + 1], harmful, margin)
            facts[f"{side}_harmful"] = _mean_over(cost, harmful)
            facts[f"{side}_retain"] = _mean_over(cost, ~harmful)
        for axis, values in zip(AXES, cosines, strict=True):
            facts[f"proj_{axis}_harmful"] = _mean_over(values, harmful)
            facts[f"proj_{axis}_retain"] = _mean_over(values, ~harmful)
        return facts

    def describe_step(self) -> dict[str, Any]:
        """Number of slots and which."""
        return {"k": self.k, "selected": self.selected}

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Refreshes (diagnostics) and layer choices (selected_layers)."""
        return self._logs

    def export_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Current directions; k, layers and logs."""
        return dict(self.current.families), {"k": self.k, "selected": self.selected, "logs": self._logs}

    def import_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take up directions, k, layers and logs."""
        self.current = replace(self.base, **tensors)
        self.k, self.selected, self._logs = values["k"], values["selected"], values["logs"]
        self._place_vectors()


def create_objective(context: Context) -> HarcObjective:
    """HARC's objective from directions of the model without the adapter."""
    return HarcObjective(context.settings, context.adapted, context.need_directions(), context.sources)


def _mean_over(values: Float[Tensor, "slots batch"], rows: Tensor) -> Float[Tensor, ""]:
    """Mean over slots and the marked rows; 0 where no row is marked. No synchronisation."""
    return (values * rows).sum() / (rows.sum().clamp_min(1) * len(values))

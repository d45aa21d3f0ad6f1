"""HARC: harmful inputs are held near the directions of harmfulness and refusal, benign ones away from them.

(arXiv 2607.00572; microsoft/HARC@c3565e5, whose files are named below. `harc_released` turns its faults back on.)

Symbols. h_l: the residual that enters block l ("slot" l), float32. t_inst, t_post: the user's last token and the
prompt's last token. h_l(resp): the mean of h_l over the first 32 response tokens. For every slot, from the model with
its adapter off, as differences of means at unit length u(.) (harc.geometry.extraction; main/directions.py):

    v_harm      = u( E[h_l(t_inst) | harmful] - E[h_l(t_inst) | harmless] )
    v_ref       = u( E[h_l(t_post) | harmful] - E[h_l(t_post) | harmless] )
    v_harm_resp = u( E[h_l(resp) | harmful answer] - E[h_l(resp) | helpful answer] )
    v_ref_resp  = u( E[h_l(resp) | refusal] - E[h_l(resp) | helpful answer] )

What is minimised over the adapter, with m the margin, S the chosen slots, D+ the harmful rows of a batch, whose answers
are refusals, and D- its benign rows (harmless and pseudo-harmful):

    L = lambda_couple L_couple + lambda_couple_resp L_couple_resp + lambda_kl L_KL + lambda_ce L_CE
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harc.core.errors import ModelError
from harc.core.lazy import Bool, Float, torch
from harc.geometry.directions import Directions, blend_directions, choose_slots, compare_slots, eligible_band
from harc.settings.methods import Look, Method
from harc.training.batches import Outcome, TokenBatch, Wanted, sum_positions
from harc.training.objective import Context, Objective, Sources

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.settings.directions import LayerSettings
    from harc.settings.training import MethodSettings
    from harc.training.forward import AdapterForward

METHOD = Method(
    "harc",
    70,
    reads=(
        "loss", "loss.couple", "loss.couple_resp", "loss.margin", "kl_first_token", "directions", "k_initial",
        "k_final", "k_ramp_step", "refresh_every", "refresh_weight", "refresh_resamples", "refresh_from",
    ),
)  # fmt: skip
DIRECTED = True
PRESETS = {"harc": dict[str, Any]()}  # the defaults
LOOKS = {"harc": Look("HARC", 70, ("#D55E00", "D", "-"))}
AXES = ("ref", "harm", "ref_resp", "harm_resp")


def create_objective(context: Context) -> HarcObjective:
    """HARC's objective from directions of the model without the adapter."""
    return HarcObjective(context.settings, context.adapted, context.need_directions(), context.sources)


# Which slots: S
def score_layers(directions: Directions, settings: LayerSettings) -> Float[torch.Tensor, " slots"]:
    """s(l) of every slot; minus infinity outside the eligible band (main/layers.py).

    s(l) = (1 - |cos(v_ref, v_harm)|) (1 - |cos(v_ref_resp, v_harm_resp)|)
           |cos(v_harm, v_harm_resp)| |cos(v_ref, v_ref_resp)|

    Departure: none from the code; HYPERPARAMS.md@c3565e5 gives another formula, which the code does not use.

    Raises:
        ModelError: if the directions have no response side.
    """
    if directions.v_ref_resp is None or directions.v_harm_resp is None:
        raise ModelError(
            "layer selection",
            expected="response-side directions (v_ref_resp, v_harm_resp)",
            found="none",
            fix="extract the directions with --pairs",
        )
    v_harm, v_ref, v_harm_resp, v_ref_resp = directions.families.values()
    s = (1 - compare_slots(v_ref, v_harm)) * (1 - compare_slots(v_ref_resp, v_harm_resp))
    s = s * compare_slots(v_harm, v_harm_resp) * compare_slots(v_ref, v_ref_resp)
    low, high = eligible_band(len(s) - 1, settings)
    s[:low] = s[high + 1 :] = -torch.inf
    return s


def select_layers(directions: Directions, k: int, settings: LayerSettings) -> list[int]:
    """S: the k eligible slots with the highest s(l), ascending; equal scores fall to the earlier slot.

    Raises:
        ConfigError: if k is larger than the band, or a fixed slot lies outside it.
    """
    return choose_slots(directions.n_slots - 1, k, settings, lambda: score_layers(directions, settings))


def describe_choice(directions: Directions, k: int, settings: LayerSettings) -> dict[str, Any]:
    """The content of layers.json: scores (null outside the band), eligible band, chosen slots, k."""
    scores = score_layers(directions, settings).tolist()
    return {
        "scores": [score if math.isfinite(score) else None for score in scores],
        "eligible": list(eligible_band(directions.n_slots - 1, settings)),
        "selected": select_layers(directions, k, settings),
        "k": k,
    }


# What is minimised: L_couple, L_couple_resp, L_KL, L_CE
def slot_cosines(
    h: Float[torch.Tensor, "slots batch hidden"], v: Float[torch.Tensor, "slots hidden"]
) -> Float[torch.Tensor, "slots batch"]:
    """cos(h_l, v_l) of each residual with its slot's direction, which is held fixed; float32."""
    return torch.nn.functional.cosine_similarity(h.float(), v.detach()[:, None], dim=-1)


def coupling_cost(
    refusal: Float[torch.Tensor, "slots batch"],
    harmfulness: Float[torch.Tensor, "slots batch"],
    is_harmful: Bool[torch.Tensor, " batch"],
    m: float,
) -> Float[torch.Tensor, "slots batch"]:
    """Two hinges a sample: harmful rows are pushed above the margin, benign rows below zero.

    With a, b the cosines on the directions of refusal and of harmfulness:

        [m - a]+ + [m - b]+    on D+
        [a]+ + [b]+            on D-

    L_couple is the mean over S and the batch with a = cos(h_l(t_post), v_ref), b = cos(h_l(t_inst), v_harm);
    L_couple_resp with a = cos(h_l(resp), v_ref_resp), b = cos(h_l(resp), v_harm_resp). (coupling_loss, main/losses.py)
    """
    harmful = torch.relu(m - refusal) + torch.relu(m - harmfulness)
    benign = torch.relu(refusal) + torch.relu(harmfulness)
    return torch.where(is_harmful, harmful, benign)


class TokenTerms(Objective):
    """The terms that read tokens: all of L but the coupling.

    L_KL: mean over the response tokens of D- of KL(p_base || p_adapted), the distribution at t_post, which chooses the
        first of them, included (the release misses it: `kl_first_token`). (kl_retain_loss, main/losses.py)
    L_CE: mean cross-entropy over the response tokens of D+, the end token included.
    Ours: the same over D-, at weight `benign_ce`.
    """

    def __init__(self, settings: MethodSettings) -> None:
        super().__init__(settings)
        weights = settings.loss
        self.wanted = Wanted(
            kl=settings.kl_first_token if weights.kl else None,
            refusal_ce=weights.ce > 0,
            benign_ce=weights.benign_ce > 0,
        )

    def losses(self, module: AdapterForward, batches: Sequence[TokenBatch]) -> Iterator[torch.Tensor]:
        """Total loss of each group; every mean is over the whole micro-batch."""
        self._sums = {}
        for batch in batches:
            yield self.add_token_terms(module(batch, self.wanted), batches)

    def add_token_terms(self, outcome: Outcome, batches: Sequence[TokenBatch]) -> torch.Tensor:
        """lambda_kl L_KL + lambda_ce L_CE, one group's share of them."""
        weights = self.settings.loss
        n_refusal = max(1, sum_positions(batches, "refusal_positions"))
        n_benign = max(1, sum_positions(batches, "benign_positions"))
        kl, ce = outcome.kl / n_benign, outcome.refusal_ce / n_refusal
        benign_ce = outcome.benign_ce / n_benign
        total = weights.kl * kl + weights.ce * ce + weights.benign_ce * benign_ce
        self.count(total=total, kl=kl, ce=ce, benign_ce=benign_ce)
        return total


class HarcObjective(TokenTerms):
    """L, with directions that are read again every `refresh_every` steps, and slots that are chosen anew from them.

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
        self._cosines: list[torch.Tensor] = []
        self._harmful: list[torch.Tensor] = []
        self._logs: dict[str, list[dict[str, Any]]] = {"diagnostics": [], "selected_layers": []}
        self._choose(0)

    def _choose(self, step: int) -> None:
        """Choose S from the current directions, and log the choice."""
        self.selected = select_layers(self.current, self.k, self.sources.settings.layers)
        self._place_vectors()
        self._logs["selected_layers"].append({"step": step, "k": self.k, "selected": self.selected})

    def _place_vectors(self) -> None:
        """Put the directions of S on the device, and ask the forward pass for its residuals."""
        families, window = self.current.families, self.sources.settings.response_window
        self._v = {axis: families[f"v_{axis}"][self.selected].to(self.backbone.device) for axis in AXES}
        self.wanted = replace(self.wanted, slots=tuple(self.selected), window=window)

    def begin_step(self, step: int) -> None:
        """Widen S at the ramp step; refresh the directions every `refresh_every` steps."""
        settings = self.settings
        if step == settings.k_ramp_step and self.k != settings.k_final:
            self.k = settings.k_final
            self._choose(step)
        if settings.refresh_every and step and step % settings.refresh_every == 0:
            self._refresh(step)

    def _refresh(self, step: int) -> None:
        """v <- u( (1 - beta) v + beta v_fresh ), v_fresh being read from the adapted model; then S is chosen anew.

        The release blends with the base model's v at every refresh (recompute_directions, main/train.py), so that no
        blend leaves a cone of asin(3/7) = 25.4 degrees around it: `refresh_from`.
        """
        from harc.geometry.extraction import extract_directions
        from harc.geometry.projections import describe_refresh

        was_training = self.backbone.model.training
        self.backbone.model.eval()
        settings, sources, before = self.settings, self.sources, self.current
        fresh = extract_directions(
            self.backbone, sources.harmful, sources.harmless, sources.pairs, sources.settings,
            resamples=settings.refresh_resamples, bootstrap_seed=step,
        )  # fmt: skip
        if sources.settings.null != "random":  # random directions are drawn once
            anchor = self.base if settings.refresh_from == "base" else before
            self.current = blend_directions(anchor, fresh, settings.refresh_weight)
            self._choose(step)
        row = describe_refresh(
            self.backbone, before, fresh, self.current, self.base, self.selected, sources.held_out, sources.settings
        )  # fmt: skip
        self._logs["diagnostics"].append({"step": step, "k": self.k, "selected": self.selected, **row})
        self.backbone.model.train(was_training)

    def losses(self, module: AdapterForward, batches: Sequence[TokenBatch]) -> Iterator[torch.Tensor]:
        """L of each group; every mean is over the whole micro-batch."""
        self._sums, self._cosines, self._harmful = {}, [], []
        weights = self.settings.loss
        n = sum(len(batch.t_post) for batch in batches) * len(self.selected)
        for batch in batches:
            outcome = module(batch, self.wanted)
            prompt, response = self._couple(outcome, batch)
            couple, couple_resp = prompt.sum() / n, response.sum() / n
            coupling = weights.couple * couple + weights.couple_resp * couple_resp
            self.count(couple=couple, couple_resp=couple_resp, total=coupling)
            yield coupling + self.add_token_terms(outcome, batches)

    def _couple(
        self, outcome: Outcome, batch: TokenBatch
    ) -> tuple[Float[torch.Tensor, "slots batch"], Float[torch.Tensor, "slots batch"]]:
        """Costs on the prompt side and on the response side."""
        h = {"ref": outcome.post, "harm": outcome.inst, "ref_resp": outcome.resp, "harm_resp": outcome.resp}
        cosines = [slot_cosines(h[axis], self._v[axis]) for axis in AXES]
        harmful, m = batch.is_harmful.to(outcome.inst.device, non_blocking=True), self.settings.loss.margin
        self._cosines.append(torch.stack([cosine.detach() for cosine in cosines]))
        self._harmful.append(harmful)
        ref, harm, ref_resp, harm_resp = cosines
        return coupling_cost(ref, harm, harmful, m), coupling_cost(ref_resp, harm_resp, harmful, m)

    def facts(self) -> dict[str, torch.Tensor]:
        """Loss terms, their parts on D+ and D-, and mean cosines (step_loss, main/train.py)."""
        cosines, harmful = torch.cat(self._cosines, dim=-1), torch.cat(self._harmful)
        values = {f"proj_{axis}": cosine for axis, cosine in zip(AXES, cosines, strict=True)}
        for side, (a, b) in (("couple", cosines[:2]), ("couple_resp", cosines[2:])):
            values[side] = coupling_cost(a, b, harmful, self.settings.loss.margin)
        facts = dict(self._sums)
        for name, value in values.items():
            facts[f"{name}_harmful"] = _mean_over(value, harmful)
            facts[f"{name}_retain"] = _mean_over(value, ~harmful)
        return facts

    def describe_step(self) -> dict[str, Any]:
        """Number of slots and which."""
        return {"k": self.k, "selected": self.selected}

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Refreshes (diagnostics) and choices of slots (selected_layers)."""
        return self._logs

    def export_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Current directions; k, S and logs."""
        return dict(self.current.families), {"k": self.k, "selected": self.selected, "logs": self._logs}

    def import_state(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        """Take up directions, k, S and logs."""
        self.current = replace(self.base, **tensors)
        self.k, self.selected, self._logs = values["k"], values["selected"], values["logs"]
        self._place_vectors()


def _mean_over(
    values: Float[torch.Tensor, "slots batch"], rows: Bool[torch.Tensor, " batch"]
) -> Float[torch.Tensor, ""]:
    """Mean over slots and the marked rows; 0 where no row is marked. No synchronisation."""
    return (values * rows).sum() / (rows.sum().clamp_min(1) * len(values))

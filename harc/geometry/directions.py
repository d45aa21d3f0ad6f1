"""The four direction families, their blend, their null controls, and their file.

v_harm, v_ref: unit difference of mean residuals, harmful minus harmless prompts, at t_inst and at t_post.
v_harm_resp, v_ref_resp: unit difference of mean pooled response residuals, harmful answers (refusals) minus
helpful answers. (arXiv 2607.00572; microsoft/HARC main/directions.py@c3565e5.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import write_bytes
from harc.core.lazy import Float, torch
from harc.core.untrusted import parse_json

if TYPE_CHECKING:
    from harc.settings.directions import LayerSettings


FAMILIES = ("v_harm", "v_ref", "v_harm_resp", "v_ref_resp")
EPSILON = 1e-8  # length below which a difference counts as none (main/directions.py@c3565e5)


@dataclass(frozen=True)
class Directions:
    """Unit directions per slot, float32 on the CPU.

    A row is zero where there is nothing to point to: v_ref at slot 0 (the same token embedding for every
    prompt) and the response side at slot n_layers (not read, as in the release).

    Attributes:
        v_harm, v_ref: prompt side.
        v_harm_resp, v_ref_resp: response side; None when extracted without pairs.
        norms: length of each family's difference before normalising, by family.
        counts: number of samples behind each mean, by group.
        bootstrap: mean, lo and hi (2.5 % and 97.5 %) of cos(v_ref, v_harm) over resampled prompts.
        bootstrap_pairs: the same of `harc.settings.directions.COSINES` with the response side, as `harm.lo`.
        settings: the direction settings they were read with.
    """

    v_harm: Float[torch.Tensor, "slots hidden"]
    v_ref: Float[torch.Tensor, "slots hidden"]
    v_harm_resp: Float[torch.Tensor, "slots hidden"] | None = None
    v_ref_resp: Float[torch.Tensor, "slots hidden"] | None = None
    norms: Mapping[str, Float[torch.Tensor, " slots"]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    bootstrap: Mapping[str, Float[torch.Tensor, " slots"]] = field(default_factory=dict)
    bootstrap_pairs: Mapping[str, Float[torch.Tensor, " slots"]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_slots(self) -> int:
        """Number of slots, n_layers + 1."""
        return self.v_harm.shape[0]

    @property
    def families(self) -> dict[str, Float[torch.Tensor, "slots hidden"]]:
        """The families that are there, by name."""
        return {name: value for name in FAMILIES if (value := getattr(self, name)) is not None}


def normalize_rows(raw: Float[torch.Tensor, "slots hidden"]) -> Float[torch.Tensor, "slots hidden"]:
    """Rows at unit length; a row far below EPSILON goes to zero, not to a direction of noise."""
    return raw / (raw.norm(dim=-1, keepdim=True) + EPSILON)


def blend_directions(anchor: Directions, fresh: Directions, weight: float) -> Directions:
    """u((1 - weight) * anchor + weight * fresh) in every family (recompute_directions,
    main/train.py@c3565e5).

    With the base model's directions as anchor and weight 0.3, no blend leaves a cone of asin(3/7) = 25.4
    degrees around them.
    """
    fresh_families = fresh.families
    mixed = {
        name: torch.nn.functional.normalize((1 - weight) * value + weight * fresh_families[name], dim=-1)
        for name, value in anchor.families.items()
    }
    drawn = {"bootstrap": fresh.bootstrap, "bootstrap_pairs": fresh.bootstrap_pairs}
    return replace(anchor, **mixed, **drawn, counts=fresh.counts)


def randomize_directions(directions: Directions, seed: int) -> Directions:
    """Random unit rows where rows are not zero: the control for 'any direction would do'."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name, value in directions.families.items():
        noise = torch.randn(value.shape, generator=generator)
        drawn[name] = normalize_rows(noise) * (value.norm(dim=-1, keepdim=True) > 0.5)
    return replace(directions, **drawn, bootstrap={}, bootstrap_pairs={})


def compare_directions(a: Directions, b: Directions) -> dict[str, Float[torch.Tensor, " slots"]]:
    """Cosine between two sets of directions per slot, by family."""
    others = b.families
    return {name: (value * others[name]).sum(-1) for name, value in a.families.items() if name in others}


def save_directions(directions: Directions, path: Path | str) -> None:
    """Write directions as safetensors, atomically; equal directions give equal bytes."""
    from safetensors.torch import save

    tensors = dict(directions.families)
    tensors |= {f"norm_{name}": value for name, value in directions.norms.items()}
    tensors |= {f"count_{name}": torch.tensor(value) for name, value in directions.counts.items()}
    tensors |= {f"bootstrap_cos.{name}": value for name, value in directions.bootstrap.items()}
    tensors |= {f"bootstrap_cos_{name}": value for name, value in directions.bootstrap_pairs.items()}
    # One metadata key only: the library writes several in an order that changes from run to run.
    metadata = {"harc": json.dumps(dict(directions.settings), sort_keys=True)}
    write_bytes(path, save({name: tensors[name].contiguous() for name in sorted(tensors)}, metadata=metadata))


def load_directions(path: Path | str) -> Directions:
    """Read a directions file.

    Raises:
        ArtifactError: if it is missing, not safetensors, or lacks the prompt-side families.
    """
    from harc.model.tensors import read_metadata, read_tensors

    fix = "run `harc directions extract`"
    tensors = read_tensors(path, expected="a directions file", fix=fix)
    metadata = read_metadata(path)
    if not {"v_harm", "v_ref"} <= tensors.keys():
        raise ArtifactError(
            str(path),
            expected="the tensors v_harm and v_ref",
            found=", ".join(sorted(tensors)) or "none",
            fix=fix,
        )
    shapes = {tuple(tensors[name].shape) for name in FAMILIES if name in tensors}
    if len(shapes) > 1 or len(*shapes) != 2:
        raise ArtifactError(
            str(path), expected="families of one shape (slots, hidden)", found=str(sorted(shapes)), fix=fix
        )
    return Directions(
        **{name: tensors[name] for name in FAMILIES if name in tensors},
        norms=_strip(tensors, "norm_"),
        counts={name: int(value) for name, value in _strip(tensors, "count_").items()},
        bootstrap=_strip(tensors, "bootstrap_cos."),
        bootstrap_pairs=_strip(tensors, "bootstrap_cos_"),
        settings=_read_settings(metadata.get("harc", "{}"), path, fix),
    )


def _read_settings(text: str, path: Path | str, fix: str) -> dict[str, Any]:
    try:
        return dict(parse_json(text))
    except (TypeError, ValueError) as problem:
        raise ArtifactError(
            str(path), expected="the settings that it was read with", found=str(problem), fix=fix
        ) from None


def _strip(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def eligible_band(n_layers: int, settings: LayerSettings) -> tuple[int, int]:
    """First and last slot that may be trained on.

    The release leaves out 4 slots at each end, which is 4..n-4 whatever the depth; `edge_fraction` scales the
    edge.

    Raises:
        ConfigError: if nothing is left.
    """
    edge = settings.edge_slots
    if settings.edge_fraction is not None:
        edge = math.ceil(settings.edge_fraction * n_layers)
    if edge > n_layers - edge:
        raise ConfigError(
            "layers.edge_slots",
            expected=f"at least one eligible slot in a model of {n_layers} blocks",
            found=f"{edge} slots left out at each end",
            fix="set layers.edge_fraction (0.125 is the release's share at 32 blocks)",
        )
    return edge, n_layers - edge


def choose_slots(
    n_layers: int, k: int, settings: LayerSettings, score: Callable[[], Float[torch.Tensor, " slots"]]
) -> list[int]:
    """The k slots to train on, ascending; equal scores fall to the earlier slot.

    Args:
        n_layers: blocks of the model.
        k: how many.
        settings: the rule, and the band that it chooses from.
        score: gives the score of every slot; called by the rule `score` alone.

    Raises:
        ConfigError: if k is larger than the band, or a fixed slot lies outside it.
    """
    low, high = eligible_band(n_layers, settings)
    if settings.fixed is not None:
        return _check_fixed(settings.fixed, low, high)
    if k > high - low + 1:
        raise ConfigError(
            "k_final" if k > 1 else "k_initial",
            expected=f"at most the {high - low + 1} eligible slots {low}..{high}",
            found=str(k),
            fix="lower k, or widen the band with layers.edge_slots or layers.edge_fraction",
        )
    if settings.rule == "last":
        return list(range(high - k + 1, high + 1))
    scores = score().tolist()
    return sorted(sorted(range(low, high + 1), key=lambda slot: (-scores[slot], slot))[:k])


def _check_fixed(fixed: tuple[int, ...], low: int, high: int) -> list[int]:
    outside = [slot for slot in fixed if not low <= slot <= high]
    if outside or not fixed or len(set(fixed)) != len(fixed):
        raise ConfigError(
            "layers.fixed",
            expected=f"distinct slots within the eligible band {low}..{high}",
            found=", ".join(map(str, fixed)) or "none",
            fix="choose slots of the band, or widen it with layers.edge_slots",
        )
    return sorted(fixed)


def compare_slots(
    a: Float[torch.Tensor, "slots hidden"], b: Float[torch.Tensor, "slots hidden"]
) -> Float[torch.Tensor, " slots"]:
    """|cos(a, b)| per slot."""
    return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-8)).abs()

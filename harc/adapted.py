"""A model with a method's folder on it: a LoRA adapter, or a fitted steering."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.backbones import Backbone, check_base, load_backbone
from harc.steering.hooks import SteeringHooks
from harc.steering.vectors import RULE, load_steering


def load_adapted(source: str | Path, folder: str | Path | None, **options: Any) -> Backbone:
    """Load a chat model with what a method made of it.

    Args:
        source: folder or hub id of the model.
        folder: adapter or steering folder; None leaves the model as it is.
        options: of load_backbone.

    Raises:
        ModelError, ArtifactError: for a model or folder that cannot be used, or that do not belong together.
    """
    if folder is None or not (Path(folder) / RULE).is_file():
        return load_backbone(source, adapter=folder, **options)
    backbone = load_backbone(source, **options)
    check_base(backbone.causal_lm, Path(folder))
    SteeringHooks(backbone, load_steering(Path(folder)))
    return backbone


def fold_adapter(backbone: Backbone) -> Backbone:
    """The same model with its LoRA adapter, if it has one, folded into the weights: faster, equal up to rounding."""
    if not hasattr(backbone.model, "merge_and_unload"):
        return backbone
    return replace(backbone, model=backbone.model.merge_and_unload())

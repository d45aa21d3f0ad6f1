"""A model with a method's folder on it: a LoRA adapter, or a fitted steering."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.errors import ModelError
from harc.model.backbones import Backbone, load_backbone
from harc.model.identity import check_base
from harc.model.steering import RULE, SteeringHooks, load_steering


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
    steering = load_steering(Path(folder))
    widths = {len(vector) for vector in (steering.vector, *steering.additions.values())}
    if widths != {backbone.hidden_size}:
        raise ModelError(
            str(folder),
            expected=f"vectors of {backbone.hidden_size} numbers, as wide as the model",
            found=", ".join(map(str, sorted(widths))),
            fix="fit the steering on this model",
        )
    SteeringHooks(backbone, steering)
    if any(vector.count_nonzero() for vector in steering.additions.values()):
        return backbone
    remark = f"{folder}: this steering adds nothing: every answer is the base model's"
    return replace(backbone, remarks=(*backbone.remarks, remark))

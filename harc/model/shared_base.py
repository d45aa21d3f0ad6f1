"""One loaded model under several adapters, one after the other: the base is read once, and never changed."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harc.core.errors import ModelError
from harc.model.adapters import CONFIG, OTHER_WEIGHTS, TENSORS, list_remarks, load_adapter, merge_weights
from harc.model.backbones import Backbone
from harc.model.handle import ModelHandle, describe_base
from harc.model.steering import RULE
from harc.model.tensors import list_entries, read_object

PLAIN_STARTS = (True, False, None, "gaussian")
"""Values of init_lora_weights that leave the base alone; the others (PiSSA, OLoRA, ...) rewrite it on loading."""
ODD = ("modules_to_save", "trainable_token_indices", "target_parameters", "use_dora", "loftq_config")
"""Settings of adapters that change more than linear layers."""


class SharedBase:
    """A base model that lends its weights to models with an adapter or a steering.

    A lent model is a structure of its own around the same tensors; weights that an adapter is folded into are copied
    first. So it answers as one that was loaded by itself, and costs the memory of the weights that its adapter changes.
    """

    def __init__(self, handle: ModelHandle) -> None:
        """Load the base of a handle.

        Raises:
            ModelError: for a model that cannot be loaded.
        """
        self.handle = replace(handle, method=None)
        self.backbone = self.handle.open()
        self._described = describe_base(self.backbone.model)

    def open(self, handle: ModelHandle) -> Backbone:
        """What `handle.open(fold=True)` gives.

        Args:
            handle: of this base, as it is or with a method that `can_share`.

        Raises:
            ModelError: for an adapter that cannot be used, or one that changed the base.
        """
        if replace(handle, method=None) != self.handle:
            raise ValueError("a handle of another base")
        if handle.method is None:
            return self._lend()
        folder = Path(handle.method)
        adapted = load_adapter(self._lend().model, folder)
        remarks = tuple(list_remarks(adapted, folder))
        adapted.eval()
        if handle.dtype == "float32":
            _own_targets(adapted)
            adapted = merge_weights(adapted, handle.name or str(handle.weights))
        if describe_base(self.backbone.model) != self._described:
            raise ModelError(
                str(folder),
                expected="an adapter that leaves its base as it is",
                found="one that changed it",
                fix="evaluate it in a call of its own",
            )
        return replace(self._lend(), model=adapted, remarks=remarks)

    def _lend(self) -> Backbone:
        """The base as a structure of its own around the same tensors."""
        model = self.backbone.model
        shared = {id(part): part for part in (*model.parameters(), *model.buffers())}
        return replace(self.backbone, model=copy.deepcopy(model, shared))


def can_share(handle: ModelHandle) -> bool:
    """Whether a model can be had from a shared base: as it is, or with a plain LoRA adapter, on one device.

    Others change weights of the base itself when they are loaded, hang on its modules, or are added to weights in
    another precision than the base's.
    """
    if handle.device == "auto" or handle.method is None:
        return handle.device != "auto"
    if handle.dtype != "float32" and handle.can_fold_exactly():
        return False
    folder = Path(handle.method)
    if (folder / RULE).is_file() or not (folder / TENSORS).is_file():
        return False
    config = read_object(folder / CONFIG)
    if config.get("bias") not in (None, "none") or config.get("init_lora_weights") not in PLAIN_STARTS:
        return False
    tensors = list_entries(folder / TENSORS)
    return not any(map(config.get, ODD)) and not any(
        part in name for name in tensors for part in OTHER_WEIGHTS
    )


def _own_targets(adapted: Any) -> None:
    """Give every layer with an update weights of its own, into which it may be folded."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for part in adapted.modules():
        if isinstance(part, BaseTunerLayer):
            layer = part.get_base_layer()
            layer.weight = torch.nn.Parameter(layer.weight.detach().clone(), requires_grad=False)

"""Loading a chat model of any decoder family, and reaching its blocks without names of any family."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, EnvironmentProblem, ModelError
from harc.model.adapters import list_remarks, load_adapter
from harc.model.chat import ChatFormat
from harc.model.load import load_causal_lm
from harc.settings.backbones import DEFAULT_DATE

DEVICE = re.compile(r"cpu|auto|cuda(?::(\d+))?")


def check_device(device: str) -> None:
    """Refuse a device before a model is loaded for it.

    Raises:
        ConfigError: for a name that is none.
        EnvironmentProblem: for a GPU that this machine does not have.
    """
    match = DEVICE.fullmatch(device)
    if match is None:
        raise ConfigError(
            "device", expected="cpu, cuda, cuda:1 or auto", found=device, fix="choose one of them"
        )
    if not device.startswith("cuda"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        raise EnvironmentProblem(
            f"device {device}",
            expected="a GPU that torch can use",
            found=f"{count} of them",
            fix="choose cpu, or another",
        )


@dataclass(frozen=True)
class Backbone:
    """A causal language model with its tokenizer.

    Slot L (L < n_layers) is the residual stream entering block L; slot n_layers is the stream leaving the
    last block, before the final norm.

    Attributes:
        model: a transformers causal language model, or a PEFT model around one.
        tokenizer: its tokenizer.
        chat: its chat format.
        source: where it came from (folder or hub id).
        revision: hub revision, where there is one.
        remarks: what whoever reads its answers should know of how it was made.
    """

    model: Any
    tokenizer: Any
    chat: ChatFormat
    source: str = ""
    revision: str | None = None
    remarks: tuple[str, ...] = ()

    @cached_property
    def causal_lm(self) -> Any:
        """The transformers model with the language-model head, without a PEFT wrapper."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @cached_property
    def body(self) -> Any:
        """The part of the model without the language-model head."""
        body = self.causal_lm.base_model
        if body is self.causal_lm:
            raise ModelError(
                self.source or "model",
                expected="a causal language model with a head",
                found=type(self.causal_lm).__name__,
                fix="load it as AutoModelForCausalLM",
            )
        return body

    @cached_property
    def blocks(self) -> list[Any]:
        """Decoder blocks in order."""
        return list(self._block_list[1])

    @cached_property
    def final_norm(self) -> Any:
        """The norm before the head: the block list's sibling whose weights are all as wide as the stream."""
        owner, blocks = self._block_list
        norms = [child for child in owner.children() if child is not blocks and self._is_norm(child)]
        if not norms:
            raise ModelError(
                self.source or "model",
                expected="a final norm beside the decoder blocks",
                found="none",
                fix="this architecture is not supported",
            )
        return norms[-1]

    def _is_norm(self, module: Any) -> bool:
        shapes = [tuple(parameter.shape) for parameter in module.parameters()]
        return bool(shapes) and all(shape == (self.hidden_size,) for shape in shapes)

    @cached_property
    def _block_list(self) -> tuple[Any, Any]:
        """(owner, module list): the outermost module list of the language part that is as long as it is deep.

        A vision part may be just as deep.
        """
        from torch.nn import ModuleList

        for owner in (self.causal_lm.get_decoder() or self.body).modules():
            for child in owner.children():
                if isinstance(child, ModuleList) and len(child) == self.text_config.num_hidden_layers:
                    return owner, child
        raise ModelError(
            self.source or "model",
            expected=f"a list of {self.text_config.num_hidden_layers} decoder blocks",
            found="none",
            fix="this architecture is not supported",
        )

    def apply_head(self, final: Any) -> Any:
        """Logits of final hidden states, shape (rows, hidden) to (rows, vocabulary).

        The model's own code does it, with its body stepped over, so that whatever a family does to its logits
        (soft-capping, scaling) is done.
        """
        from transformers.modeling_outputs import BaseModelOutputWithPast

        class FinalStates(BaseModelOutputWithPast):
            def __getattr__(self, name: str) -> None:
                """Whatever else a family's body gives (states of images) is not there."""

        body = self.body
        kept = body.__dict__.get("forward")  # accelerate keeps its hooks there
        body.forward = lambda *args, **kwargs: FinalStates(last_hidden_state=final[None])
        try:
            return self.causal_lm(inputs_embeds=final[None], use_cache=False).logits[0]
        finally:
            del body.forward
            if kept is not None:
                body.forward = kept

    @property
    def text_config(self) -> Any:
        """The configuration of the language part (the whole of it for text-only models)."""
        return self.causal_lm.config.get_text_config()

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return self.text_config.num_hidden_layers

    @property
    def n_slots(self) -> int:
        """Number of residual-stream slots, n_layers + 1."""
        return self.n_layers + 1

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.text_config.hidden_size

    @property
    def device(self) -> Any:
        """Device of the first parameter."""
        return next(self.model.parameters()).device


def load_backbone(
    source: str | Path,
    *,
    adapter: str | Path | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    revision: str | None = None,
    system: str | None = None,
    template_options: Mapping[str, Any] | None = None,
    date: str = DEFAULT_DATE,
) -> Backbone:
    """Load a chat model with its tokenizer; never runs code that comes with a model.

    Args:
        source: a local folder (safetensors, or one GGUF file, which is dequantised) or a hub id.
        adapter: folder of a LoRA adapter to put on top, kept apart from the weights.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda", "cuda:1", or "auto" to spread the model over all GPUs.
        revision: commit of a hub model.
        system: system turn for every conversation that has none; None leaves it to the template.
        template_options, date: what the chat template is told; see ChatFormat.

    Raises:
        ModelError: if the model, its tokenizer or the adapter cannot be loaded or is not whole and finite, or if
            the adapter was trained on another model.
    """
    check_device(device)
    model, tokenizer = load_causal_lm(str(source), dtype, device, revision)
    if tokenizer.chat_template is None:
        raise ModelError(
            str(source),
            expected="a chat template",
            found="none",
            fix="use a chat model, or add chat_template.jinja",
        )
    model.requires_grad_(False)
    remarks: tuple[str, ...] = ()
    if adapter is not None:
        model = load_adapter(model, Path(adapter))
        remarks = tuple(list_remarks(model, Path(adapter)))
    model.eval()
    chat = ChatFormat(tokenizer, system=system, template_options=template_options or {}, date=date)
    return Backbone(model, tokenizer, chat, str(source), revision, remarks)

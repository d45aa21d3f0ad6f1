"""Loading a chat model of any decoder family, and reaching its blocks without names of any family."""

import hashlib
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harc.chat import ChatFormat
from harc.errors import ModelError
from harc.files import read_json

GENERIC_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Tokenizer classes that take tokenizer.json as it is."""

BASE_RECORD = "base_model.json"  # beside our adapters: what their base model was


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
    """

    model: Any
    tokenizer: Any
    chat: ChatFormat
    source: str = ""
    revision: str | None = None

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
        """(owner, module list): the outermost module list as long as the model is deep."""
        from torch.nn import ModuleList

        for owner in self.body.modules():
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

        body = self.body
        kept = body.__dict__.get("forward")  # accelerate keeps its hooks there
        body.forward = lambda *args, **kwargs: BaseModelOutputWithPast(last_hidden_state=final[None])
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
) -> Backbone:
    """Load a chat model with its tokenizer; never runs code that comes with a model.

    Args:
        source: a local folder (safetensors, or one GGUF file, which is dequantised) or a hub id.
        adapter: folder of a LoRA adapter to put on top, kept apart from the weights.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda", "cuda:1", or "auto" to spread the model over all GPUs.
        revision: commit of a hub model.
        system: system turn for every conversation that has none; None leaves it to the template.

    Raises:
        ModelError: if the model, its tokenizer or the adapter cannot be loaded, or if the adapter was trained
            on a model of another shape.
    """
    model, tokenizer = load_causal_lm(str(source), dtype, device, revision)
    if tokenizer.chat_template is None:
        raise ModelError(
            str(source),
            expected="a chat template",
            found="none",
            fix="use a chat model, or add chat_template.jinja",
        )
    model.requires_grad_(False)
    if adapter is not None:
        model = _load_adapter(model, Path(adapter))
    model.eval()
    return Backbone(model, tokenizer, ChatFormat(tokenizer, system=system), str(source), revision)


def load_causal_lm(source: str, dtype: str, device: str, revision: str | None = None) -> tuple[Any, Any]:
    """A causal language model, chat model or not, and its tokenizer; arguments as for `load_backbone`.

    Raises:
        ModelError: if one of the two cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    torch_dtype = getattr(torch, dtype, None)
    if torch_dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise ModelError(
            "dtype", expected="float32, bfloat16 or float16", found=dtype, fix="choose one of them"
        )
    logging.disable_progress_bar()
    options = _gguf_options(source) if Path(source).is_dir() else {"revision": revision}
    names = {key: value for key, value in options.items() if key in ("gguf_file", "revision")}
    placement = {"device_map": "auto"} if device == "auto" else {}
    try:
        tokenizer = _load_tokenizer(source, names)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch_dtype, trust_remote_code=False, **options, **placement
        )
    except (OSError, ValueError) as problem:
        raise ModelError(
            source,
            expected="a causal language model with its tokenizer",
            found=str(problem).splitlines()[0] if str(problem) else type(problem).__name__,
            fix="check the folder or hub id, the network and the access token",
        ) from problem
    return (model if device == "auto" else model.to(device)), tokenizer


def _load_tokenizer(source: str, names: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    declared = Path(source) / "tokenizer_config.json"
    if declared.is_file() and read_json(declared).get("tokenizer_class") in GENERIC_TOKENIZERS:
        # AutoTokenizer goes by the model's type instead: for qwen2 it would put Qwen's byte-level splitting in
        # place of what tokenizer.json says (transformers 5.23), without a warning.
        return PreTrainedTokenizerFast.from_pretrained(source, **names)
    return AutoTokenizer.from_pretrained(source, trust_remote_code=False, **names)


def _gguf_options(folder: str) -> dict[str, Any]:
    files = sorted(Path(folder).glob("*.gguf"))
    if not files or any(Path(folder).glob("*.safetensors")):
        return {}
    if len(files) > 1:
        raise ModelError(
            folder,
            expected="one GGUF file",
            found=", ".join(file.name for file in files),
            fix="keep one of them",
        )
    from transformers import GgufConfig

    return {"gguf_file": files[0].name, "quantization_config": GgufConfig(dequantize=True)}


def _load_adapter(model: Any, folder: Path) -> Any:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    if not (folder / "adapter_config.json").is_file():
        raise ModelError(
            str(folder),
            expected="adapter_config.json",
            found="none",
            fix="give the folder of a trained adapter",
        )
    check_base(model, folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing keys are an error below
            adapted = PeftModel.from_pretrained(model, str(folder))
    except (RuntimeError, ValueError, KeyError) as problem:
        raise _refuse_adapter(folder, model, str(problem).splitlines()[0]) from problem
    with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as handle:
        odd = set(handle.keys()) ^ set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if odd:
        raise _refuse_adapter(folder, model, f"{len(odd)} layers that only one of the two has")
    return adapted


def merge_adapter(backbone: Backbone, folder: str | Path) -> Backbone:
    """The backbone with an adapter folded into its weights, which change for good.

    In 16 bits the weights round the update.

    Raises:
        ModelError: if the adapter cannot be loaded on this model.
    """
    return replace(backbone, model=_load_adapter(backbone.model, Path(folder)).merge_and_unload().eval())


def _refuse_adapter(folder: Path, model: Any, found: str) -> ModelError:
    return ModelError(
        str(folder),
        expected=f"an adapter of this model ({type(model).__name__})",
        found=found,
        fix="load the backbone that the adapter was trained on",
    )


def check_base(model: Any, folder: Path) -> None:
    """Compare the base model that an adapter folder of ours records with the one at hand; others' record none.

    Raises:
        ModelError: if they differ.
    """
    if not (folder / BASE_RECORD).is_file():
        return
    recorded, here = read_json(folder / BASE_RECORD), describe_base(model)
    differing = [name for name in here if recorded.get(name) != here[name]]
    if differing:
        raise ModelError(
            str(folder),
            expected="the base model it was trained on",
            found=f"one that differs in {', '.join(differing)}",
            fix="load the backbone that the adapter was trained on",
        )


def describe_base(model: Any) -> dict[str, Any]:
    """What identifies a base model: its shape, and a digest of 16 numbers of each of its tensors.

    The numbers are rounded to bfloat16, so that a model has one digest whatever precision it is loaded in.
    """
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        sample = value.flatten()[:16].to("cpu", torch.bfloat16).view(torch.int16)
        digest.update(f"{name} {tuple(value.shape)} {sample.tolist()}\n".encode())
    config = model.config.get_text_config()
    return {
        "model_type": config.model_type,
        "n_layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "sampled_weights_sha256": digest.hexdigest(),
    }
